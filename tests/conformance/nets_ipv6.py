"""One host with IPv6 on a network that the test plays by hand: the host is a fastudp stack, or this machine's kernel. Both
offer the same calls, so that one test can run on either: what Linux does is the specification."""

import itertools
import os
import select
import socket
import time

import fastudp
import private_network
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Ether

OURS, PEER, STRANGER = "fd00::1", "fd00::2", "fd00::3"
OUR_MAC, PEER_MAC, STRANGER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
NEAR = "fe80::ff:fe00:1"  # of our MAC address
_serial = itertools.count()


def is_mld(frame):
    return IPv6ExtHdrHopByHop in frame


class Host:
    """What the two have in common."""

    def bound(self, port=1000, address=OURS):
        opened = self.socket()
        opened.bind((address, port))
        return opened

    def hear(self, packet, source=PEER_MAC, destination=OUR_MAC):
        """What the host says to this packet."""
        self.said()
        self.inject((packet, destination), source=source)
        return self.said()

    def said(self):
        """All that it has said but for its groups: the kernel has some of its own."""
        return [frame for frame in self.captured() if not is_mld(frame)]


class FastudpHost(Host):
    """A stack with a hand-held clock, and the hub that it is on."""

    name, index = "fastudp", 0

    def __init__(self, address=f"{OURS}/64", extra="announce=off", resolved=True):
        hub = f"mem:six-{next(_serial)}"
        self.stack = fastudp.Stack(f"{hub}?mac={OUR_MAC}&address={address}&{extra}", hand_clock=True, seed=1)
        self.link = fastudp.Link(hub)
        self.now = 0
        if resolved:
            self.stack.add_neighbour(PEER, PEER_MAC)

    def close(self):
        self.stack.close()
        self.link.close()

    def socket(self):
        return self.stack.socket(socket.AF_INET6)

    def inject(self, *packets, source=PEER_MAC):
        for packet, mac in packets:
            self.link.send(bytes(Ether(src=source, dst=mac, type=0x86DD) / packet))
            while self.stack.poll() > 0:
                pass

    def captured(self):
        while self.stack.poll() > 0:
            pass
        frames = []
        while self.link.wait(0):
            frames.append(Ether(self.link.recv()))
        return frames

    def advance(self, seconds):
        self.now += round(seconds * 1e9)
        self.stack.set_time(self.now)
        return self.said()

    def wait(self):
        """A little, for frames of any kind."""
        self.now += 50_000_000
        self.stack.set_time(self.now)
        return self.captured()

    def drops(self):
        return {name: count for name, count in self.stack.drops().items() if count}


class LinuxSocket(socket.socket):
    """A non-blocking kernel socket with the method names of fastudp.Socket."""

    def __init__(self):
        super().__init__(socket.AF_INET6, socket.SOCK_DGRAM)
        self.setblocking(False)

    def set_option(self, level, name, value):
        self.setsockopt(level, name, value)

    def get_option(self, level, name, size=None):
        return self.getsockopt(level, name) if size is None else self.getsockopt(level, name, size)

    def recv(self, size=65535, flags=0):
        return super().recv(size, flags)


class LinuxHost(Host):
    """The kernel behind a TAP interface in this process's own network namespace."""

    name = "linux"

    def __init__(self):
        private_network.enter()
        self.device = f"six{next(_serial)}"
        self.tap = private_network.open_tap(self.device)
        for name, value in (("accept_dad", 0), ("router_solicitations", 0), ("accept_ra", 0)):
            private_network.sysctl(f"net/ipv6/conf/{self.device}/{name}", value)
        private_network.sysctl("net/ipv6/icmp/ratelimit", 0)
        private_network.ip(f"link set {self.device} address {OUR_MAC} up", f"address add {OURS}/64 dev {self.device} nodad",
                           f"neighbour replace {PEER} lladdr {PEER_MAC} dev {self.device} nud permanent")
        self.index = socket.if_nametoindex(self.device)
        self.sockets = []
        limit = time.monotonic() + 20
        while not self.hear(IPv6(src=PEER, dst=OURS) / ICMPv6EchoRequest()):  # until the kernel has noticed the carrier
            assert time.monotonic() < limit, "the kernel doesn't answer"

    def close(self):
        for each in self.sockets:
            each.close()
        os.close(self.tap)

    def socket(self):
        self.sockets.append(LinuxSocket())
        return self.sockets[-1]

    def inject(self, *packets, source=PEER_MAC):
        for packet, mac in packets:
            os.write(self.tap, bytes(Ether(src=source, dst=mac, type=0x86DD) / packet))

    def captured(self):
        frames = []
        while True:
            try:
                frames.append(Ether(os.read(self.tap, 65536)))
            except BlockingIOError:
                return frames

    def wait(self):
        select.select([self.tap], [], [], 0.5)
        return self.captured()

    def drops(self):
        return None
