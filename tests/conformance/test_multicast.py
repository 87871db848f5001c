"""Groups over IPv4: who hears what (RFC 1112, 3376 and Linux's options), and what routers are told (RFC 3376, 2236)."""

import errno
import select
import socket
import struct
import time

import pytest
from packets import (HOST, MACS, MF, PEER, STRANGER, checksum, datagram, ethernet, ipv4, packed, sent, tshark, udp,
                     with_identification)
from test_agrees_with_linux import outcome
from test_validation import received

IP, SOL_IP = socket.IPPROTO_IP, socket.IPPROTO_IP
G1, G2, G1_MAC, G2_MAC = "239.1.2.3", "239.1.2.4", "01:00:5e:01:02:03", "01:00:5e:01:02:04"
ALL_SYSTEMS, ALL_ROUTERS, V3_ROUTERS = "224.0.0.1", "224.0.0.2", "224.0.0.22"
MULTICAST_IF, MULTICAST_TTL, MULTICAST_LOOP, ADD, DROP = 32, 33, 34, 35, 36
UNBLOCK, BLOCK, ADD_SOURCE, DROP_SOURCE, MSFILTER = 37, 38, 39, 40, 41
JOIN_GROUP, BLOCK_SOURCE, UNBLOCK_SOURCE, LEAVE_GROUP = 42, 43, 44, 45
JOIN_SOURCE_GROUP, LEAVE_SOURCE_GROUP, MCAST_MSFILTER, MULTICAST_ALL = 46, 47, 48, 49
IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK_OLD = range(1, 7)
EXCLUDE, INCLUDE = 0, 1
IGMP = 2
ROUTER_ALERT = b"\x94\x04\x00\x00"


def mreq(group, interface="0.0.0.0"):
    return packed(group) + packed(interface)


def mreqn(group, interface="0.0.0.0", index=0):
    return packed(group) + packed(interface) + struct.pack("=i", index)


def source_mreq(group, source, interface="0.0.0.0"):
    return packed(group) + packed(interface) + packed(source)


def storage(address):
    return struct.pack("=HH4s120x", socket.AF_INET, 0, packed(address))


def group_req(group, index=0):
    return struct.pack("=I4x", index) + storage(group)


def group_source_req(group, source, index=0):
    return struct.pack("=I4x", index) + storage(group) + storage(source)


def msfilter(group, mode, sources, interface="0.0.0.0"):
    return packed(group) + packed(interface) + struct.pack("=II", mode, len(sources)) + b"".join(map(packed, sources))


@pytest.fixture(autouse=True)
def members_until_the_end():
    yield
    _kept.clear()


def to_group(payload, group=G1, source=PEER, **changes):
    return datagram(payload, source=source, destination=group, via=mac_of(group), **changes)


def mac_of(group):
    return "01:00:5e:%02x:%02x:%02x" % tuple(packed(group)[1:] if packed(group)[1] < 128 else packed(group)[1:])


_kept = []


def member(net, *groups, port=1000, address=""):
    """Stays open until the test's host is gone, or is closed by the test."""
    opened = net.socket()
    _kept.append(opened)
    opened.set_option(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind((address, port))
    for group in groups:
        opened.set_option(IP, ADD, mreq(group, HOST))
    return opened


# -- Who hears what -----------------------------------------------------------------------------------------------


def test_two_groups_joined_and_one_left(either):
    """Nobody hears a group that nobody is in."""
    receiver = member(either)
    either.inject(to_group(b"before"))
    receiver.set_option(IP, ADD, mreq(G1, HOST))
    receiver.set_option(IP, ADD, mreqn(G2, HOST))
    either.inject(to_group(b"one"), to_group(b"two", G2))
    assert received(receiver) == [b"one", b"two"]
    receiver.set_option(IP, DROP, mreq(G1, HOST))
    either.inject(to_group(b"three"), to_group(b"four", G2))
    assert received(receiver) == [b"four"]


def test_every_member_hears_a_datagram_once(either):
    members = [member(either, G1) for _ in range(3)]
    other_port = member(either, G1, port=1001)
    either.inject(to_group(b"one"), to_group(b"two"))
    assert [received(each) for each in members] == [[b"one", b"two"]] * 3
    assert received(other_port) == []


def test_who_is_bound_to_the_group_hears_that_group_alone(either):
    bound, anywhere = member(either, G1, G2, address=G1), member(either)
    unicast = member(either, address=HOST)
    either.inject(to_group(b"one"), to_group(b"two", G2), datagram(b"unicast"))
    assert received(bound) == [b"one"]
    assert received(anywhere) + received(unicast) == [b"one", b"two", b"unicast"]


def test_others_memberships_are_heard_unless_multicast_all_is_off(either):
    member(either, G1, port=1001)
    listener = member(either)
    either.inject(to_group(b"one"))
    listener.set_option(IP, MULTICAST_ALL, 0)
    either.inject(to_group(b"two"))
    assert received(listener) == [b"one"]
    listener.set_option(IP, ADD, mreq(G1, HOST))
    either.inject(to_group(b"three"))
    assert received(listener) == [b"three"]


def test_connected_member_hears_its_peer_alone(either):
    receiver = member(either, G1)
    receiver.connect((PEER, 2000))
    either.inject(to_group(b"stranger", source=STRANGER), to_group(b"peer"))
    # Connecting has bound it to an address, which isn't the group's.
    assert received(receiver) == []


@pytest.mark.parametrize("how", ["of IPv4", "of both families"])
def test_source_specific_member_hears_its_sources_alone(either, how):
    receiver = member(either)

    def change(option, source):
        if how == "of IPv4":
            receiver.set_option(IP, option, source_mreq(G1, source, HOST))
        else:
            receiver.set_option(IP, {ADD_SOURCE: JOIN_SOURCE_GROUP, DROP_SOURCE: LEAVE_SOURCE_GROUP}[option],
                                group_source_req(G1, source, index_of(either)))

    def heard():
        either.inject(to_group(b"peer"), to_group(b"stranger", source=STRANGER))
        return received(receiver)

    assert heard() == []
    change(ADD_SOURCE, PEER)
    assert heard() == [b"peer"]
    change(ADD_SOURCE, STRANGER)
    assert heard() == [b"peer", b"stranger"]
    change(DROP_SOURCE, PEER)
    assert heard() == [b"stranger"]
    change(DROP_SOURCE, STRANGER)
    assert heard() == []


def index_of(net):
    return socket.if_nametoindex(net.device) if net.name == "linux" else 0


def test_blocked_source_is_heard_by_others(either):
    choosy, other = member(either, G1), member(either, G1)
    choosy.set_option(IP, BLOCK, source_mreq(G1, STRANGER, HOST))
    either.inject(to_group(b"peer"), to_group(b"stranger", source=STRANGER))
    assert received(choosy) == [b"peer"] and received(other) == [b"peer", b"stranger"]
    choosy.set_option(IP, UNBLOCK, source_mreq(G1, STRANGER, HOST))
    either.inject(to_group(b"stranger", source=STRANGER))
    assert received(choosy) == [b"stranger"]


@pytest.mark.parametrize("mode, heard", [(INCLUDE, [b"stranger"]), (EXCLUDE, [b"peer"])])
def test_whole_filter_at_once(either, mode, heard):
    receiver = member(either, G1)
    receiver.set_option(IP, MSFILTER, msfilter(G1, mode, [STRANGER], HOST))
    either.inject(to_group(b"peer"), to_group(b"stranger", source=STRANGER))
    assert received(receiver) == heard


def test_closing_leaves(either):
    first, second = member(either, G1), member(either, port=1001)
    first.close()
    either.inject(to_group(b"one", dport=1001))
    assert received(second) == []


def test_membership_is_of_the_group_and_not_of_its_link_address(either):
    """239.1.2.3 and 225.129.2.3 have one MAC address."""
    receiver = member(either, G1)
    either.inject(datagram(b"other", destination="225.129.2.3", via=G1_MAC), to_group(b"ours"))
    assert received(receiver) == [b"ours"]


def test_fragments_to_a_group_are_put_together(either):
    receiver = member(either, G1)
    whole = udp(b"x" * 3000, destination=G1)
    either.inject(*[ethernet(ipv4(whole[at:at + 1480], destination=G1, ident=7, fragment=at // 8 | (MF if at < 2960 else 0)),
                             destination=G1_MAC) for at in (0, 1480, 2960)])
    assert received(receiver) == [b"x" * 3000]


# -- Sending ------------------------------------------------------------------------------------------------------


def test_member_on_this_host_hears_what_is_sent_unless_loop_is_off(either):
    receiver, sender = member(either, G1), either.bound(1001)
    sender.sendto(b"one", (G1, 1000))
    assert received(receiver) == [b"one"]
    sender.set_option(IP, MULTICAST_LOOP, 0)
    sender.sendto(b"two", (G1, 1000))
    assert received(receiver) == []
    own = [f for f in either.captured() if f[23] == 17]
    assert len(own) == 2


def test_sender_that_is_a_member_hears_itself(either):
    both = member(either, G1)
    both.sendto(b"one", (G1, 1000))
    assert received(both) == [b"one"]


def test_with_ttl_0_it_stays_here(either):
    receiver, sender = member(either, G1), either.bound(1001)
    sender.set_option(IP, MULTICAST_TTL, 0)
    sender.sendto(b"one", (G1, 1000))
    assert received(receiver) == [b"one"]
    assert [f for f in either.captured() if f[23] == 17] == []


def test_without_members_here_it_only_leaves(either):
    sender = either.bound()
    sender.sendto(b"hello", (G1, 2000))
    (frame,) = either.captured()
    assert with_identification(frame, 0) == sent(b"hello", destination=G1, via=G1_MAC, ttl=1)


def test_multicast_if_chooses_the_source(either):
    either.add_address("10.0.0.7/24")
    sender = either.socket()
    sender.set_option(IP, MULTICAST_IF, packed("10.0.0.7"))
    assert sender.get_option(IP, MULTICAST_IF, 4) == packed("10.0.0.7")
    sender.sendto(b"hello", (G1, 2000))
    (frame,) = [f for f in either.captured() if f[12:14] == b"\x08\x00" and f[23] == 17]
    assert frame[26:30] == packed("10.0.0.7")


# -- Errors -------------------------------------------------------------------------------------------------------


def outcomes(net, calls):
    opened = net.socket()
    out = []
    for option, value in calls:
        out.append(outcome(opened.set_option, IP, option, value))
    return out


LONG = [f"10.0.1.{i}" for i in range(1, 12)]
CALLS = {
    "join twice": [(ADD, mreq(G1, HOST))] * 2,
    "join what is no group": [(ADD, mreq(PEER, HOST)), (JOIN_GROUP, group_req(PEER)), (ADD_SOURCE, source_mreq(PEER, PEER, HOST))],
    "leave what was not joined": [(DROP, mreq(G1, HOST)), (DROP, mreq(PEER, HOST)), (DROP_SOURCE, source_mreq(G1, PEER, HOST))],
    "leave at another interface": [(ADD, mreq(G1, HOST)), (DROP, mreqn(G1, HOST, 4711)), (DROP, mreq(G1, PEER)),
                                   (DROP_SOURCE, source_mreq(G1, PEER, PEER))],
    "short values": [(ADD, b"1234567"), (DROP, b"1234567"), (ADD_SOURCE, b"x" * 11), (ADD_SOURCE, b"x" * 13),
                     (JOIN_GROUP, group_req(G1)[:-1]), (JOIN_SOURCE_GROUP, group_source_req(G1, PEER)[:-1]),
                     (MSFILTER, b"x" * 15), (MULTICAST_IF, b"123")],
    "another's interface": [(ADD, mreq(G1, PEER)), (ADD, mreqn(G1, HOST, 4711)), (JOIN_GROUP, group_req(G1, 4711)),
                            (MULTICAST_IF, packed(PEER)), (MULTICAST_IF, mreqn(G1, HOST, 4711))],
    "block before joining": [(BLOCK, source_mreq(G1, PEER, HOST)), (UNBLOCK, source_mreq(G1, PEER, HOST))],
    "block twice": [(ADD, mreq(G1, HOST))] + [(BLOCK, source_mreq(G1, PEER, HOST))] * 2,
    "unblock what isn't blocked": [(ADD, mreq(G1, HOST)), (UNBLOCK, source_mreq(G1, PEER, HOST))],
    "a source twice": [(ADD_SOURCE, source_mreq(G1, PEER, HOST))] * 2,
    "a source of another kind of list": [(ADD_SOURCE, source_mreq(G1, PEER, HOST)), (BLOCK, source_mreq(G1, STRANGER, HOST))],
    "any source after one": [(ADD_SOURCE, source_mreq(G1, PEER, HOST)), (ADD, mreq(G1, HOST))],
    "one source after any": [(ADD, mreq(G1, HOST)), (ADD_SOURCE, source_mreq(G1, PEER, HOST))],
    "too many sources": [(ADD_SOURCE, source_mreq(G1, each, HOST)) for each in LONG],
    "too many groups": [(ADD, mreq(f"239.7.7.{i}", HOST)) for i in range(21)],
    "a filter before joining": [(MSFILTER, msfilter(G1, EXCLUDE, [PEER], HOST))],
    "filters": [(ADD, mreq(G1, HOST)), (MSFILTER, msfilter(G1, 7, [PEER], HOST)), (MSFILTER, msfilter(PEER, 0, [PEER], HOST)),
                (MSFILTER, msfilter(G1, EXCLUDE, LONG, HOST)), (MSFILTER, msfilter(G1, EXCLUDE, [PEER] * 3, HOST)[:-4]),
                (MSFILTER, msfilter(G1, INCLUDE, [], HOST)), (DROP, mreq(G1, HOST))],
    "flags": [(MULTICAST_ALL, 2), (MULTICAST_ALL, 1), (MULTICAST_ALL, b""), (MULTICAST_LOOP, 2), (MULTICAST_LOOP, b"")],
    "leaving by source the last": [(ADD_SOURCE, source_mreq(G1, PEER, HOST)), (DROP_SOURCE, source_mreq(G1, PEER, HOST)),
                                   (DROP, mreq(G1, HOST))],
    "another family": [(JOIN_GROUP, struct.pack("=I4xH126x", 0, socket.AF_INET6))],
}


@pytest.mark.parametrize("name", CALLS)
def test_errors_are_linux_ones(both, name):
    ours, linux = (outcomes(net, CALLS[name]) for net in both)
    assert ours == linux


def test_filters_read_back_are_linux_ones(both):
    def told(net):
        opened = member(net, G1)
        opened.set_option(IP, BLOCK, source_mreq(G1, PEER, HOST))
        opened.set_option(IP, BLOCK, source_mreq(G1, STRANGER, HOST))
        opened.set_option(IP, MULTICAST_LOOP, 5)
        return [opened.get_option(IP, MULTICAST_LOOP), opened.get_option(IP, MULTICAST_ALL),
                opened.get_option(IP, MULTICAST_IF, 4), opened.get_option(IP, MULTICAST_LOOP, 1)]

    ours, linux = map(told, both)
    assert ours == linux


# -- What routers are told ----------------------------------------------------------------------------------------


def is_igmp(frame):
    return frame[12:14] == b"\x08\x00" and frame[23] == IGMP


def reports(net, count=1, patience=15):
    """The next IGMP messages of the host. On our stack time is passed on until they have come."""
    out, limit = [], time.monotonic() + patience
    while len(out) < count:
        out += [f for f in net.captured() if is_igmp(f)]
        if len(out) >= count:
            break
        if net.name == "linux":
            select.select([net.tap], [], [], 1)
        else:
            net.advance(0.05)
        assert time.monotonic() < limit, out
    return out[:count]


def igmp_frame(message, destination, source=HOST):
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    outer = ipv4(message, source=source, destination=destination, protocol=IGMP, ttl=1, tos=0xC0, options=ROUTER_ALERT)
    return ethernet(outer, source=MACS[source], destination=mac_of(destination))


def record(kind, group, sources=()):
    return struct.pack("!BBH", kind, 0, len(sources)) + packed(group) + b"".join(map(packed, sources))


def report_v3(*records):
    return igmp_frame(struct.pack("!BBHHH", 0x22, 0, 0, 0, len(records)) + b"".join(records), V3_ROUTERS)


def message_v2(kind, group, destination):
    return igmp_frame(struct.pack("!BBH", kind, 0, 0) + packed(group), destination)


def query(group="0.0.0.0", sources=(), delay=1, version=3, source=PEER, ttl=1, check=None, destination=None):
    head = struct.pack("!BBH", 0x11, delay if version > 1 else 0, 0) + packed(group)
    if version == 3:
        head += struct.pack("!BBH", 2, 125, len(sources)) + b"".join(map(packed, sources))
    total = checksum(head) if check is None else check
    head = head[:2] + struct.pack("!H", total) + head[4:]
    to = destination or (ALL_SYSTEMS if group == "0.0.0.0" else group)
    outer = ipv4(head, source=source, destination=to, protocol=IGMP, ttl=ttl, tos=0xC0, options=ROUTER_ALERT)
    return ethernet(outer, source=source, destination=mac_of(to))


def settled(net, *groups, sources=()):
    """A socket that is a member, when everything has been said about that."""
    opened = member(net, *groups)
    for source in sources:
        opened.set_option(IP, ADD_SOURCE, source_mreq(G1, source, HOST))
    quiet(net)
    return opened


def quiet(net):
    """Until nothing more is said of itself: two tellings of each change, at most a second apart."""
    if net.name == "fastudp":
        net.advance(12)
        net.captured()
        return
    last = time.monotonic()
    while time.monotonic() - last < 1.5:
        if [f for f in net.captured() if is_igmp(f)]:
            last = time.monotonic()
        select.select([net.tap], [], [], 0.1)


def test_joining_and_leaving_are_told_twice(either):
    opened = member(either, G1)
    joined = report_v3(record(TO_EX, G1))
    assert reports(either, 2) == [joined] * 2
    opened.set_option(IP, DROP, mreq(G1, HOST))
    left = report_v3(record(TO_IN, G1))
    assert reports(either, 2) == [left] * 2


def test_source_lists_are_told(either):
    opened = member(either)
    opened.set_option(IP, ADD_SOURCE, source_mreq(G1, PEER, HOST))
    assert set(reports(either, 2)) == {report_v3(record(ALLOW, G1, [PEER]))}
    opened.set_option(IP, DROP_SOURCE, source_mreq(G1, PEER, HOST))
    assert set(reports(either, 2)) == {report_v3(record(BLOCK_OLD, G1, [PEER]))}


def test_second_member_is_no_news(net):
    settled(net, G1)
    member(net, G1)
    net.advance(10)
    assert [f for f in net.captured() if is_igmp(f)] == []


def test_members_are_told_of_together(net):
    """RFC 3376 3.2"""
    settled(net, sources=[PEER])
    second = net.socket()
    second.set_option(IP, ADD_SOURCE, source_mreq(G1, STRANGER, HOST))
    assert reports(net)[0] == report_v3(record(ALLOW, G1, [STRANGER]))
    quiet(net)
    third = net.socket()
    third.set_option(IP, ADD, mreq(G1, HOST))
    assert reports(net)[0] == report_v3(record(TO_EX, G1))
    quiet(net)
    third.set_option(IP, BLOCK, source_mreq(G1, STRANGER, HOST))
    assert not [f for f in net.captured() if is_igmp(f)]  # the second listens to it
    third.set_option(IP, BLOCK, source_mreq(G1, "10.0.0.4", HOST))
    assert reports(net)[0] == report_v3(record(BLOCK_OLD, G1, ["10.0.0.4"]))
    quiet(net)
    third.close()
    assert sorted(reports(net)[0][46:]) == sorted(report_v3(record(TO_IN, G1, [PEER, STRANGER]))[46:])


def test_general_query_is_answered_with_every_group(either):
    settled(either, G1, G2)
    either.inject(query())
    (answer,) = reports(either)
    assert answer in (report_v3(record(IS_EX, G1), record(IS_EX, G2)), report_v3(record(IS_EX, G2), record(IS_EX, G1)))


def test_query_of_a_group_is_answered_for_that_group(either):
    settled(either, G1, G2)
    either.inject(query(G2))
    assert reports(either) == [report_v3(record(IS_EX, G2))]


def test_query_of_sources_is_answered_for_those_that_are_heard(either):
    settled(either, sources=[PEER])
    either.inject(query(G1, [STRANGER]), query(G1, [PEER, STRANGER]))
    assert reports(either) == [report_v3(record(IS_IN, G1, [PEER]))]


def test_sooner_answer_about_all_says_it_for_the_later_one(net):
    """RFC 3376 5.2, rule 1"""
    settled(net, G1, G2)
    net.inject(query(delay=1), query(G1, delay=200), query(delay=200))
    net.advance(30)
    assert [f for f in net.captured() if is_igmp(f)] == [report_v3(record(IS_EX, G1), record(IS_EX, G2))]


def test_answers_come_within_the_time_that_the_router_gives(net):
    """RFC 3376 4.1.1: code 0x8a is (0x10 | 10) << 3 = 208 tenths of a second."""
    settled(net, G1)
    times = []
    for _ in range(40):
        net.inject(query(delay=0x8A))
        start = net.now
        reports(net)
        times.append((net.now - start) / 1e9)
        net.advance(30)
    assert max(times) <= 20.8 and max(times) - min(times) > 8


def test_older_router_hears_the_older_protocol(either):
    """RFC 3376 7.2.1: a query of version 2 makes the host speak version 2."""
    opened = settled(either, G1)
    either.inject(query(version=2))
    assert reports(either) == [message_v2(0x16, G1, G1)]
    opened.set_option(IP, ADD, mreq(G2, HOST))
    assert reports(either) == [message_v2(0x16, G2, G2)]
    opened.set_option(IP, DROP, mreq(G1, HOST))
    said = reports(either, 1)
    while said[-1] == message_v2(0x16, G2, G2):
        said = reports(either, 1)
    assert said == [message_v2(0x17, G1, ALL_ROUTERS)]


def test_router_of_version_1_hears_version_1_and_no_leaving(net):
    opened = settled(net, G1)
    net.inject(query(version=1))
    assert reports(net) == [message_v2(0x12, G1, G1)]
    opened.set_option(IP, DROP, mreq(G1, HOST))
    net.advance(30)
    assert [f for f in net.captured() if is_igmp(f)] == []


def test_older_router_is_forgotten(net):
    settled(net, G1)
    net.inject(query(version=2, delay=100))
    net.advance(259.9)
    net.captured()
    net.inject(query())
    assert reports(net) == [message_v2(0x16, G1, G1)]
    net.advance(0.2)
    net.inject(query())
    assert reports(net) == [report_v3(record(IS_EX, G1))]


def test_report_of_another_host_saves_ours_in_version_2(net):
    settled(net, G1)
    net.inject(query(version=2, delay=100))
    net.captured()
    message = struct.pack("!BBH", 0x16, 0, 0) + packed(G1)
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    outer = ipv4(message, source=PEER, destination=G1, protocol=IGMP, ttl=1, options=ROUTER_ALERT)
    net.inject(ethernet(outer, destination=G1_MAC))
    net.advance(30)
    assert [f for f in net.captured() if is_igmp(f)] == []


FORGED = {
    "from afar": query(ttl=64),
    "with a wrong checksum": query(check=0x1234),
    "of a group, to another": query(G1, destination=G2),
    "of all, to a group": query(destination=G1),
    "cut off": ethernet(ipv4(b"\x11\x01\xee\xfe", destination=ALL_SYSTEMS, protocol=IGMP, ttl=1), destination=mac_of(ALL_SYSTEMS)),
    "of a length of no version": ethernet(ipv4(b"\x11\x01\xee\xfe" + b"\0" * 6, destination=ALL_SYSTEMS, protocol=IGMP, ttl=1),
                                          destination=mac_of(ALL_SYSTEMS)),
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_query_changes_nothing(net, kind):
    settled(net, G1, G2)
    net.inject(FORGED[kind])
    net.advance(30)
    assert [f for f in net.captured() if is_igmp(f)] == [] and sum(net.drops().values()) == 1


def test_query_with_fewer_sources_than_it_says_is_dropped(net):
    settled(net, G1)
    whole = query(G1, [PEER, STRANGER])
    head = struct.pack("!BBH", 0x11, 1, 0) + packed(G1) + struct.pack("!BBH", 2, 125, 3) + packed(PEER)
    head = head[:2] + struct.pack("!H", checksum(head)) + head[4:]
    net.inject(ethernet(ipv4(head, destination=G1, protocol=IGMP, ttl=1, options=ROUTER_ALERT), destination=G1_MAC))
    net.advance(30)
    assert [f for f in net.captured() if is_igmp(f)] == [] and net.drops() == {"group_message": 1}
    net.inject(whole)
    assert reports(net)


def test_flood_of_queries_is_answered_once(net):
    settled(net, G1, G2)
    net.inject(*[query(delay=100)] * 2000, *[query(G1, [f"10.9.{i // 250}.{i % 250}" for i in range(j, j + 20)], delay=100)
                                             for j in range(0, 2000, 20)])
    net.advance(30)
    assert [f for f in net.captured() if is_igmp(f)] in (
        [report_v3(record(IS_EX, G1), record(IS_EX, G2))], [report_v3(record(IS_EX, G1), record(IS_EX, G2)), report_v3(record(IS_EX, G1))],
        [report_v3(record(IS_EX, G1)), report_v3(record(IS_EX, G1), record(IS_EX, G2))])
    assert net.all_frames_are_back()


def test_all_systems_group_is_never_reported(net):
    member(net, ALL_SYSTEMS)
    net.inject(query())
    net.advance(30)
    assert net.captured() == []


def test_many_groups_are_reported_in_as_many_frames_as_it_takes(net):
    sockets = [net.socket() for _ in range(15)]
    groups = [f"239.9.{i}.{j}" for i in range(15) for j in range(20)]
    for number, group in enumerate(groups):
        sockets[number // 20].set_option(IP, ADD, mreq(group, HOST))
    quiet(net)
    net.inject(query())
    net.advance(1)
    answers = [f for f in net.captured() if is_igmp(f)]
    assert all(len(f) <= 1514 for f in answers) and len(answers) == 2
    assert sum(struct.unpack_from("!H", f, 44)[0] for f in answers) == 300


def test_tshark_reads_the_reports(net):
    opened = member(net, G1)
    opened.set_option(IP, ADD_SOURCE, source_mreq(G2, PEER, HOST))
    frames = reports(net, 2)
    kinds = tshark(frames, "igmp.type", "igmp.checksum.status", "igmp.record_type", "igmp.maddr", "igmp.saddr", "ip.opt.ra")
    assert kinds[0][:5] == ("0x22", "1", "4", G1, "") and kinds[1][:5] == ("0x22", "1", "5", G2, PEER)
