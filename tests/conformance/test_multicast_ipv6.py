"""Groups over IPv6: Linux's options, and what routers are told (RFC 3810, 2710); ours and the kernel's side by side."""

import contextlib
import socket
import struct
import time

import pytest
from nets_ipv6 import NEAR, OUR_MAC, OURS, PEER, STRANGER, FastudpHost, LinuxHost, is_mld
from packets import tshark
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (ICMPv6MLDMultAddrRec, ICMPv6MLDone, ICMPv6MLQuery, ICMPv6MLQuery2, ICMPv6MLReport,
                                ICMPv6MLReport2, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, RouterAlert)
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from test_agrees_with_linux import outcome
from test_ipv6 import OUR_GROUP_MAC, solicitation

SIX = socket.IPPROTO_IPV6
MULTICAST_IF, MULTICAST_HOPS, MULTICAST_LOOP, ADD, DROP, MULTICAST_ALL = 17, 18, 19, 20, 21, 29
JOIN_GROUP, BLOCK_SOURCE, UNBLOCK_SOURCE, LEAVE_GROUP, JOIN_SOURCE, LEAVE_SOURCE, MSFILTER = 42, 43, 44, 45, 46, 47, 48
IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK_OLD = range(1, 7)
G1, G2, G1_MAC, G2_MAC = "ff15::1:2:3", "ff15::1:2:4", "33:33:00:02:00:03", "33:33:00:02:00:04"
ROUTER, ROUTER_MAC = "fe80::99", "02:00:00:00:00:99"
V2_ROUTERS, ALL_NODES, ALL_ROUTERS = "ff02::16", "ff02::1", "ff02::2"


def packed(address):
    return socket.inet_pton(socket.AF_INET6, address)


@pytest.fixture(params=["fastudp", "linux"])
def host(request):
    with contextlib.closing(FastudpHost() if request.param == "fastudp" else LinuxHost()) as made:
        quiet(made)
        yield made


@pytest.fixture
def both():
    with contextlib.closing(FastudpHost()) as ours, contextlib.closing(LinuxHost()) as linux:
        yield ours, linux


def quiet(host):
    """Until all that the host has to say of itself is said."""
    if host.name == "fastudp":
        for _ in range(300):
            host.wait()
        return
    last = time.monotonic()
    while time.monotonic() - last < 1.5:
        if [f for f in host.wait() if is_mld(f)]:
            last = time.monotonic()


def reports(host, count=1, about=(G1, G2)):
    """The next messages of the host about these groups; the kernel has groups of its own as well."""
    out, limit = [], time.monotonic() + 20
    waiting = host.captured()
    while True:
        out += [bytes(f) for f in waiting if is_mld(f) and any(packed(group) in bytes(f)[54:] for group in about)]
        if len(out) >= count:
            return out[:count]
        waiting = host.wait()
        assert time.monotonic() < limit, out


def mreq(group, index=0):
    return packed(group) + struct.pack("=I", index)


def storage(address):
    return struct.pack("=HHI16s104x", socket.AF_INET6, 0, 0, packed(address))


def group_source_req(group, source, index=0):
    return struct.pack("=I4x", index) + storage(group) + storage(source)


def member(host, *groups, port=1000):
    opened = host.socket()
    opened.set_option(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(("::", port))
    for group in groups:
        opened.set_option(SIX, ADD, mreq(group, host.index))
    return opened


def received(opened):
    out = []
    while True:
        try:
            out.append(opened.recv(65535, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return out


def to_group(payload, group=G1, source=PEER):
    mac = "33:33:" + ":".join(f"{b:02x}" for b in packed(group)[12:])
    return IPv6(src=source, dst=group) / UDP(sport=2000, dport=1000) / Raw(payload), mac


def report_v2(*records):
    message = ICMPv6MLReport2(records=[ICMPv6MLDMultAddrRec(rtype=kind, dst=group, sources=list(sources))
                                       for kind, group, sources in records])
    return mld(message, V2_ROUTERS)


def mld(message, destination):
    alert = IPv6ExtHdrHopByHop(options=[RouterAlert()])
    mac = "33:33:" + ":".join(f"{b:02x}" for b in packed(destination)[12:])
    return bytes(Ether(src=OUR_MAC, dst=mac) / IPv6(src=NEAR, dst=destination, hlim=1) / alert / message)


def query(group="::", sources=(), delay=100, version=2, source=ROUTER, hops=1, alert=True, destination=None):
    kind = ICMPv6MLQuery if version == 1 else ICMPv6MLQuery2
    extra = {} if version == 1 else {"sources": list(sources), "QRV": 2, "QQIC": 125}
    to = destination or (ALL_NODES if group == "::" else group)
    packet = IPv6(src=source, dst=to, hlim=hops)
    if alert:
        packet /= IPv6ExtHdrHopByHop(options=[RouterAlert()])
    return packet / kind(mladdr=group, mrd=delay, **extra), "33:33:" + ":".join(f"{b:02x}" for b in packed(to)[12:])


# -- Who hears what -----------------------------------------------------------------------------------------------


def test_two_groups_joined_and_one_left(host):
    receiver = member(host)
    host.inject(to_group(b"before"))
    for group in (G1, G2):
        receiver.set_option(SIX, ADD, mreq(group, host.index))
    host.inject(to_group(b"one"), to_group(b"two", G2))
    assert received(receiver) == [b"one", b"two"]
    receiver.set_option(SIX, DROP, mreq(G1, host.index))
    host.inject(to_group(b"three"), to_group(b"four", G2))
    assert received(receiver) == [b"four"]


def test_source_specific_member_hears_its_sources_alone(host):
    receiver = member(host)
    receiver.set_option(SIX, JOIN_SOURCE, group_source_req(G1, PEER, host.index))
    host.inject(to_group(b"peer"), to_group(b"stranger", source=STRANGER))
    assert received(receiver) == [b"peer"]
    receiver.set_option(SIX, LEAVE_SOURCE, group_source_req(G1, PEER, host.index))
    host.inject(to_group(b"peer"))
    assert received(receiver) == []


def test_blocked_source_is_heard_by_others(host):
    choosy, other = member(host, G1), member(host, G1)
    choosy.set_option(SIX, BLOCK_SOURCE, group_source_req(G1, STRANGER, host.index))
    host.inject(to_group(b"peer"), to_group(b"stranger", source=STRANGER))
    assert received(choosy) == [b"peer"] and received(other) == [b"peer", b"stranger"]


def test_others_memberships_are_heard_unless_multicast_all_is_off(host):
    other, listener = member(host, G1, port=1001), member(host)
    host.inject(to_group(b"one"))
    listener.set_option(SIX, MULTICAST_ALL, 0)
    host.inject(to_group(b"two"))
    assert received(listener) == [b"one"] and received(other) == []


def test_member_on_this_host_hears_what_is_sent_unless_loop_is_off(host):
    receiver, sender = member(host, G1), host.socket()
    sender.set_option(SIX, MULTICAST_IF, host.index)
    sender.sendto(b"one", (G1, 1000))
    assert received(receiver) == [b"one"]
    sender.set_option(SIX, MULTICAST_LOOP, 0)
    sender.sendto(b"two", (G1, 1000))
    assert received(receiver) == []
    assert [bytes(f[UDP].payload) for f in host.said() if UDP in f] == [b"one", b"two"]


def test_interface_local_group_never_leaves(host):
    sender = host.socket()
    sender.set_option(SIX, MULTICAST_IF, host.index)
    sender.sendto(b"one", ("ff11::1", 1000))
    assert [f for f in host.said() if UDP in f] == []


@pytest.mark.parametrize("hops", [1, 7])
def test_hops_to_groups(host, hops):
    sender = host.socket()
    sender.set_option(SIX, MULTICAST_IF, host.index)
    if hops != 1:
        sender.set_option(SIX, MULTICAST_HOPS, hops)
    sender.sendto(b"one", (G1, 1000))
    (frame,) = [f for f in host.said() if UDP in f]
    assert (frame.dst, frame[IPv6].hlim, frame[IPv6].src) == (G1_MAC, hops, OURS)


def test_fragments_to_a_group_are_put_together(host):
    receiver = member(host, G1)
    whole = bytes((to_group(b"x" * 2000)[0])[UDP])
    whole = bytes(IPv6(bytes(to_group(b"x" * 2000)[0]))[UDP])
    for at in (0, 1200):
        host.inject((IPv6(src=PEER, dst=G1) / IPv6ExtHdrFragment(nh=17, offset=at // 8, m=at == 0, id=7)
                     / Raw(whole[at:at + 1200]), G1_MAC))
    assert received(receiver) == [b"x" * 2000]


CALLS = {
    "join twice": lambda i: [(ADD, mreq(G1, i))] * 2,
    "join what is no group": lambda i: [(ADD, mreq(PEER, i)), (JOIN_SOURCE, group_source_req(PEER, PEER, i))],
    "leave what was not joined": lambda i: [(DROP, mreq(G1, i)), (DROP, mreq(PEER, i)), (LEAVE_SOURCE, group_source_req(G1, PEER, i))],
    "short values": lambda i: [(ADD, b"x" * 19), (JOIN_SOURCE, b"x" * 263), (MULTICAST_IF, b"x" * 3), (MSFILTER, b"x" * 100)],
    "another interface": lambda i: [(ADD, mreq(G1, 4711)), (MULTICAST_IF, 4711), (DROP, mreq(G1, 4711))],
    "block before joining": lambda i: [(BLOCK_SOURCE, group_source_req(G1, PEER, i)), (UNBLOCK_SOURCE, group_source_req(G1, PEER, i))],
    "block twice": lambda i: [(ADD, mreq(G1, i))] + [(BLOCK_SOURCE, group_source_req(G1, PEER, i))] * 2,
    "a source twice": lambda i: [(JOIN_SOURCE, group_source_req(G1, PEER, i))] * 2,
    "a source of another kind of list": lambda i: [(JOIN_SOURCE, group_source_req(G1, PEER, i)),
                                                   (BLOCK_SOURCE, group_source_req(G1, STRANGER, i))],
    "too many sources": lambda i: [(JOIN_SOURCE, group_source_req(G1, f"fd00::9:{n}", i)) for n in range(1, 67)],
    "flags": lambda i: [(MULTICAST_LOOP, 2), (MULTICAST_LOOP, 0), (MULTICAST_ALL, 0), (MULTICAST_LOOP, b"")],
    "another family": lambda i: [(JOIN_GROUP, struct.pack("=I4xH126x", i, socket.AF_INET))],
}


@pytest.mark.parametrize("name", CALLS)
def test_errors_are_linux_ones(both, name):
    def outcomes(host):
        opened = host.socket()
        return [outcome(opened.set_option, SIX, option, value) for option, value in CALLS[name](host.index)]

    ours, linux = map(outcomes, both)
    assert ours == linux


# -- What routers are told ----------------------------------------------------------------------------------------


def test_joining_and_leaving_are_told_twice(host):
    opened = member(host, G1)
    assert reports(host, 2) == [report_v2((TO_EX, G1, []))] * 2
    opened.set_option(SIX, DROP, mreq(G1, host.index))
    assert reports(host, 2) == [report_v2((TO_IN, G1, []))] * 2


def test_source_lists_are_told(host):
    opened = member(host)
    opened.set_option(SIX, JOIN_SOURCE, group_source_req(G1, PEER, host.index))
    assert set(reports(host, 2)) == {report_v2((ALLOW, G1, [PEER]))}
    opened.set_option(SIX, LEAVE_SOURCE, group_source_req(G1, PEER, host.index))
    assert set(reports(host, 2)) == {report_v2((BLOCK_OLD, G1, [PEER]))}


def test_query_of_a_group_is_answered_for_that_group(host):
    kept = member(host, G1, G2)
    quiet(host)
    host.inject(query(G2))
    assert reports(host) == [report_v2((IS_EX, G2, []))]
    assert kept


def test_query_of_sources_is_answered_for_those_that_are_heard(host):
    opened = member(host)
    opened.set_option(SIX, JOIN_SOURCE, group_source_req(G1, PEER, host.index))
    quiet(host)
    host.inject(query(G1, [STRANGER]), query(G1, [PEER, STRANGER]))
    assert reports(host) == [report_v2((IS_IN, G1, [PEER]))]


def test_general_query_is_answered_with_every_group(host):
    """The group of our solicited node is one of them (RFC 4291 2.8), but for those who don't announce themselves."""
    kept = member(host, G1, G2)
    quiet(host)
    host.inject(query())
    (answer,) = reports(host)
    assert all(bytes([IS_EX, 0, 0, 0]) + packed(group) in answer for group in (G1, G2))
    assert packed(ALL_NODES) not in answer[62:] and kept


def test_older_router_hears_the_older_protocol(host):
    opened = member(host, G1)
    quiet(host)
    host.inject(query(version=1))
    assert reports(host) == [mld(ICMPv6MLReport(mladdr=G1), G1)]
    opened.set_option(SIX, DROP, mreq(G1, host.index))
    assert reports(host) == [mld(ICMPv6MLDone(mladdr=G1), ALL_ROUTERS)]


FORGED = {
    "from afar": query(hops=64),
    "from a global address": query(source=PEER),
    "without a router alert": query(alert=False),
    "of a group, to another": query(G1, destination=G2),
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_query_changes_nothing(kind):
    with contextlib.closing(FastudpHost()) as host:
        kept = member(host, G1, G2)
        quiet(host)
        host.inject(FORGED[kind])
        assert [f for _ in range(100) for f in host.wait() if is_mld(f)] == []
        assert host.drops() == {"group_message": 1} and kept


def test_address_is_reported_by_its_solicited_node_group_when_it_is_announced():
    """A switch that looks at reports lets solicitations through only then. The first may come before there is a
    link-local address to send it from (RFC 3590)."""
    with contextlib.closing(FastudpHost(extra="announce=on")) as host:
        group = "ff02::1:ff00:1"
        first, second = reports(host, 2, about=[group])
        assert first[66:] == second[66:] and second == report_v2((TO_EX, group, []))


def test_tshark_reads_the_reports():
    with contextlib.closing(FastudpHost()) as host:
        opened = member(host, G1)
        opened.set_option(SIX, JOIN_SOURCE, group_source_req(G2, PEER, host.index))
        told = tshark(reports(host, 2), "icmpv6.type", "icmpv6.checksum.status", "icmpv6.mldr.mar.record_type",
                      "icmpv6.mldr.mar.multicast_address", "icmpv6.mldr.mar.source_address", "ipv6.opt.router_alert", "ipv6.hlim",
                      "ipv6.dst", "_ws.malformed")
        assert told == [("143", "1", str(TO_EX), G1, "", "0", "1", V2_ROUTERS, ""),
                        ("143", "1", str(ALLOW), G2, PEER, "0", "1", V2_ROUTERS, "")]


def test_tshark_reads_the_messages_to_older_routers():
    with contextlib.closing(FastudpHost()) as host:
        opened = member(host, G1)
        quiet(host)
        host.inject(query(version=1))
        messages = reports(host)
        opened.set_option(SIX, DROP, mreq(G1, host.index))
        told = tshark(messages + reports(host), "icmpv6.type", "icmpv6.checksum.status", "icmpv6.mld.multicast_address",
                      "ipv6.opt.router_alert", "ipv6.dst", "_ws.malformed")
        assert told == [("131", "1", G1, "0", G1, ""), ("132", "1", G1, "0", ALL_ROUTERS, "")]


def test_tshark_reads_neighbour_discovery():
    with contextlib.closing(FastudpHost()) as host:
        (answer,) = host.hear(solicitation(), destination=OUR_GROUP_MAC)
        host.socket().sendto(b"where are you?", (STRANGER, 9))
        (question,) = host.said()
        told = tshark([bytes(answer), bytes(question)], "icmpv6.type", "icmpv6.checksum.status", "icmpv6.nd.na.target_address",
                      "icmpv6.nd.na.flag.s", "icmpv6.nd.na.flag.o", "icmpv6.nd.ns.target_address", "icmpv6.opt.linkaddr",
                      "ipv6.hlim", "_ws.malformed")
        assert told == [("136", "1", OURS, "1", "1", "", OUR_MAC, "255", ""), ("135", "1", "", "", "", STRANGER, OUR_MAC, "255", "")]
