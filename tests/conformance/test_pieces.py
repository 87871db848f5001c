"""UDP_CORK and MSG_MORE: one datagram of several sends. What leaves, when, and what is refused."""

import socket
import struct

import pytest
from nets import IP_MTU_DISCOVER, IP_RECVERR, PMTUDISC_DO
from packets import PEER, STRANGER, quoting, sent
from test_agrees_with_linux import outcome
from test_icmp import IP_TTL

MORE = 0x8000
UDP_LEVEL, UDP_CORK, UDP_SEGMENT = socket.IPPROTO_UDP, 1, 103
TO = (PEER, 2000)


def test_pieces_are_one_datagram_to_where_the_first_went(either):
    opened = either.bound()
    assert opened.sendto(b"one ", TO, MORE) == 4
    assert opened.sendto(b"two ", (STRANGER, 9), MORE) == 4
    assert either.captured() == []
    assert opened.sendto(b"three", (STRANGER, 9)) == 5
    assert either.captured() == [sent(b"one two three")]


@pytest.mark.parametrize("flags", [0, MORE], ids=["plain", "more"])
def test_cork_holds_everything_until_it_is_taken_out(either, flags):
    opened = either.connected()
    opened.set_option(UDP_LEVEL, UDP_CORK, 1)
    for piece in (b"a", b"b", b""):
        opened.sendmsg(piece, (), None, flags)
    assert either.captured() == []
    opened.set_option(UDP_LEVEL, UDP_CORK, 0)
    assert either.captured() == [sent(b"ab")]
    opened.sendmsg(b"next")
    assert either.captured() == [sent(b"next")]


def test_control_messages_of_the_first_hold_for_all(either):
    opened = either.bound()

    def ttl(value):
        return [(socket.IPPROTO_IP, IP_TTL, struct.pack("=i", value))]

    opened.sendmsg(b"a", ttl(7), TO, MORE)
    opened.sendmsg(b"b", ttl(9), TO)
    assert either.captured() == [sent(b"ab", ttl=7)]


def test_pieces_and_segments(either):
    opened = either.bound()
    opened.sendmsg(b"abcd", [(UDP_LEVEL, UDP_SEGMENT, struct.pack("=H", 3))], TO, MORE)
    opened.sendmsg(b"efgh", [(UDP_LEVEL, UDP_SEGMENT, struct.pack("=H", 1))], TO)
    assert either.captured() == [sent(b"abc"), sent(b"def"), sent(b"gh")]


def test_what_the_path_does_not_take_is_dropped_at_the_piece_that_is_too_much(either):
    opened = either.bound()
    opened.set_option(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
    opened.set_option(socket.IPPROTO_IP, IP_RECVERR, 1)
    seen = [outcome(opened.sendto, bytes(size), TO, MORE) for size in (1000, 472, 1, 1)]
    seen.append(outcome(opened.sendto, b"", TO))
    assert seen == [1000, 472, "EMSGSIZE", 1, 0]
    assert either.captured() == [sent(bytes(1))]


def test_a_long_one_is_fragmented_as_a_whole(either):
    opened = either.bound()
    for _ in range(3):
        opened.sendto(bytes(1000), TO, MORE)
    opened.sendto(b"", TO)
    frames = either.captured()
    assert [struct.unpack_from("!H", frame, 16)[0] - 20 for frame in frames] == [1480, 1480, 48]


def test_closing_discards_and_what_is_held_survives_shutdown(either):
    opened = either.connected()
    opened.sendmsg(b"a", (), None, MORE)
    opened.shutdown(socket.SHUT_WR)
    opened.sendmsg(b"b")
    assert outcome(opened.sendmsg, b"c") == "EPIPE"
    opened.close()
    second = either.connected()
    second.sendmsg(b"x", (), None, MORE)
    second.close()
    assert either.captured() == [sent(b"ab")]


def test_connecting_moves_what_is_held(either):
    opened = either.bound()
    opened.sendto(b"a", TO, MORE)
    opened.connect((STRANGER, 3000))
    opened.sendmsg(b"b")
    assert either.captured() == [sent(b"ab", destination=STRANGER, dport=3000)]


def test_waits_for_the_neighbour_as_one(make_either):
    net = make_either(resolved=False)
    opened = net.bound()
    opened.sendto(b"a", TO, MORE)
    opened.sendto(b"b", TO)
    net.resolve_everybody()
    assert [frame for frame in net.captured() if frame[12:14] == b"\x08\x00"] == [sent(b"ab")]


def test_pending_error_is_told_by_the_first_piece_and_by_no_other(either):
    opened = either.connected()
    opened.sendmsg(b"x")
    unreachable = quoting(either.captured()[-1])
    either.inject(unreachable)
    assert outcome(opened.sendmsg, b"a", (), None, MORE) == "ECONNREFUSED"
    assert outcome(opened.sendmsg, b"b", (), None, MORE) == 1
    either.inject(unreachable)
    assert outcome(opened.sendmsg, b"c") == 1
    assert either.captured() == [sent(b"bc")]
    assert outcome(opened.sendmsg, b"d") == "ECONNREFUSED"
