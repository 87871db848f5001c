"""Random calls on our sockets and on the kernel's, side by side: a difference is a bug. A failing seed is printed."""

import random
import socket

import fastudp
import pytest
from nets import IP_MTU_DISCOVER, IP_RECVERR
from packets import ARP, BROADCAST_MAC, HOST, MACS, PEER, STRANGER, datagram, ether_type, packed, quoting
from test_agrees_with_linux import OTHER, outcome, same_port_class

SOL, IP_LEVEL = socket.SOL_SOCKET, socket.IPPROTO_IP
PORTS = [1000, 1001]
PLACES = ["", HOST, OTHER, "10.0.0.255"]
PEERS = [(PEER, 2000), (PEER, 2001), (STRANGER, 2000)]
ONE_BIT = [(SOL, socket.SO_REUSEADDR), (SOL, socket.SO_REUSEPORT), (SOL, socket.SO_BROADCAST), (IP_LEVEL, IP_RECVERR)]
MASK = fastudp.READABLE | fastudp.WRITABLE | fastudp.ERROR | fastudp.HANGUP


def shown(frame):
    """What must be the same in a frame; an ephemeral source port is nobody's to foretell."""
    if ether_type(frame) == ARP or frame[23] != socket.IPPROTO_UDP:
        return frame[:14] + frame[34:42]
    port = int.from_bytes(frame[34:36], "big")
    return frame[:18] + frame[20:24] + frame[26:34], "ephemeral" if port >= 32768 else port, frame[36:40], frame[42:]


class Script:
    """A run of calls that depends on nothing but its seed, played on one host."""

    def __init__(self, net, seed):
        self.net, self.choose, self.log = net, random.Random(seed), []
        self.sockets = [net.socket() for _ in range(3)]
        self.sent = []

    def play(self, steps):
        actions = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("do_")]
        for number in range(steps):
            action, index = self.choose.choice(actions), self.choose.randrange(len(self.sockets))
            self.net.let_a_while_pass()
            result = action(index)
            frames = self.net.captured()
            self.sent = [f for f in frames if ether_type(f) != ARP and f[23] == socket.IPPROTO_UDP][-1:] or self.sent
            self.log.append((number, action.__name__[3:], index, result, [shown(frame) for frame in frames]))
        for opened in self.sockets:
            opened.close()
        return self.log

    def payload(self):
        return bytes([65 + self.choose.randrange(26)]) * self.choose.choice([0, 1, 2, 7, 100])

    def do_bind(self, i):
        return outcome(self.sockets[i].bind, (self.choose.choice(PLACES), self.choose.choice(PORTS)))

    def do_connect(self, i):
        return outcome(self.sockets[i].connect, self.choose.choice(PEERS))

    def do_disconnect(self, i):
        return outcome(self.sockets[i].disconnect)

    def do_names(self, i):
        return same_port_class(self.sockets[i].getsockname()), outcome(self.sockets[i].getpeername)

    def do_send(self, i):
        return outcome(self.sockets[i].send, self.payload())

    def do_sendto(self, i):
        target = self.choose.choice([*PEERS, ("10.0.0.255", 2000), (PEER, 0)])
        return outcome(self.sockets[i].sendto, self.payload(), target)

    def do_receive(self, i):
        flags = fastudp.DONTWAIT | self.choose.choice([0, 0, 0, fastudp.PEEK])
        return outcome(self.sockets[i].recvfrom, self.choose.choice([0, 1, 50, 200]), flags)

    do_receive_again = do_receive_more = do_receive

    def do_arrive(self, _):
        source, sport = self.choose.choice(PEERS)
        destination = self.choose.choice([HOST, HOST, OTHER, "10.0.0.255"])
        via = MACS.get(destination, BROADCAST_MAC if destination.endswith("255") else MACS[HOST])
        self.net.inject(datagram(self.payload(), source=source, sport=sport, destination=destination, via=via,
                                 dport=self.choose.choice(PORTS)))

    do_arrive_again = do_arrive_more = do_arrive

    def do_report(self, _):
        code = self.choose.choice([0, 1, 2, 3, 3, 3, 13])
        if self.sent and self.sent[0][26:30] in (packed(HOST), packed(OTHER)):
            self.net.inject(quoting(self.sent[0], 3, code))

    def do_switch(self, i):
        level, name = self.choose.choice(ONE_BIT)
        value = self.choose.randrange(2)
        return outcome(self.sockets[i].set_option, level, name, value), outcome(self.sockets[i].get_option, level, name)

    def do_discover(self, i):
        return outcome(self.sockets[i].set_option, IP_LEVEL, IP_MTU_DISCOVER, self.choose.randrange(-1, 7))

    def do_error(self, i):
        return outcome(self.sockets[i].get_option, SOL, socket.SO_ERROR)

    def do_error_queue(self, i):
        result = outcome(self.sockets[i].recvmsg, 100, 200, fastudp.ERRQUEUE)
        return result if isinstance(result, str) else (result.data, same_port_class(result.peer), result.control)

    def do_poll(self, i):
        return self.sockets[i].poll() & MASK

    def do_shutdown(self, i):
        return outcome(self.sockets[i].shutdown, self.choose.randrange(3)) if self.choose.random() < 0.2 else None

    def do_reopen(self, i):
        self.sockets[i].close()
        self.sockets[i] = self.net.socket()


@pytest.mark.parametrize("first_seed", range(0, 400, 100))
def test_random_calls_have_the_same_results_as_on_linux(both, first_seed):
    for net in both:
        net.add_address(f"{OTHER}/24")
    for seed in range(first_seed, first_seed + 100):
        ours, linux = (Script(net, seed).play(80) for net in both)
        for mine, wanted in zip(ours, linux):
            before = [entry[:4] for entry in linux[:wanted[0]] if entry[3] is not None or entry[1] != "report"]
            assert mine == wanted, f"seed {seed}: ours {mine}, Linux's {wanted}, after {before}"
