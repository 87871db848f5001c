"""Time stamps: of what is sent the frame that stands on the wire, of what comes in the moment in which it came."""

import struct

import fastudp
import pytest
from packets import HOST, PEER, datagram

SOL, SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING, SCM_TS_OPT_ID = 1, 29, 35, 37, 81
TX_SOFTWARE, RX_SOFTWARE, SOFTWARE, OPT_ID, TX_SCHED, OPT_TSONLY = 2, 8, 16, 128, 256, 2048
ENOMSG, ORIGIN_TIMESTAMPING = 42, 4


def reports(opened):
    """Of each: which stamp it is, the number, the frame."""
    found = []
    while True:
        try:
            report = opened.recvmsg(70_000, 512, fastudp.ERRQUEUE)
        except BlockingIOError:
            return found
        (said,) = [what for level, kind, what in report.control if level == 0]
        code, origin, _, _, _, which, number = struct.unpack_from("=IBBBBII", said)
        assert (code, origin) == (ENOMSG, ORIGIN_TIMESTAMPING)
        found.append((which, number, report.data))


def without_identification(frame):
    """The kernel keeps a frame before the device's checksum is in it."""
    return frame[:18] + frame[20:24] + frame[26:40] + frame[42:]


def test_the_report_has_the_frame_that_was_sent(either):
    opened = either.bound()
    opened.set_option(SOL, SO_TIMESTAMPING, TX_SOFTWARE | TX_SCHED | SOFTWARE | OPT_ID)
    for _ in range(2):
        opened.sendto(b"payload", (PEER, 2000))
    frames = [without_identification(frame) for frame in either.captured()]
    found = [(which, number, without_identification(frame)) for which, number, frame in reports(opened)]
    assert found == [(1, 0, frames[0]), (0, 0, frames[0]), (1, 1, frames[1]), (0, 1, frames[1])]


def test_of_fragments_the_first_is_reported(either):
    opened = either.bound()
    opened.set_option(SOL, SO_TIMESTAMPING, TX_SOFTWARE | SOFTWARE | OPT_ID)
    opened.sendto(bytes(4000), (PEER, 2000))
    frames = [without_identification(frame) for frame in either.captured()]
    assert len(frames) == 3
    assert [(which, number, without_identification(frame)) for which, number, frame in reports(opened)] == [(0, 0, frames[0])]


def test_reports_fit_into_the_receive_buffer_or_are_lost(either):
    opened = either.bound()
    opened.set_option(SOL, SO_TIMESTAMPING, TX_SOFTWARE | SOFTWARE | OPT_ID)
    opened.set_option(SOL, 8, 2304)
    for _ in range(50):
        opened.sendto(b"x" * 1000, (PEER, 2000))
    assert 0 < len(reports(opened)) < 50


def test_one_datagram_chooses_for_itself(either):
    opened = either.bound()
    opened.set_option(SOL, SO_TIMESTAMPING, SOFTWARE | OPT_ID | OPT_TSONLY)
    opened.sendto(b"no stamp, no number", (PEER, 2000))
    opened.sendmsg(b"x", [(SOL, SO_TIMESTAMPING, struct.pack("=I", TX_SOFTWARE))], (PEER, 2000))
    mine = [(SOL, SO_TIMESTAMPING, struct.pack("=I", TX_SCHED)), (SOL, SCM_TS_OPT_ID, struct.pack("=I", 4711))]
    opened.sendmsg(b"x", mine, (PEER, 2000))
    opened.sendmsg(b"x", mine[:1], (PEER, 2000))
    assert reports(opened) == [(0, 0, b""), (1, 4711, b""), (1, 1, b"")]


def test_what_has_failed_has_no_stamp_and_no_number(either):
    opened = either.bound()
    opened.set_option(SOL, SO_TIMESTAMPING, TX_SOFTWARE | SOFTWARE | OPT_ID | OPT_TSONLY)
    with pytest.raises(OSError):
        opened.sendto(b"x", ("10.0.0.255", 2000))
    opened.sendto(b"x", (PEER, 2000))
    assert reports(opened) == [(0, 0, b"")]


def test_a_stamp_is_the_time_of_arrival(net):
    opened = net.bound()
    opened.set_option(SOL, SO_TIMESTAMP, 1)
    net.advance(5.25)
    net.inject(datagram(b"x"))
    net.advance(3)
    net.inject(datagram(b"y"))
    first, second = (opened.recvmsg(100, 512).control for _ in range(2))
    assert first == [(SOL, SO_TIMESTAMP, struct.pack("=qq", 5, 250_000))]
    assert second == [(SOL, SO_TIMESTAMP, struct.pack("=qq", 8, 250_000))]


def test_what_came_before_anybody_asked_came_just_now(net):
    opened = net.bound()
    net.inject(datagram(b"x"))
    net.advance(7)
    opened.set_option(SOL, SO_TIMESTAMPNS, 1)
    assert opened.recvmsg(100, 512).control == [(SOL, SO_TIMESTAMPNS, struct.pack("=qq", 7, 0))]


def test_each_member_of_a_group_is_told_the_same(net):
    members = [net.socket() for _ in range(2)]
    for member in members:
        member.set_option(SOL, 2, 1)
        member.bind(("0.0.0.0", 1000))
        member.set_option(SOL, SO_TIMESTAMPING, SOFTWARE | RX_SOFTWARE)
    net.advance(2)
    net.inject(datagram(b"x", destination="10.0.0.255", via="ff:ff:ff:ff:ff:ff"))
    net.advance(2)
    stamp = struct.pack("=6q", 2, 0, 0, 0, 0, 0)
    assert [member.recvmsg(100, 512).control for member in members] == [[(SOL, SO_TIMESTAMPING, stamp)]] * 2
