"""IPv6 on the wire (RFC 8200, 4443, 4861, 4862): what comes in as Scapy builds it, what goes out as Scapy reads it."""

import contextlib
import socket

import fastudp
import pytest
from nets_ipv6 import (NEAR, OUR_MAC, OURS, PEER, PEER_MAC, STRANGER, STRANGER_MAC, FastudpHost, LinuxHost)
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
                                ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, ICMPv6ParamProblem,
                                ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrRouting, HBHOptUnknown)
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from test_agrees_with_linux import outcome

ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
OUR_GROUP, OUR_GROUP_MAC = "ff02::1:ff00:1", "33:33:ff:00:00:01"


@pytest.fixture
def make_host():
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(contextlib.closing(FastudpHost(**settings)))


@pytest.fixture
def host(make_host):
    return make_host()


@pytest.fixture(params=[FastudpHost, LinuxHost], ids=["fastudp", "linux"])
def either(request):
    with contextlib.closing(request.param()) as made:
        yield made


def datagram(payload=b"hello", source=PEER, destination=OURS, sport=2000, dport=1000, **ip):
    return IPv6(src=source, dst=destination, **ip) / UDP(sport=sport, dport=dport) / Raw(payload)


def rightly_summed(packet, layer):
    """Whether the checksum is the one that Scapy would have written."""
    ip = packet[IPv6].copy()
    shown = ip[layer].chksum if layer is UDP else ip[layer].cksum
    if layer is UDP:
        del ip[layer].chksum
    else:
        del ip[layer].cksum
    again = IPv6(bytes(ip))
    return shown == (again[layer].chksum if layer is UDP else again[layer].cksum)


# -- Neighbour discovery --------------------------------------------------------------------------------------------


def solicitation(source=PEER, destination=OUR_GROUP, target=OURS, hop_limit=255, mac=PEER_MAC):
    asked = IPv6(src=source, dst=destination, hlim=hop_limit) / ICMPv6ND_NS(tgt=target)
    return asked / ICMPv6NDOptSrcLLAddr(lladdr=mac) if mac else asked


def test_a_solicitation_for_our_address_is_answered(either):
    said, = either.hear(solicitation(), destination=OUR_GROUP_MAC)
    assert (said.src, said.dst) == (OUR_MAC, PEER_MAC)
    assert (said[IPv6].src, said[IPv6].dst, said[IPv6].hlim) == (OURS, PEER, 255)
    told = said[ICMPv6ND_NA]
    assert (told.tgt, told.R, told.S, told.O, told.res) == (OURS, 0, 1, 1, 0)
    assert said[ICMPv6NDOptDstLLAddr].lladdr == OUR_MAC
    assert rightly_summed(said, ICMPv6ND_NA)


def test_our_link_local_address_is_made_of_our_mac(either):
    said, = either.hear(solicitation(target=NEAR), destination=OUR_GROUP_MAC)
    assert said[ICMPv6ND_NA].tgt == NEAR


@pytest.mark.parametrize("wrong", [
    solicitation(hop_limit=254), solicitation(target=STRANGER), solicitation(target="ff02::1"),
    solicitation(source="::"), solicitation(source="::", destination=ALL_NODES, mac=None),
    IPv6(src=PEER, dst=OUR_GROUP, hlim=255) / ICMPv6ND_NS(tgt=OURS, code=1),
    IPv6(src=PEER, dst=OUR_GROUP, hlim=255) / ICMPv6ND_NS(tgt=OURS, cksum=1),
    IPv6(src=PEER, dst=OUR_GROUP, hlim=255) / ICMPv6ND_NS(tgt=OURS) / Raw(b"\1\0" + bytes(6)),
    IPv6(src=PEER, dst=OUR_GROUP, hlim=255) / ICMPv6ND_NS(tgt=OURS) / Raw(b"\1\2" + bytes(6)),
    solicitation(mac="33:33:00:00:00:01"),
], ids=["through a router", "not for us", "group as target", "probe with a link-layer address", "probe to all", "code", "checksum",
        "option of length 0", "option beyond the end", "group as sender"])
def test_a_solicitation_that_is_wrong_draws_nothing_and_teaches_nothing(make_host, wrong):
    host = make_host(resolved=False)
    assert host.hear(wrong, destination=OUR_GROUP_MAC) == []
    assert host.stack.get_neighbour(PEER) is None


def test_who_looks_for_our_address_is_told_by_a_message_to_all(either):
    said, = either.hear(solicitation(source="::", mac=None), destination=OUR_GROUP_MAC)
    assert (said.dst, said[IPv6].dst, said[ICMPv6ND_NA].S, said[ICMPv6ND_NA].O) == (ALL_NODES_MAC, ALL_NODES, 0, 1)


def test_an_unknown_neighbour_is_solicited_and_gets_what_waited(make_host):
    host = make_host(resolved=False)
    opened = host.bound()
    opened.sendto(b"one", (PEER, 2000))
    opened.sendto(b"two", (PEER, 2000))
    asked, = host.said()
    assert (asked.dst, asked[IPv6].dst, asked[IPv6].src, asked[IPv6].hlim) == ("33:33:ff:00:00:02", "ff02::1:ff00:2", OURS, 255)
    assert asked[ICMPv6ND_NS].tgt == PEER and asked[ICMPv6NDOptSrcLLAddr].lladdr == OUR_MAC
    assert rightly_summed(asked, ICMPv6ND_NS)
    sent = host.hear(IPv6(src=PEER, dst=OURS, hlim=255) / ICMPv6ND_NA(tgt=PEER, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=PEER_MAC))
    assert [each[Raw].load for each in sent] == [b"one", b"two"]
    assert all(each.dst == PEER_MAC and rightly_summed(each, UDP) for each in sent)
    assert host.stack.get_neighbour(PEER) == (PEER_MAC, fastudp.REACHABLE)


def test_three_solicitations_without_an_answer_are_a_failure(make_host):
    host = make_host(resolved=False)
    opened = host.bound()
    opened.set_option(socket.IPPROTO_IPV6, 25, 1)  # IPV6_RECVERR
    opened.connect((PEER, 2000))
    opened.send(b"anyone?")
    asked = host.said() + [frame for _ in range(5) for frame in host.advance(1)]
    assert len([each for each in asked if ICMPv6ND_NS in each]) == 3
    with pytest.raises(OSError, match="") as caught:
        opened.recv()
    assert caught.value.errno == 113  # EHOSTUNREACH


def advertisement(mac, source=PEER, **flags):
    return IPv6(src=source, dst=OURS, hlim=255) / ICMPv6ND_NA(tgt=PEER, **flags) / ICMPv6NDOptDstLLAddr(lladdr=mac)


def test_an_advertisement_that_nobody_asked_for_makes_no_entry(make_host):
    host = make_host(resolved=False)
    host.hear(advertisement(PEER_MAC, S=0, O=1))
    host.hear(advertisement(PEER_MAC, S=1, O=1))
    assert host.stack.get_neighbour(PEER) is None


def test_without_the_override_flag_what_is_known_stays(make_host):
    host = make_host(resolved=False)
    host.bound().sendto(b"x", (PEER, 2000))
    host.hear(advertisement(PEER_MAC, S=1, O=1))
    host.advance(5)
    host.hear(advertisement(STRANGER_MAC, S=0, O=0))
    assert host.stack.get_neighbour(PEER)[0] == PEER_MAC
    host.hear(advertisement(STRANGER_MAC, S=0, O=1))
    assert host.stack.get_neighbour(PEER) == (STRANGER_MAC, fastudp.STALE)


def test_a_new_address_is_looked_for_and_then_announced(make_host):
    host = make_host(extra="announce=on", resolved=False)
    seen = [frame for _ in range(40) for frame in host.advance(0.1)]
    probes = [each for each in seen if ICMPv6ND_NS in each]
    told = [each for each in seen if ICMPv6ND_NA in each]
    assert sorted(each[ICMPv6ND_NS].tgt for each in probes) == sorted([OURS, NEAR])
    assert all(each[IPv6].src == "::" and each[IPv6].dst == OUR_GROUP and ICMPv6NDOptSrcLLAddr not in each for each in probes)
    assert sorted(each[ICMPv6ND_NA].tgt for each in told) == sorted([OURS, NEAR])
    assert all((each[IPv6].dst, each[ICMPv6ND_NA].S) == (ALL_NODES, 0) for each in told)


def test_whoever_defends_an_address_of_ours_is_heard(make_host):
    """RFC 4862 5.4.4: the other's answer comes from the address that both have."""
    host = make_host(extra="announce=on", resolved=False)
    seen = []
    for _ in range(40):
        said = host.advance(0.1)
        seen += said
        if any(ICMPv6ND_NS in each and each[ICMPv6ND_NS].tgt == OURS for each in said):
            seen += host.hear(IPv6(src=OURS, dst=ALL_NODES, hlim=255) / ICMPv6ND_NA(tgt=OURS, S=0, O=1) /
                              ICMPv6NDOptDstLLAddr(lladdr=STRANGER_MAC), source=STRANGER_MAC, destination=ALL_NODES_MAC)
    assert {each[ICMPv6ND_NA].tgt for each in seen if ICMPv6ND_NA in each} == {NEAR}
    assert host.stack.stats().address_conflicts == 1
    host.hear(IPv6(src=OURS, dst="ff02::1:ff00:2", hlim=255) / ICMPv6ND_NS(tgt=PEER) / ICMPv6NDOptSrcLLAddr(lladdr=STRANGER_MAC),
              source=STRANGER_MAC, destination="33:33:ff:00:00:02")
    host.hear(IPv6(src=OURS, dst=NEAR, hlim=255) / ICMPv6ND_NS(tgt=NEAR) / ICMPv6NDOptSrcLLAddr(lladdr=STRANGER_MAC),
              source=STRANGER_MAC)
    assert host.stack.stats().address_conflicts == 2 and host.stack.get_neighbour(OURS) is None


# -- Datagrams --------------------------------------------------------------------------------------------------------


def test_a_datagram_has_these_headers(either):
    either.bound().sendto(b"hello", (PEER, 2000))
    sent, = either.said()
    ip = sent[IPv6]
    assert (ip.version, ip.tc, ip.plen, ip.nh, ip.hlim, ip.src, ip.dst) == (6, 0, 13, 17, 64, OURS, PEER)
    assert (sent[UDP].sport, sent[UDP].dport, sent[UDP].len) == (1000, 2000, 13)
    assert rightly_summed(sent, UDP)


def test_a_flow_keeps_its_label_and_others_have_others(either):
    first, second = either.bound(1000), either.bound(1001)
    for opened in (first, first, second):
        opened.sendto(b"x", (PEER, 2000))
    labels = [each[IPv6].fl for each in either.said()]
    assert labels[0] == labels[1] != labels[2] and labels[0] != 0


def test_a_socket_may_do_without_labels(either):
    opened = either.bound(1000)
    for on in (0, 1):
        opened.set_option(socket.IPPROTO_IPV6, 70, on)  # IPV6_AUTOFLOWLABEL
        opened.sendto(b"x", (PEER, 2000))
    without, label = (each[IPv6].fl for each in either.said())
    assert without == 0 != label


@pytest.mark.parametrize("wrong, why", [
    (datagram(source="ff02::5"), "ip_source"), (datagram(source="::1"), "ip_source"), (datagram(destination=STRANGER), "not_for_us"), (datagram(destination="ff02::1:ff00:99"), "not_for_us"),
    (datagram(destination="::1"), "not_for_us"), (datagram(version=4), "ip_version"), (datagram(plen=100), "ip_total_length"),
    (IPv6(src=PEER, dst=OURS) / UDP(sport=1, dport=1000, chksum=0) / Raw(b"unsummed"), "udp_checksum"),
    (IPv6(src=PEER, dst=OURS) / UDP(sport=1, dport=1000, chksum=1) / Raw(b"wrong"), "udp_checksum"),
    (IPv6(src=PEER, dst=OURS) / UDP(sport=1, dport=1000, len=7) / Raw(b"short"), "udp_length"),
    (IPv6(src=PEER, dst=OURS, nh=59) / Raw(b"nothing"), "ip_extension"),
])
def test_what_can_not_be_is_dropped_with_its_reason(either, wrong, why):
    opened = either.bound()
    either.hear(wrong)
    with pytest.raises(BlockingIOError):
        opened.recv(flags=fastudp.DONTWAIT)
    assert either.drops() in ({why: 1}, None)


@pytest.mark.parametrize("source", [OURS, "::", "::ffff:10.0.0.2"])
def test_sources_that_linux_takes_and_we_do_not(host, source):
    """Nobody else has our address; none can't be answered; a mapped one would look like IPv4 (RFC 4942 2.2)."""
    opened = host.bound()
    host.hear(datagram(source=source))
    with pytest.raises(BlockingIOError):
        opened.recv(flags=fastudp.DONTWAIT)
    assert host.drops() == {"ip_source": 1}


def test_extension_headers_are_passed_on_the_way_to_a_datagram(either):
    opened = either.bound()
    inner = UDP(sport=2000, dport=1000) / Raw(b"behind")
    either.hear(IPv6(src=PEER, dst=OURS) / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(segleft=0) / inner)
    assert opened.recv() == b"behind"


# -- Errors -------------------------------------------------------------------------------------------------------------


def test_a_closed_port_is_told_with_the_datagram_quoted(either):
    asked = datagram(b"anyone?", dport=9)
    said, = either.hear(asked)
    assert (said[IPv6].src, said[IPv6].dst) == (OURS, PEER)
    assert (said[ICMPv6DestUnreach].type, said[ICMPv6DestUnreach].code) == (1, 4)
    assert bytes(said[ICMPv6DestUnreach].payload) == bytes(asked)
    assert rightly_summed(said, ICMPv6DestUnreach)


def test_an_error_is_no_longer_than_the_minimum_mtu(either):
    said, = either.hear(datagram(bytes(1400), dport=9))
    assert len(said[IPv6]) == 1280


def test_no_error_is_told_to_a_group_or_about_one(either):
    assert either.hear(datagram(dport=9, destination=ALL_NODES), destination=ALL_NODES_MAC) == []
    assert either.hear(IPv6(src=PEER, dst=OURS) / ICMPv6DestUnreach(code=4) / datagram(dport=9)) == []


def test_an_unknown_protocol_is_a_parameter_problem_at_its_number(either):
    said, = either.hear(IPv6(src=PEER, dst=OURS, nh=200) / Raw(b"what?"))
    assert (said[ICMPv6ParamProblem].code, said[ICMPv6ParamProblem].ptr) == (1, 6)


@pytest.mark.parametrize("kind, pointer", [(0x1e, None), (0x5e, None), (0x9e, 42), (0xde, 42)])
def test_an_unknown_option_says_itself_what_to_do(either, kind, pointer):
    opened = either.bound()
    said = either.hear(IPv6(src=PEER, dst=OURS) / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=kind, optdata=b"abcd")]) /
                     UDP(sport=2000, dport=1000) / Raw(b"x"))
    if kind == 0x1e:
        assert opened.recv() == b"x"
    assert [(each[ICMPv6ParamProblem].code, each[ICMPv6ParamProblem].ptr) for each in said] == ([(2, pointer)] if pointer else [])


def test_echo_is_answered_also_to_all_nodes(either):
    for to, mac in ((OURS, OUR_MAC), (ALL_NODES, ALL_NODES_MAC)):
        said, = either.hear(IPv6(src=PEER, dst=to) / ICMPv6EchoRequest(id=7, seq=3, data=b"ping"), destination=mac)
        assert (said[IPv6].src, said[ICMPv6EchoReply].id, said[ICMPv6EchoReply].seq, said[ICMPv6EchoReply].data) == (
            OURS, 7, 3, b"ping")
        assert rightly_summed(said, ICMPv6EchoReply)


def too_big(mtu, about, source=STRANGER):
    return IPv6(src=source, dst=OURS) / ICMPv6PacketTooBig(mtu=mtu) / Raw(bytes(about)[:1232])


@pytest.mark.parametrize("mtu, learnt", [(1400, 1400), (1280, 1280), (1279, 1500), (0, 1500), (9000, 1500)])
def test_a_path_becomes_no_narrower_than_every_link_is(either, mtu, learnt):
    opened = either.bound()
    opened.connect((PEER, 2000))
    opened.send(bytes(1452))
    sent, = either.said()
    either.hear(too_big(mtu, sent[IPv6]))
    opened.get_option(socket.SOL_SOCKET, socket.SO_ERROR)
    assert opened.get_option(socket.IPPROTO_IPV6, 24) == learnt


DONT, WANT, DO, PROBE, INTERFACE, OMIT = range(6)


@pytest.mark.parametrize("mode, sizes", [(DONT, [1280, 216]), (WANT, [1280, 216]), (DO, "EMSGSIZE"), (PROBE, [1440]),
                                         (INTERFACE, [1440]), (OMIT, [1440])])
def test_the_next_datagram_behaves_as_ipv6_mtu_discover_says(either, mode, sizes):
    opened = either.bound()
    opened.connect((PEER, 2000))
    opened.send(bytes(1452))
    sent, = either.said()
    either.hear(too_big(1280, sent[IPv6]))
    opened.get_option(socket.SOL_SOCKET, socket.SO_ERROR)
    opened.set_option(socket.IPPROTO_IPV6, 23, mode)  # IPV6_MTU_DISCOVER
    came_of_it = outcome(opened.send, bytes(1392))
    if isinstance(sizes, str):
        assert came_of_it == sizes and either.said() == []
    else:
        assert came_of_it == 1392 and [len(each[IPv6]) for each in either.said()] == sizes


def echo(data=bytes(1440)):
    return IPv6(src=PEER, dst=OURS) / ICMPv6EchoRequest(id=7, seq=3, data=data)


def test_answers_that_were_too_big_for_their_way_go_in_pieces_for_ten_minutes(host):
    answer, = host.hear(echo())
    host.hear(too_big(1300, answer[IPv6]))
    pieces = host.hear(echo())
    assert [len(each[IPv6]) for each in pieces] == [1280, 264] and all(IPv6ExtHdrFragment in each for each in pieces)
    host.hear(too_big(1300, pieces[0][IPv6]))
    assert len(host.hear(echo())) == 2 and len(host.hear(echo(b"short"))) == 1
    host.advance(601)
    host.stack.add_neighbour(PEER, PEER_MAC)
    assert len(host.hear(echo())) == 1


@pytest.mark.parametrize("about", [
    IPv6(src=STRANGER, dst=PEER) / ICMPv6EchoReply(data=bytes(1440)), IPv6(src=OURS, dst=PEER) / ICMPv6EchoRequest(data=bytes(1440)),
    IPv6(src=OURS, dst=PEER) / IPv6ExtHdrFragment(nh=58, offset=154) / Raw(b"\x81" * 1000),
    IPv6(src=OURS, dst=PEER) / UDP(sport=9, dport=9) / Raw(bytes(1440)), IPv6(src=OURS, dst=PEER, nh=58),
], ids=["another's", "a question", "a later piece", "a datagram", "nothing"])
def test_answers_go_on_whole_when_a_report_is_not_about_one(host, about):
    host.hear(too_big(1300, about))
    assert len(host.hear(echo())) == 1 and host.drops() == {"icmp_unmatched": 1}


def test_what_is_too_big_for_an_answer_narrows_no_socket_s_path(host):
    opened = host.bound()
    opened.connect((PEER, 2000))
    answer, = host.hear(echo())
    host.hear(too_big(1300, answer[IPv6]))
    assert opened.get_option(socket.IPPROTO_IPV6, 24) == 1500


def test_a_report_about_what_we_never_sent_changes_nothing(either):
    opened = either.bound()
    opened.connect((PEER, 2000))
    for about in (datagram(source=OURS, destination=PEER, sport=1000, dport=2001),
                  datagram(source=OURS, destination=STRANGER, sport=1000, dport=2000),
                  datagram(source=STRANGER, destination=PEER, sport=1000, dport=2000)):
        either.hear(too_big(1300, about))
    assert opened.get_option(socket.IPPROTO_IPV6, 24) == 1500
    assert either.drops() in ({"icmp_unmatched": 3}, None)


# -- Fragments ------------------------------------------------------------------------------------------------------------


def pieces(payload, step, ident=7):
    whole = bytes(UDP(sport=2000, dport=1000, chksum=None) / Raw(payload))
    whole = bytes(IPv6(bytes(IPv6(src=PEER, dst=OURS) / UDP(sport=2000, dport=1000) / Raw(payload))).payload)
    return [IPv6(src=PEER, dst=OURS) / IPv6ExtHdrFragment(nh=17, offset=at // 8, m=int(at + step < len(whole)), id=ident) /
            Raw(whole[at:at + step]) for at in range(0, len(whole), step)]


@pytest.mark.parametrize("order", [1, -1])
def test_fragments_in_any_order_become_a_datagram(either, order):
    opened, payload = either.bound(), bytes(i % 251 for i in range(5000))
    for each in pieces(payload, 1232)[::order]:
        either.hear(each)
    assert opened.recv() == payload


def test_a_fragment_that_is_the_whole_stands_for_itself(either):
    opened = either.bound()
    first = pieces(bytes(3000), 1232)[0]
    either.hear(first)  # of another datagram with the same identification
    either.hear(pieces(b"atomic", 1232)[0])
    assert opened.recv() == b"atomic"


def test_overlapping_fragments_discard_their_datagram(either):
    opened = either.bound()
    first, second, third = pieces(bytes(3000), 1232)
    overlapping = second.copy()
    overlapping[IPv6ExtHdrFragment].offset -= 1
    for each in (first, overlapping, second, third):
        either.hear(each)
    with pytest.raises(BlockingIOError):
        opened.recv(flags=fastudp.DONTWAIT)


def test_a_piece_that_isnt_a_multiple_of_eight_is_a_parameter_problem(either):
    wrong = IPv6(src=PEER, dst=OURS) / IPv6ExtHdrFragment(nh=17, offset=0, m=1, id=7) / Raw(bytes(13))
    said, = either.hear(wrong)
    assert (said[ICMPv6ParamProblem].code, said[ICMPv6ParamProblem].ptr) == (0, 4)


def test_a_datagram_that_would_be_too_long_is_a_parameter_problem(either):
    wrong = IPv6(src=PEER, dst=OURS) / IPv6ExtHdrFragment(nh=17, offset=8190, m=0, id=7) / Raw(bytes(100))
    said, = either.hear(wrong)
    assert (said[ICMPv6ParamProblem].code, said[ICMPv6ParamProblem].ptr) == (0, 42)


def test_after_a_minute_the_first_fragment_is_told_of(host):
    host.bound()
    host.hear(pieces(bytes(3000), 1232)[0])
    assert host.advance(59.9) == []
    said, = host.advance(0.2)
    assert (said[ICMPv6TimeExceeded].type, said[ICMPv6TimeExceeded].code) == (3, 1)
    assert host.drops() == {"fragment_timeout": 1}


def test_what_is_longer_than_the_mtu_goes_in_fragments_of_one_identification(either):
    payload = bytes(i % 251 for i in range(4000))
    either.bound().sendto(payload, (PEER, 2000))
    sent = either.said()
    assert [(each[IPv6ExtHdrFragment].offset * 8, each[IPv6ExtHdrFragment].m) for each in sent] == [(0, 1), (1448, 1), (2896, 0)]
    assert len({each[IPv6ExtHdrFragment].id for each in sent}) == 1
    assert all(len(each[IPv6]) <= 1500 for each in sent)
    whole = b"".join(bytes(each[IPv6ExtHdrFragment].payload) for each in sent)
    assert whole[8:] == payload


# -- Sockets ----------------------------------------------------------------------------------------------------------------


def test_the_any_addresses_of_both_families_exclude_each_other_unless_v6_only(make_host):
    host = make_host(address=f"{OURS}/64,10.0.0.1/24")
    four, six, only = host.stack.socket(), host.stack.socket(socket.AF_INET6), host.stack.socket(socket.AF_INET6)
    four.bind(("0.0.0.0", 5000))
    with pytest.raises(OSError, match="in use|has that port"):
        six.bind(("::", 5000))
    only.set_option(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    only.bind(("::", 5000))
    with pytest.raises(OSError):
        only.set_option(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # too late
    host.hear(datagram(b"six", dport=5000))
    assert only.recvfrom() == (b"six", (PEER, 2000, 0, 0))


def test_a_datagram_to_a_v4_socket_prefers_it_to_a_dual_one(make_host):
    from packets import datagram as datagram_v4
    host = make_host(address=f"{OURS}/64,10.0.0.1/24")
    dual, four = host.stack.socket(socket.AF_INET6), host.stack.socket()
    for each, address in ((dual, "::"), (four, "0.0.0.0")):
        each.set_option(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.bind((address, 1000))
    host.link.send(datagram_v4(b"four"))
    host.said()
    assert four.recv() == b"four"
    four.close()
    host.link.send(datagram_v4(b"dual"))
    host.said()
    assert dual.recvfrom() == (b"dual", ("::ffff:10.0.0.2", 2000, 0, 0))
