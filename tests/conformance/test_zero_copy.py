"""MSG_ZEROCOPY: the error queue says which sends are done, in ranges, between ICMP errors as they came."""

import errno
import socket
import struct

import fastudp
import pytest
from nets import IP_RECVERR
from packets import PEER, quoting, sent
from test_agrees_with_linux import outcome

ZEROCOPY, MORE, ERRQUEUE, SO_ZEROCOPY = 0x4000000, 0x8000, 0x2000, 60
ICMP, COMPLETION = 2, 5
POLLERR = 8


@pytest.fixture
def opened(either):
    made = either.connected()
    made.set_option(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    return made


def told(opened):
    """What the error queue holds: of a completion the range, of an error its errno. Whether a copy was made is Linux's
    business there and always so here."""
    out = []
    while True:
        try:
            got = opened.recvmsg(100, 512, ERRQUEUE)
        except OSError as error:
            assert error.errno == errno.EAGAIN
            return out
        ((level, name, value),) = got.control
        assert (level, name) == (socket.IPPROTO_IP, IP_RECVERR)
        code, origin, kind, _, _, info, data = struct.unpack_from("=IBBBBII", value)
        if origin == COMPLETION:
            assert (code, kind, value[16:], got.peer, got.data) == (0, 0, bytes(16), None, b"")
            out.append((info, data))
        else:
            assert origin == ICMP and got.peer == (PEER, 2000)
            out.append(errno.errorcode[code])


def send(opened, *flags):
    return [outcome(opened.sendmsg, b"x", (), None, each) for each in flags]


def test_completions_are_told_in_ranges(either, opened):
    assert send(opened, ZEROCOPY, 0, ZEROCOPY) == [1, 1, 1]
    assert len(either.captured()) == 3
    assert opened.poll() & POLLERR
    assert told(opened) == [(0, 1)]
    assert not opened.poll() & POLLERR
    assert send(opened, ZEROCOPY) == [1]
    either.captured()
    assert told(opened) == [(2, 2)]


def test_nothing_is_told_unless_the_option_is_set(either, opened):
    opened.set_option(socket.SOL_SOCKET, SO_ZEROCOPY, 0)
    assert send(opened, ZEROCOPY) == [1]
    either.captured()
    assert told(opened) == [] and not opened.poll() & POLLERR


def test_a_datagram_in_pieces_is_told_when_it_has_gone(either, opened):
    send(opened, ZEROCOPY | MORE, ZEROCOPY | MORE)
    assert told(opened) == []
    send(opened, 0)
    assert either.captured() == [sent(b"xxx")]
    assert told(opened) == [(0, 1)]


def test_errors_keep_their_places_and_are_pending_when_they_are_next(either, opened):
    opened.set_option(socket.IPPROTO_IP, IP_RECVERR, 1)
    send(opened, ZEROCOPY)
    (frame,) = either.captured()
    either.inject(quoting(frame))
    assert send(opened, ZEROCOPY, ZEROCOPY) == ["ECONNREFUSED", 1]
    either.captured()
    either.inject(quoting(frame))
    opened.get_option(socket.SOL_SOCKET, socket.SO_ERROR)

    def next_pending():
        opened.recvmsg(100, 512, ERRQUEUE)
        return opened.get_option(socket.SOL_SOCKET, socket.SO_ERROR)

    assert [next_pending() for _ in range(2)] == [errno.ECONNREFUSED, 0]
    assert told(opened) == [(1, 1), "ECONNREFUSED"]


def test_a_refused_send_has_no_number(either, opened):
    assert send(opened, ZEROCOPY) == [1]
    assert outcome(opened.sendmsg, bytes(65508), (), None, ZEROCOPY) == "EMSGSIZE"
    assert outcome(opened.sendmsg, b"x", (), (PEER, 0), ZEROCOPY) == "EINVAL"
    assert send(opened, ZEROCOPY) == [1]
    either.captured()
    assert told(opened) == [(0, 1)]


def test_they_take_no_more_room_than_one(net):
    made = net.connected()
    made.set_option(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    for _ in range(1000):
        send(made, fastudp.ZEROCOPY)
    net.captured()
    got = made.recvmsg(100, 512, ERRQUEUE)
    assert struct.unpack_from("=IBBBBII", got.control[0][2]) == (0, COMPLETION, 0, 1, 0, 0, 999)
