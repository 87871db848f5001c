"""UDP_SEGMENT: one send is many datagrams. UDP_GRO: many datagrams are one receive. What the wire and the program see."""

import errno
import socket
import struct

import pytest
from nets import IP_MTU_DISCOVER, PMTUDISC_DO, PMTUDISC_DONT
from packets import DF, HOST, PEER, STRANGER, datagram, sent, with_identification
from test_agrees_with_linux import outcome
from test_icmp import IP_RECVTTL, IP_TTL

UDP_LEVEL, UDP_SEGMENT, UDP_GRO = socket.IPPROTO_UDP, 103, 104
PATTERN = bytes(range(251)) * 300


def segment(size):
    return [(UDP_LEVEL, UDP_SEGMENT, struct.pack("=H", size))]


def pieces(size, step):
    return [PATTERN[at:min(at + step, size)] for at in range(0, size, step)]


def numbered(frames):
    """Their identifications, from the first on, and the frames without."""
    numbers = [struct.unpack_from("!H", frame, 18)[0] for frame in frames]
    return [(n - numbers[0]) & 0xFFFF for n in numbers], [with_identification(frame, 0) for frame in frames]


def send(opened, size, step, by_option):
    if by_option:
        opened.set_option(UDP_LEVEL, UDP_SEGMENT, step)
        return outcome(opened.sendto, PATTERN[:size], (PEER, 2000))
    return outcome(opened.sendmsg, PATTERN[:size], segment(step), (PEER, 2000))


@pytest.mark.parametrize("by_option", [False, True], ids=["message", "option"])
@pytest.mark.parametrize("size, step", [(1000, 300), (900, 300), (300, 300), (200, 300), (5000, 1472), (128, 1)])
def test_each_segment_is_a_datagram_on_the_wire(either, size, step, by_option):
    opened = either.bound()
    assert send(opened, size, step, by_option) == size
    # DF is for what fits into one frame as a whole.
    atomic = size <= 1472
    expected = [sent(piece, fragment=DF if atomic else 0) for piece in pieces(size, step)]
    numbers = [0 if atomic else n for n in range(len(expected))]
    assert numbered(either.captured()) == (numbers, [with_identification(frame, 0) for frame in expected])


@pytest.mark.parametrize("size, step, expected", [(1473, 1473, "EMSGSIZE"), (3000, 1473, "EMSGSIZE"),
                                                  (2000, 3000, "EMSGSIZE"), (129, 1, "EINVAL"),
                                                  (65508, 1000, "EMSGSIZE"), (1472, 65535, 1472)])
@pytest.mark.parametrize("by_option", [False, True], ids=["message", "option"])
def test_segments_are_never_fragmented_and_at_most_128(either, size, step, expected, by_option):
    opened = either.bound()
    opened.set_option(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)
    assert send(opened, size, step, by_option) == expected
    assert len(either.captured()) == (expected == size)


def test_a_send_of_the_path_mtu_is_not_kept_from_being_fragmented_by_segments_of_nothing(either):
    opened = either.bound()
    opened.set_option(UDP_LEVEL, UDP_SEGMENT, 100)
    opened.set_option(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)
    assert outcome(opened.sendmsg, PATTERN[:2000], segment(0), (PEER, 2000)) == 2000
    assert len(either.captured()) == 2


def test_headers_are_those_that_a_single_datagram_has(either):
    opened = either.bound()
    opened.set_option(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
    control = [*segment(100), (socket.IPPROTO_IP, IP_TTL, struct.pack("=i", 9)),
               (socket.IPPROTO_IP, socket.IP_TOS, b"\xb8")]
    assert opened.sendmsg(PATTERN[:250], control, (PEER, 2000)) == 250
    assert either.captured() == [sent(piece, ttl=9, tos=0xB8, fragment=DF) for piece in pieces(250, 100)]


def test_segments_wait_for_the_neighbour_in_order(make_either):
    net = make_either(resolved=False)
    opened = net.bound()
    assert opened.sendmsg(PATTERN[:2500], segment(100), (PEER, 2000)) == 2500
    net.resolve_everybody()
    frames = [frame for frame in net.captured() if frame[12:14] == b"\x08\x00"]
    expected = [sent(piece, fragment=0) for piece in pieces(2500, 100)]
    assert numbered(frames) == ([*range(25)], [with_identification(frame, 0) for frame in expected])


def test_every_segment_counts(net):
    opened = net.bound()
    opened.sendmsg(PATTERN[:1000], segment(300), (PEER, 2000))
    assert net.stack.stats().tx_datagrams == 4


def joined(opened, size=65535, flags=0):
    """What one receive gives: the payload, and what UDP_GRO says of it."""
    got = opened.recvmsg(size, 512, flags)
    sizes = [struct.unpack("=i", value)[0] for level, name, value in got.control if (level, name) == (UDP_LEVEL, UDP_GRO)]
    return got.data, sizes


def together(net, *frames):
    """They come in one burst, as from a busy link."""
    for frame in frames:
        net.link.send(frame)
    net.poll()


@pytest.fixture
def joining(net):
    opened = net.bound()
    opened.set_option(UDP_LEVEL, UDP_GRO, 1)
    return net, opened


def test_a_row_of_one_flow_is_one_receive_and_a_shorter_one_ends_it(joining):
    net, opened = joining
    together(net, *[datagram(PATTERN[i:i + 300]) for i in range(4)], datagram(b"short"), datagram(b"next!"),
             datagram(b"last"))
    first = b"".join(PATTERN[i:i + 300] for i in range(4)) + b"short"
    assert joined(opened) == (first, [300])
    assert joined(opened) == (b"next!last", [5])
    assert outcome(opened.recv) == "EAGAIN"


def test_a_longer_one_begins_a_row(joining):
    net, opened = joining
    together(net, datagram(b"12"), datagram(b"123"), datagram(b"456"))
    assert [joined(opened), joined(opened)] == [(b"12", []), (b"123456", [3])]


@pytest.mark.parametrize("other", [{"sport": 2001}, {"source": STRANGER}, {"ttl": 63}, {"tos": 4}, {"fragment": 0},
                                   {"ident": 5}],
                         ids=["port", "address", "ttl", "tos", "df", "identification"])
def test_what_differs_is_not_joined(joining, other):
    net, opened = joining
    together(net, datagram(b"1"), datagram(b"2", **other), datagram(b"3"))
    assert [joined(opened) for _ in range(3)] == [(b"1", []), (b"2", []), (b"3", [])]


def test_identifications_that_count_up_are_of_one_row(joining):
    net, opened = joining
    together(net, *[datagram(b"%d" % i, ident=7 + i, fragment=0) for i in range(3)])
    assert joined(opened) == (b"012", [1])


def test_what_comes_later_is_not_joined_and_an_empty_one_never(joining):
    net, opened = joining
    together(net, datagram(b"1"))
    together(net, datagram(b"2"), datagram(b""), datagram(b"3"))
    assert [joined(opened) for _ in range(4)] == [(b"1", []), (b"2", []), (b"", []), (b"3", [])]


def test_at_most_64_are_joined(joining):
    net, opened = joining
    net.stack.poll(1)
    together(net, *[datagram(b"x")] * 64)
    assert joined(opened) == (b"x" * 64, [1])


def test_peeking_cutting_and_switching_off(joining):
    net, opened = joining
    together(net, *[datagram(b"abc")] * 3)
    assert joined(opened, flags=0x2) == (b"abc" * 3, [3])
    got = opened.recvmsg(4, 512)
    assert (got.data, got.length, got.flags & 0x20) == (b"abca", 9, 0x20)
    together(net, *[datagram(b"abc")] * 3)
    opened.set_option(UDP_LEVEL, UDP_GRO, 0)
    assert joined(opened) == (b"abc" * 3, [])
    together(net, *[datagram(b"abc")] * 2)
    assert [joined(opened), joined(opened)] == [(b"abc", []), (b"abc", [])]


def test_facts_come_behind_the_size_and_datagrams_are_counted_one_by_one(joining):
    net, opened = joining
    opened.set_option(socket.IPPROTO_IP, IP_RECVTTL, 1)
    together(net, datagram(b"ab", ttl=9), datagram(b"c", ttl=9))
    assert opened.recvmsg(100, 512).control == [(UDP_LEVEL, UDP_GRO, struct.pack("=i", 2)),
                                                (socket.IPPROTO_IP, IP_TTL, struct.pack("=i", 9))]
    assert net.stack.stats().rx_datagrams == 2


@pytest.mark.parametrize("name, value", [(UDP_SEGMENT, -1), (UDP_SEGMENT, 65536), (UDP_SEGMENT, b"\1"), (UDP_GRO, b"\1"),
                                         (UDP_GRO, -1), (UDP_SEGMENT, 65535), (77, 1)])
def test_values_and_sizes(both, name, value):
    def seen(net):
        opened = net.socket()
        return outcome(opened.set_option, UDP_LEVEL, name, value), outcome(opened.get_option, UDP_LEVEL, name)

    ours, linux = [seen(net) for net in both]
    assert ours == linux and ours[0] in (None, *errno.errorcode.values())
