"""Every option that can be set is seen in what the socket does, not only read back: on ours as on Linux's."""

import errno
import os
import pathlib
import re
import socket
import struct

import pytest
from nets import IP_MTU_DISCOVER, IP_RECVERR, PMTUDISC_DONT
from packets import HOST, PEER, datagram, packed, quoting, sent, with_identification
from test_agrees_with_linux import outcome
from test_icmp import IP_PKTINFO, IP_RECVTOS, IP_RECVTTL, IP_TOS, IP_TTL, error_of, without_interface
from test_validation import received

ROOT = pathlib.Path(os.environ.get("FASTUDP_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
SOL, IP_LEVEL, MULTICAST_TTL = socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IP_MULTICAST_TTL
GROUP = "239.1.2.3"


def frame_to(destination):
    def look(net, opened):
        opened.bind((HOST, 1000))
        opened.sendto(b"x", (destination, 2000))
        (frame,) = net.captured()
        return with_identification(frame, 0)

    return look


def broadcast(net, opened):
    return outcome(opened.sendto, b"x", ("10.0.0.255", 2000))


def second_of(name):
    def look(net, opened):
        opened.bind((HOST, 1000))
        second = net.socket()
        second.set_option(SOL, name, 1)
        return outcome(second.bind, (HOST, 1000))

    return look


def all_of_twenty_fit(net, opened):
    opened.bind((HOST, 1000))
    net.inject(*[datagram(b"x" * 1000)] * 20)
    return len(received(opened)) == 20


def error_of_unconnected(net, opened):
    opened.bind((HOST, 1000))
    opened.sendto(b"x", (PEER, 2000))
    net.inject(quoting(net.captured()[-1]))
    return error_of(opened)


def told_with_a_datagram(net, opened):
    opened.bind((HOST, 1000))
    net.inject(datagram(b"x", ttl=9, tos=0x2E))
    return without_interface(opened.recvmsg(100, 512).control)


def multicast(**changes):
    return sent(b"x", destination=GROUP, via="01:00:5e:01:02:03", **changes)


# Option: level, number, value, how to look, what is seen without it and with it.
SEEN = {
    "SO_RCVBUF": (SOL, socket.SO_RCVBUF, 2304, all_of_twenty_fit, True, False),
    "SO_BROADCAST": (SOL, socket.SO_BROADCAST, 1, broadcast, "EACCES", 1),
    "SO_REUSEADDR": (SOL, socket.SO_REUSEADDR, 1, second_of(socket.SO_REUSEADDR), "EADDRINUSE", None),
    "SO_REUSEPORT": (SOL, socket.SO_REUSEPORT, 1, second_of(socket.SO_REUSEPORT), "EADDRINUSE", None),
    "IP_TTL": (IP_LEVEL, socket.IP_TTL, 7, frame_to(PEER), sent(b"x"), sent(b"x", ttl=7)),
    "IP_TOS": (IP_LEVEL, socket.IP_TOS, 0xB8, frame_to(PEER), sent(b"x"), sent(b"x", tos=0xB8)),
    "IP_MULTICAST_TTL": (IP_LEVEL, MULTICAST_TTL, 9, frame_to(GROUP), multicast(ttl=1), multicast(ttl=9)),
    "IP_MTU_DISCOVER": (IP_LEVEL, IP_MTU_DISCOVER, PMTUDISC_DONT, frame_to(PEER), sent(b"x"), sent(b"x", fragment=0)),
    "IP_RECVERR": (IP_LEVEL, IP_RECVERR, 1, error_of_unconnected, 0, errno.ECONNREFUSED),
    "IP_PKTINFO": (IP_LEVEL, IP_PKTINFO, 1, told_with_a_datagram, [],
                   [(IP_LEVEL, IP_PKTINFO, packed(HOST) + packed(HOST))]),
    "IP_RECVTTL": (IP_LEVEL, IP_RECVTTL, 1, told_with_a_datagram, [], [(IP_LEVEL, IP_TTL, struct.pack("=i", 9))]),
    "IP_RECVTOS": (IP_LEVEL, IP_RECVTOS, 1, told_with_a_datagram, [], [(IP_LEVEL, IP_TOS, b"\x2e")]),
}
# Waiting: on a clock of its own only. A send never waits, and a datagram is ready whatever its size.
TIMED, WITHOUT_EFFECT = {"SO_RCVTIMEO"}, {"SO_SNDTIMEO", "SO_SNDBUF", "SO_RCVLOWAT"}
OF_GROUPS = {"IP_ADD_MEMBERSHIP", "IP_DROP_MEMBERSHIP", "IP_ADD_SOURCE_MEMBERSHIP", "IP_DROP_SOURCE_MEMBERSHIP",
             "IP_BLOCK_SOURCE", "IP_UNBLOCK_SOURCE", "IP_MSFILTER", "IP_MULTICAST_IF", "IP_MULTICAST_LOOP",
             "IP_MULTICAST_ALL"}  # test_multicast.py
SEEN_IN_A_TAG = {"SO_PRIORITY"}  # by test_vlan.py
TOLD_IN_THE_ERROR_QUEUE = {"SO_ZEROCOPY"}  # test_zero_copy.py
ONLY_READ = {"SO_SNDLOWAT", "SO_ERROR", "SO_TYPE", "SO_DOMAIN", "SO_PROTOCOL", "SO_ACCEPTCONN", "IP_MTU"}


@pytest.mark.parametrize("is_set", [False, True], ids=["without", "with"])
@pytest.mark.parametrize("name", SEEN)
def test_option_is_seen_in_what_the_socket_does(either, name, is_set):
    level, number, value, look, without, with_it = SEEN[name]
    opened = either.socket()
    if is_set:
        opened.set_option(level, number, value)
    assert look(either, opened) == (with_it if is_set else without)


def test_every_option_of_the_readme_is_looked_at():
    section = re.search(r"\n## Options\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.S)[1]
    named = set(re.findall(r"`((?:SO|IP)_\w+)`", section))
    assert named == {*SEEN, *TIMED, *WITHOUT_EFFECT, *OF_GROUPS, *SEEN_IN_A_TAG, *TOLD_IN_THE_ERROR_QUEUE, *ONLY_READ}


@pytest.mark.parametrize("control", [[(IP_LEVEL, IP_TTL, struct.pack("=i", 7))], [(IP_LEVEL, IP_TOS, b"\xb8")]])
def test_control_message_is_seen_in_the_one_datagram_that_it_was_given_to(either, control):
    opened = either.bound()
    opened.sendmsg(b"x", control, (PEER, 2000))
    opened.sendto(b"x", (PEER, 2000))
    chosen = {"ttl": 7} if control[0][1] == IP_TTL else {"tos": 0xB8}
    assert either.captured() == [sent(b"x", **chosen), sent(b"x")]
