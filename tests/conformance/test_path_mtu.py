"""What a path takes (RFC 1191): how it is learnt from routers, what it changes, and what is not believed."""

import errno
import struct

import fastudp
import pytest
from nets import (IP_MTU, IP_MTU_DISCOVER, PMTUDISC_DO, PMTUDISC_DONT, PMTUDISC_INTERFACE, PMTUDISC_OMIT,
                  PMTUDISC_PROBE, PMTUDISC_WANT)
from packets import DF, PEER, STRANGER, packed, quoting, sent
from test_icmp import IP_LEVEL, TOO_BIG, UNREACHABLE, error_of, extended_error, ignored_errors, last_sent, sender_of
from test_sockets import errno_of
from test_validation import changed


def learn(net, opened, mtu):
    """Lets a router say that the path to the peer takes no more than `mtu`."""
    opened.send(b"x" * 1400)
    net.inject(quoting(last_sent(net), UNREACHABLE, TOO_BIG, mtu))
    error_of(opened)


def test_fragmentation_needed_lowers_ip_mtu(either):
    opened = either.connected()
    assert opened.get_option(IP_LEVEL, IP_MTU) == 1500
    learn(either, opened, 1280)
    assert opened.get_option(IP_LEVEL, IP_MTU) == 1280


def test_fragmentation_needed_is_emsgsize_for_the_connected_socket_once(either):
    opened = either.connected()
    opened.send(b"x" * 1400)
    either.inject(quoting(last_sent(either), UNREACHABLE, TOO_BIG, 1280))
    assert errno_of(opened.send, b"x") == errno.EMSGSIZE
    assert opened.send(b"x") == 1


def test_error_queue_tells_the_mtu(either):
    opened, frame = sender_of(either, errors=True)
    either.inject(quoting(frame, UNREACHABLE, TOO_BIG, 1280))
    ((_, _, told),) = opened.recvmsg(100, 512, fastudp.ERRQUEUE).control
    assert told == extended_error(errno.EMSGSIZE, 3, 4, 1280)


@pytest.mark.parametrize("mode, wanted", [(PMTUDISC_WANT, [1276, 172, "no DF"]), (PMTUDISC_DO, errno.EMSGSIZE),
                                          (PMTUDISC_DONT, [1276, 172, "no DF"]), (PMTUDISC_PROBE, [1428, "DF"]),
                                          (PMTUDISC_INTERFACE, [1428, "no DF"]), (PMTUDISC_OMIT, [1428, "no DF"])])
def test_the_next_1400_bytes_behave_as_ip_mtu_discover_says(either, mode, wanted):
    opened = either.connected()
    learn(either, opened, 1280)
    opened.set_option(IP_LEVEL, IP_MTU_DISCOVER, mode)
    either.captured()
    if isinstance(wanted, int):
        assert errno_of(opened.send, b"x" * 1400) == wanted
        assert either.captured() == []
        return
    opened.send(b"x" * 1400)
    frames = either.captured()
    flags = {"DF" if struct.unpack_from("!H", frame, 20)[0] & DF else "no DF" for frame in frames}
    assert [*(len(frame) - 14 for frame in frames), *flags] == wanted


def test_learnt_mtu_is_of_that_destination_alone(either):
    opened = either.connected()
    learn(either, opened, 1280)
    other = either.bound(1001)
    other.connect((STRANGER, 7))
    assert other.get_option(IP_LEVEL, IP_MTU) == 1500
    again = either.bound(1002)
    again.connect((PEER, 7))
    assert again.get_option(IP_LEVEL, IP_MTU) == 1280


def test_larger_mtu_in_a_later_report_is_not_believed(either):
    opened = either.connected()
    learn(either, opened, 1280)
    opened.send(b"x" * 100)
    either.inject(quoting(last_sent(either), UNREACHABLE, TOO_BIG, 1400))
    error_of(opened)
    assert opened.get_option(IP_LEVEL, IP_MTU) == 1280


@pytest.mark.parametrize("claimed", [0, 68, 551])
def test_claim_of_a_tiny_mtu_goes_no_lower_than_552_and_clears_df(either, claimed):
    opened = either.connected()
    learn(either, opened, claimed)
    assert opened.get_option(IP_LEVEL, IP_MTU) == 552
    either.captured()
    opened.send(b"x" * 600)
    frames = either.captured()
    assert [len(frame) - 14 for frame in frames] == [548, 100]
    opened.send(b"x" * 100)
    (frame,) = either.captured()
    assert struct.unpack_from("!H", frame, 20)[0] & DF == 0


def test_learnt_mtu_is_forgotten_after_10_minutes(net):
    opened = net.connected()
    learn(net, opened, 1280)
    net.advance(599)
    assert opened.get_option(IP_LEVEL, IP_MTU) == 1280
    net.advance(2)
    assert opened.get_option(IP_LEVEL, IP_MTU) == 1500


@pytest.mark.parametrize("what", ignored_errors(sent(b"hello")))
def test_fragmentation_needed_that_is_not_about_our_datagram_changes_nothing(either, what):
    opened, frame = sender_of(either)
    either.inject(ignored_errors(frame, UNREACHABLE, TOO_BIG, 1280)[what])
    assert error_of(opened) == 0
    assert opened.get_option(IP_LEVEL, IP_MTU) == 1500
    opened.send(b"x" * 1400)
    assert either.captured() == [sent(b"x" * 1400)]


def test_flood_of_reports_about_nothing_of_ours_leaves_what_was_learnt(net):
    opened = net.connected()
    learn(net, opened, 1280)
    quote = sent(b"x" * 100, sport=4000)[14:42]
    for number in range(20_000):
        destination = packed(f"10.9.{number >> 8}.{number & 255}")
        net.link.send(quoting(b"", UNREACHABLE, TOO_BIG, 1000, quote=changed(quote, 16, destination)))
        net.stack.poll()
    assert net.drops() == {"icmp_unmatched": 20_000}
    assert net.all_frames_are_back()
    assert opened.get_option(IP_LEVEL, IP_MTU) == 1280
