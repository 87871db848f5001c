"""The same calls on our sockets and on the kernel's give the same results, errno for errno."""

import errno
import itertools
import socket
import struct

import fastudp
import pytest
from nets import IP_MTU, IP_MTU_DISCOVER, IP_RECVERR
from packets import HOST, PEER, STRANGER, datagram, quoting
from test_validation import received

SOL, IP_LEVEL = socket.SOL_SOCKET, socket.IPPROTO_IP
OTHER = "10.0.7.1"


def outcome(call, *args):
    """What a call returns, or the name of its errno."""
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def same_port_class(address):
    """An address whose ephemeral port, which nobody can foretell, is replaced by a word."""
    if not isinstance(address, tuple):
        return address
    return address[0], "ephemeral" if 32768 <= address[1] < 61000 else address[1]


@pytest.fixture
def agree(both):
    """agree(scenario, ...) runs a scenario on both hosts and compares what it returns."""

    def run(scenario, *args):
        ours, linux = (scenario(net, *args) for net in both)
        if isinstance(ours, list):
            differences = [(i, mine, theirs) for i, (mine, theirs) in enumerate(zip(ours, linux)) if mine != theirs]
            assert not differences, f"(position, ours, Linux's): {differences}"
        assert ours == linux

    for net in both:
        net.add_address(f"{OTHER}/24")
    return run


SHARING = {"plain": (), "reuseaddr": (socket.SO_REUSEADDR,), "reuseport": (socket.SO_REUSEPORT,),
           "both": (socket.SO_REUSEADDR, socket.SO_REUSEPORT)}


@pytest.mark.parametrize("first", SHARING)
@pytest.mark.parametrize("second", SHARING)
def test_eaddrinuse_for_wildcards_addresses_and_sharing_in_either_order(agree, first, second):
    def scenario(net):
        results = {}
        for one, two in itertools.product(["", HOST, OTHER, "10.0.0.255", "224.0.0.1"], repeat=2):
            sockets = [net.socket(), net.socket()]
            for opened, options in zip(sockets, (SHARING[first], SHARING[second])):
                for option in options:
                    opened.set_option(SOL, option, 1)
            assert outcome(sockets[0].bind, (one, 1000)) is None
            results[one, two] = outcome(sockets[1].bind, (two, 1000))
            for opened in sockets:
                opened.close()
        return results

    agree(scenario)


def test_sharing_decided_after_binding(agree):
    def scenario(net):
        first, second, third = net.bound(), net.socket(), net.socket()
        first.set_option(SOL, socket.SO_REUSEADDR, 1)
        second.set_option(SOL, socket.SO_REUSEADDR, 1)
        results = [outcome(second.bind, (HOST, 1000))]
        first.set_option(SOL, socket.SO_REUSEADDR, 0)
        third.set_option(SOL, socket.SO_REUSEADDR, 1)
        return results + [outcome(third.bind, (HOST, 1000))]

    agree(scenario)


@pytest.mark.parametrize("address", ["10.0.0.9", "192.0.2.1", "10.0.0.0", "10.0.0.255", "255.255.255.255", "224.0.0.1",
                                     "127.0.0.1", "0.0.0.0"])
def test_what_a_socket_can_be_bound_to(agree, address):
    agree(lambda net: outcome(net.socket().bind, (address, 1000)))


def test_binding_twice_and_binding_after_connecting(agree):
    def scenario(net):
        bound, connected, sender = net.bound(), net.socket(), net.socket()
        connected.connect((PEER, 7))
        sender.sendto(b"x", (PEER, 7))
        return [outcome(each.bind, (HOST, 1001)) for each in (bound, connected, sender)] + [
            same_port_class(each.getsockname()) for each in (bound, connected, sender)]

    agree(scenario)


def test_misuse(agree):
    def scenario(net):
        fresh, bound, connected = net.socket(), net.bound(), net.connected(1001)
        results = []
        for opened in (fresh, bound, connected):
            results += [
                outcome(opened.getpeername), outcome(opened.send, b"x"), outcome(opened.recv),
                outcome(opened.sendto, b"x", (PEER, 0)), outcome(opened.sendto, b"x", ("0.0.0.0", 1)),
                outcome(opened.sendto, b"x" * 65508, (PEER, 1)), outcome(opened.recv, 100, fastudp.ERRQUEUE),
                outcome(opened.shutdown, 7), outcome(opened.sendto, b"x", ("10.0.0.255", 1)),
            ]
        return results

    agree(scenario)


def test_connecting_to_strange_places(agree):
    def scenario(net):
        results = []
        places = [("0.0.0.0", 7), ("10.0.0.255", 7), ("255.255.255.255", 7), ("224.0.0.1", 7), (HOST, 7), (PEER, 0)]
        for target in places:
            opened = net.socket()
            results += [outcome(opened.connect, target), outcome(opened.getpeername),
                        same_port_class(opened.getsockname())]
        return results

    agree(scenario)


def test_connect_again_disconnect_and_what_remains_of_the_binding(agree):
    def scenario(net):
        results = []
        for address in [None, ("", 1000), (HOST, 1001), ("", 0), (HOST, 0)]:
            opened = net.socket()
            if address:
                opened.bind(address)
            for step in (lambda: opened.connect((PEER, 7)), lambda: opened.connect((STRANGER, 8)), opened.disconnect,
                         opened.disconnect, lambda: opened.sendto(b"x", (PEER, 7)), lambda: opened.connect((PEER, 9))):
                results += [outcome(step), same_port_class(opened.getsockname()), outcome(opened.getpeername)]
            opened.close()
        return results

    agree(scenario)


def test_failed_connect_leaves_what_was(agree):
    def scenario(net):
        opened = net.connected()
        results = [outcome(opened.connect, ("10.0.0.255", 7)), outcome(opened.getpeername), opened.getsockname()]
        net.inject(datagram(b"peer"))
        return results + [received(opened)]

    agree(scenario)


@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR])
@pytest.mark.parametrize("connected", [True, False])
def test_shutdown(agree, how, connected):
    def scenario(net):
        opened = net.connected() if connected else net.bound()
        net.inject(datagram(b"before"))
        results = [outcome(opened.shutdown, how), opened.poll() & 0x1F]
        net.inject(datagram(b"after"))
        results += [outcome(opened.recv, 100, fastudp.DONTWAIT) for _ in range(3)]
        results += [outcome(opened.sendto, b"x", (PEER, 2000)), opened.poll() & 0x1F, outcome(opened.shutdown, how)]
        opened.disconnect()
        net.inject(datagram(b"again"))
        results.append(outcome(opened.recv, 100, fastudp.DONTWAIT))
        return results + [outcome(opened.sendto, b"x", (PEER, 2000)), opened.poll() & 0x1F]

    agree(scenario)


VALUES = [-2147483648, -2, -1, 0, 1, 2, 3, 5, 6, 63, 64, 127, 255, 256, 1000, 2303, 2304, 65535, 65536, 1 << 20]
OPTIONS = {
    "SO_REUSEADDR": (SOL, socket.SO_REUSEADDR), "SO_REUSEPORT": (SOL, socket.SO_REUSEPORT),
    "SO_BROADCAST": (SOL, socket.SO_BROADCAST), "SO_RCVBUF": (SOL, socket.SO_RCVBUF),
    "SO_SNDBUF": (SOL, socket.SO_SNDBUF), "SO_RCVLOWAT": (SOL, socket.SO_RCVLOWAT),
    "SO_SNDLOWAT": (SOL, socket.SO_SNDLOWAT), "SO_ERROR": (SOL, socket.SO_ERROR), "SO_TYPE": (SOL, socket.SO_TYPE),
    "SO_PRIORITY": (SOL, socket.SO_PRIORITY),
    "IP_TTL": (IP_LEVEL, socket.IP_TTL), "IP_TOS": (IP_LEVEL, socket.IP_TOS),
    "IP_MTU_DISCOVER": (IP_LEVEL, IP_MTU_DISCOVER), "IP_RECVERR": (IP_LEVEL, IP_RECVERR),
    "IP_MTU": (IP_LEVEL, IP_MTU), "IP_MULTICAST_TTL": (IP_LEVEL, socket.IP_MULTICAST_TTL), "unknown": (SOL, 9999),
    "unknown of IP": (IP_LEVEL, 9999),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_range_of_an_option_and_what_is_read_back(agree, name):
    level, number = OPTIONS[name]

    def scenario(net):
        results = []
        for value in VALUES:
            opened = net.socket()
            results.append((value, outcome(opened.set_option, level, number, value),
                            outcome(opened.get_option, level, number)))
        return results

    agree(scenario)


def test_priority_follows_the_type_of_service_when_that_changes(agree):
    def scenario(net):
        results = []
        for first, second in itertools.product([0, 1, 8, 16, 24, 0xB8, 0xFF], repeat=2):
            opened = net.socket()
            for step, value in [(socket.IP_TOS, first), (socket.SO_PRIORITY, 5), (socket.IP_TOS, second)]:
                opened.set_option(SOL if step == socket.SO_PRIORITY else IP_LEVEL, step, value)
                results.append((first, second, value, opened.get_option(SOL, socket.SO_PRIORITY)))
        return results

    agree(scenario)


@pytest.mark.parametrize("name", set(OPTIONS) - {"unknown", "unknown of IP"})
def test_size_of_an_option(agree, name):
    level, number = OPTIONS[name]

    def scenario(net):
        results = []
        for size in range(0, 10):
            opened = net.socket()
            value = struct.pack("=Q", 1)[:size] + b"\0" * max(0, size - 8)
            results += [(size, outcome(opened.set_option, level, number, value)),
                        outcome(opened.get_option, level, number, size) if size else None]
        return results

    agree(scenario)


def test_receiving_with_every_mixture_of_peek_and_trunc(agree):
    def scenario(net):
        opened, results = net.bound(), []
        net.inject(datagram(b"0123456789"), datagram(b""), datagram(b"end"))
        for size, flags in [(4, fastudp.PEEK), (4, fastudp.PEEK | fastudp.TRUNC), (20, fastudp.PEEK | fastudp.TRUNC),
                            (4, fastudp.TRUNC), (4, fastudp.PEEK), (4, 0), (2, 0), (4, 0)]:
            room = bytearray(size)
            results += [outcome(opened.recv_into, room, flags), bytes(room)]
        return results

    agree(scenario)


def test_so_error_tells_once_and_any_call_takes_it(agree):
    def scenario(net):
        results = []
        for take in ("option", "recv", "send", "connect", "none"):
            opened = net.connected(1000)
            opened.send(b"hello")
            net.inject(quoting(net.captured()[-1]))
            steps = {"option": lambda: opened.get_option(SOL, socket.SO_ERROR), "recv": opened.recv,
                     "send": lambda: opened.send(b"x"), "connect": lambda: opened.connect((PEER, 2001)),
                     "none": lambda: None}
            results += [outcome(steps[take]), outcome(opened.get_option, SOL, socket.SO_ERROR), outcome(opened.recv)]
            opened.close()
        return results

    agree(scenario)


def test_icmp_error_outlives_disconnect_or_not(agree):
    def scenario(net):
        opened = net.connected(1000)
        opened.send(b"hello")
        net.inject(quoting(net.captured()[-1]))
        opened.disconnect()
        return [outcome(opened.recv), outcome(opened.get_option, SOL, socket.SO_ERROR)]

    agree(scenario)


def test_polling(agree):
    def scenario(net):
        fresh, opened = net.socket(), net.connected()
        results = [fresh.poll(), opened.poll()]
        opened.send(b"hello")
        net.inject(datagram(b"in"), quoting(net.captured()[-1]))
        results += [opened.poll(), outcome(opened.recv), opened.poll(), outcome(opened.recv), opened.poll()]
        opened.shutdown(socket.SHUT_RD)
        results.append(opened.poll() & 0x1F)
        opened.shutdown(socket.SHUT_WR)
        return results + [opened.poll() & 0x1F]

    agree(scenario)


@pytest.mark.parametrize("size", [0, 1, 100, 1000, 1472])
@pytest.mark.parametrize("buffer", [0, 2304, 10_000, 60_000])
def test_small_receive_buffers_keep_at_least_one_datagram_and_stay_bounded(both, size, buffer):
    def kept(net):
        opened = net.socket()
        opened.set_option(SOL, socket.SO_RCVBUF, buffer)
        opened.bind((HOST, 1000))
        net.inject(*[datagram(b"x" * size)] * 300)
        return len(received(opened))

    ours, linux = (kept(net) for net in both)
    assert linux / 3 - 1 <= ours <= linux * 2 + 1, (ours, linux)


@pytest.mark.parametrize("flags", [0x1, 0x4, 0x8, 0x10, 0x80, 0x100, 0x200, fastudp.NOSIGNAL, fastudp.CONFIRM,
                                   fastudp.DONTWAIT, fastudp.MORE, fastudp.ZEROCOPY])
def test_flags_of_send_that_we_take_do_what_they_do_on_linux_and_others_are_refused(both, flags):
    def scenario(net):
        return outcome(net.bound().sendto, b"x", (PEER, 2000), flags)

    ours, linux = (scenario(net) for net in both)
    taken = {fastudp.NOSIGNAL, fastudp.CONFIRM, fastudp.DONTWAIT, fastudp.MORE, fastudp.ZEROCOPY}
    assert ours == (linux if flags in taken else errno.errorcode[errno.EOPNOTSUPP])


def test_ttl_of_zero_and_of_multicast(agree):
    def scenario(net):
        opened, results = net.bound(), []
        for level, name in [(IP_LEVEL, socket.IP_TTL), (IP_LEVEL, socket.IP_MULTICAST_TTL)]:
            for value in (-1, 1, 200, 255):
                opened.set_option(level, name, value)
                opened.sendto(b"x", (PEER, 2000))
                opened.sendto(b"x", ("239.1.2.3", 2000))
                results.append([frame[22] for frame in net.captured()])
        return results

    agree(scenario)


def test_control_messages_choose_ttl_and_tos_of_one_datagram(agree):
    def scenario(net):
        opened, results = net.bound(), []
        for kind, value in [(socket.IP_TTL, 9), (socket.IP_TTL, 0), (socket.IP_TTL, 256), (socket.IP_TOS, 0x10),
                            (socket.IP_TOS, 300), (99, 1)]:
            control = [(IP_LEVEL, kind, struct.pack("=i", value))]
            results.append(outcome(opened.sendmsg, b"x", control, (PEER, 2000)))
            results += [(frame[15], frame[22]) for frame in net.captured()]
        return results

    agree(scenario)


UNKNOWN_CONTROL = [(IP_LEVEL, 99, struct.pack("=i", 1))]


def test_control_message_that_is_not_known_is_refused_after_a_wrong_destination_and_before_all_else(agree):
    def scenario(net):
        results = []
        for size, address in [(1, None), (65536, (PEER, 2000)), (1, (PEER, 0)), (1, (PEER, 2000)), (1, ("10.0.0.255", 7)),
                              (65508, (PEER, 2000))]:
            opened = net.socket()
            results += [outcome(opened.sendmsg, b"x" * size, UNKNOWN_CONTROL, address),
                        same_port_class(opened.getsockname())]
        opened = net.connected()
        opened.send(b"hello")
        net.inject(quoting(net.captured()[-1]))
        results += [outcome(opened.sendmsg, b"x", UNKNOWN_CONTROL), outcome(opened.get_option, SOL, socket.SO_ERROR)]
        opened.shutdown(socket.SHUT_WR)
        return results + [outcome(opened.sendmsg, b"x", UNKNOWN_CONTROL), net.captured()]

    agree(scenario)


def test_so_rcvlowat_holds_no_datagram_back(agree):
    def scenario(net):
        opened = net.bound()
        opened.set_option(SOL, socket.SO_RCVLOWAT, 10_000)
        net.inject(datagram(b"small"))
        return [opened.poll(), outcome(opened.recv)]

    agree(scenario)
