"""VLANs (802.1Q, 802.1ad) of a stack with an address of its own: which tag goes out, which frames come in."""

import errno
import itertools
import socket
import struct

import fastudp
import pytest
from packets import (BROADCAST_MAC, HOST, MACS, MF, PEER, STRANGER, arp_reply, arp_request, datagram, ether_type, icmp, ipv4, sent,
                     tshark, udp, with_identification)
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw
from test_validation import GOOD, received

SOL, IP_LEVEL, IPV6_LEVEL = socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_IPV6
CUSTOMER, SERVICE = 0x8100, 0x88A8
HOST6, PEER6 = "fd00::1", "fd00::2"
_serial = itertools.count()

TAGGED_WELL_KNOWN = bytes.fromhex(
    "020000000002 020000000001"  # Ethernet: to, from
    "8100 6064 0800"  # 802.1Q: priority 3, no DEI, VID 100; IPv4
    "45 00 0021 0000 4000 40 11 26ca 0a000001 0a000002"
    "03e8 07d0 000d 9c47"
    "68656c6c6f")


def tag(frame, vid, priority=0, kind=CUSTOMER):
    return frame[:12] + struct.pack("!HH", kind, priority << 13 | vid) + frame[12:]


def tci(frame):
    """Priority and VID of the tag that a frame begins with; None: it has none."""
    if ether_type(frame) not in (CUSTOMER, SERVICE):
        return None
    word = struct.unpack_from("!H", frame, 14)[0]
    return word >> 13, word & 0x1FFF


@pytest.fixture
def make_vlan(make_net):
    def make(keys, **settings):
        return make_net("fastudp", extra=f"announce=off&{keys}", **settings)

    return make


@pytest.fixture
def net(make_vlan):
    return make_vlan("vlan=100")


def with_priority(opened, priority):
    opened.set_option(SOL, socket.SO_PRIORITY, priority)
    return opened


# ---- Out


def test_tagged_datagram_has_these_exact_bytes(net):
    with_priority(net.bound(), 3).sendto(b"hello", (PEER, 2000))
    assert net.captured() == [TAGGED_WELL_KNOWN]
    by_scapy = (Ether(src=MACS[HOST], dst=MACS[PEER]) / Dot1Q(prio=3, vlan=100) / IP(src=HOST, dst=PEER, id=0, flags="DF") /
                UDP(sport=1000, dport=2000) / Raw(b"hello"))
    assert bytes(by_scapy) == TAGGED_WELL_KNOWN == tag(sent(b"hello"), 100, 3)


def test_tshark_reads_vlan_priority_and_good_checksums(net):
    opened = net.bound()
    for priority in range(8):
        with_priority(opened, priority).sendto(b"x" * priority, (PEER, 2000))
    fields = ("vlan.id", "vlan.priority", "vlan.dei", "ip.checksum.status", "udp.checksum.status", "_ws.malformed")
    assert tshark(net.captured(), *fields) == [("100", str(p), "0", "1", "1", "") for p in range(8)]


@pytest.mark.parametrize("priority", [-1, 8, 15, 1 << 30])
def test_priority_that_no_tag_can_carry_is_sent_as_none(net, priority):
    with_priority(net.bound(), priority).sendto(b"x", (PEER, 2000))
    assert net.captured() == [tag(sent(b"x"), 100)]


@pytest.mark.parametrize("tos, priority", [(0, 0), (0x08, 2), (0x10, 6), (0x18, 4), (0xB8, 4)])
def test_type_of_service_brings_the_priority_that_linux_gives_it(net, tos, priority):
    opened = net.bound()
    opened.set_option(IP_LEVEL, socket.IP_TOS, tos)
    opened.sendto(b"x", (PEER, 2000))
    opened.set_option(IP_LEVEL, socket.IP_TOS, 0)
    opened.sendmsg(b"y", [(IP_LEVEL, socket.IP_TOS, struct.pack("=i", tos))], (PEER, 2000))
    opened.sendto(b"z", (PEER, 2000))
    assert net.captured() == [tag(sent(b"x", tos=tos), 100, priority), tag(sent(b"y", tos=tos), 100, priority),
                              tag(sent(b"z"), 100)]


def test_priority_chosen_after_the_type_of_service_is_what_counts(net):
    opened = net.bound()
    opened.set_option(IP_LEVEL, socket.IP_TOS, 0xB8)
    with_priority(opened, 1).sendto(b"x", (PEER, 2000))
    assert net.captured() == [tag(sent(b"x", tos=0xB8), 100, 1)]


def test_tag_is_no_part_of_the_mtu(net):
    net.bound().sendto(b"x" * 1472, (PEER, 2000))
    assert net.captured() == [tag(sent(b"x" * 1472), 100)]


def test_each_fragment_is_tagged(net):
    data = bytes(range(250)) * 12
    with_priority(net.bound(), 5).sendto(data, (PEER, 2000))
    frames = net.captured()
    assert [tci(f) for f in frames] == [(5, 100)] * 3
    assert [len(f) - 18 for f in frames] == [1500, 1500, 20 + 8 + 3000 - 2 * 1480]
    assert b"".join(f[38:] for f in frames)[8:] == data


def test_burst_is_tagged_in_order(net):
    opened = net.bound()
    opened.send_burst([(b"%d" % i, (PEER, 2000)) for i in range(200)])
    assert net.captured() == [tag(sent(b"%d" % i), 100) for i in range(200)]
    assert net.all_frames_are_back()


def test_frames_that_came_in_are_sent_back_tagged(net):
    opened = with_priority(net.bound(), 2)
    net.inject(*[tag(datagram(b"%d" % i), 100, 7) for i in range(8)])
    opened.submit(opened.borrow(8))
    assert net.captured() == [tag(with_identification(sent(b"%d" % i), 0), 100, 2) for i in range(8)]
    assert net.all_frames_are_back()


# ---- In


def test_only_frames_of_the_vlan_come_in(net):
    receiver = net.bound()
    net.inject(datagram(b"untagged"), tag(datagram(b"another"), 200), tag(datagram(b"a priority"), 0, 5),
               tag(datagram(b"of a provider"), 100, kind=SERVICE), tag(GOOD, 100, 6))
    assert received(receiver) == [b"good"]
    assert net.drops() == {"vlan": 4}
    assert net.all_frames_are_back()


def test_fragments_come_in_by_the_vlan_alone(net):
    receiver = net.bound()
    whole = udp(b"x" * 2000)
    pieces = [ipv4(whole[:1480], ident=7, fragment=MF), ipv4(whole[1480:], ident=7, fragment=185)]
    frames = [datagram(b"")[:14] + piece for piece in pieces]
    net.inject(tag(frames[0], 100), tag(frames[1], 200))
    assert received(receiver) == []
    net.inject(tag(frames[1], 100))
    assert received(receiver) == [b"x" * 2000]


def test_arp_is_asked_and_answered_in_the_vlan(make_vlan):
    net = make_vlan("vlan=100", resolved=False)
    with_priority(net.bound(), 5).sendto(b"x", (PEER, 2000))
    question = tag(arp_request(PEER, HOST), 100)
    assert net.captured() == [question]
    assert net.answers(arp_reply(PEER), tag(arp_reply(PEER), 200)) == []
    assert net.answers(tag(arp_reply(PEER), 100)) == [tag(sent(b"x"), 100, 5)]
    (answer,) = net.answers(tag(arp_request(HOST), 100, 3))
    assert tci(answer) == (0, 100)
    assert (Ether(answer)[ARP].op, Ether(answer)[ARP].psrc, Ether(answer).dst) == (2, HOST, MACS[PEER])
    assert net.answers(arp_request(HOST), tag(arp_request(HOST), 200)) == []


def test_addresses_are_announced_in_the_vlan(make_net):
    net = make_net("fastudp", extra="vlan=100")
    net.advance(20)
    frames = net.captured()
    assert len(frames) >= 2 and {tci(f) for f in frames} == {(0, 100)}
    assert {Ether(f)[ARP].pdst for f in frames} == {HOST}


def test_echo_is_answered_in_the_vlan(net):
    (answer,) = net.answers(tag(icmp(8, 0, 0x00010002, b"ping"), 100, 4))
    assert tci(answer) == (0, 100)
    assert (Ether(answer)[ICMP].type, bytes(Ether(answer)[Raw])) == (0, b"ping")
    assert net.answers(icmp(8, 0, 0x00010002, b"ping")) == []


def test_question_has_no_priority_though_its_frame_had_one(net):
    opened = with_priority(net.bound(), 7)
    opened.send_burst([(b"x", (PEER, 2000))] * 50)
    assert {tci(f) for f in net.captured()} == {(7, 100)}
    opened.sendto(b"x", ("10.0.0.77", 2000))
    assert net.captured() == [tag(arp_request("10.0.0.77", HOST), 100)]


def test_large_echo_is_answered_in_tagged_fragments(net):
    ping = icmp(8, 0, 0x00010002, b"p" * 3000)[34:]
    pieces = [ping[at:at + 1480] for at in range(0, len(ping), 1480)]
    frames = [datagram(b"")[:14] + ipv4(piece, protocol=1, ident=9, fragment=(MF if i < 2 else 0) | i * 185)
              for i, piece in enumerate(pieces)]
    assert [tci(f) for f in net.answers(*[tag(f, 100) for f in frames])] == [(0, 100)] * 3


def test_errors_are_sent_in_the_vlan(net):
    (answer,) = net.answers(tag(datagram(b"x", dport=9), 100))
    assert tci(answer) == (0, 100)
    assert (Ether(answer)[ICMP].type, Ether(answer)[ICMP].code) == (3, 3)


def test_ipv6_in_the_vlan(make_vlan):
    net = make_vlan("vlan=100", address=f"{HOST}/24,{HOST6}/64")
    mine = Ether(src=MACS[PEER], dst=MACS[HOST]) / Dot1Q(vlan=100)
    group = Ether(src=MACS[PEER], dst="33:33:ff:00:00:01") / Dot1Q(vlan=100)
    asked = IPv6(src=PEER6, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=HOST6) / ICMPv6NDOptSrcLLAddr(lladdr=MACS[PEER])
    (answer,) = net.answers(bytes(group / asked))
    assert tci(answer) == (0, 100) and Ether(answer)[ICMPv6ND_NA].tgt == HOST6
    echo = IPv6(src=PEER6, dst=HOST6) / ICMPv6EchoRequest(data=b"ping")
    answers = net.answers(bytes(mine / echo))
    assert {tci(f) for f in answers} == {(0, 100)}
    assert [Ether(f)[ICMPv6EchoReply].data for f in answers if ICMPv6EchoReply in Ether(f)] == [b"ping"]
    opened = net.stack.socket(socket.AF_INET6)
    opened.bind((HOST6, 1000))
    with_priority(opened, 6).set_option(IPV6_LEVEL, socket.IPV6_TCLASS, 0xB8)  # which is no priority to Linux either
    opened.sendto(b"x" * 3000, (PEER6, 2000))
    assert [tci(f) for f in net.captured()] == [(6, 100)] * 3
    net.inject(bytes(mine / IPv6(src=PEER6, dst=HOST6) / UDP(sport=2000, dport=1000) / Raw(b"six")))
    assert received(opened) == [b"six"]


# ---- Access


def test_access_port_is_untagged(make_vlan):
    net = make_vlan("vlan=100&vlan_mode=access")
    opened = with_priority(net.bound(), 3)
    opened.sendto(b"hello", (PEER, 2000))
    assert net.captured() == [sent(b"hello")]
    net.inject(datagram(b"untagged"), tag(datagram(b"a priority"), 0, 5), tag(datagram(b"named"), 100),
               tag(datagram(b"another"), 200))
    assert received(opened) == [b"untagged", b"a priority", b"named"]
    assert net.drops() == {"vlan": 1}


# ---- Trunk

TRUNK = "vlan=100,200,300&vlan_mode=trunk"


def test_trunk_takes_its_vlans_and_the_untagged_as_its_native_one(make_vlan):
    net = make_vlan(f"{TRUNK}&vlan_native=100")
    receiver = net.bound()
    net.inject(tag(datagram(b"200"), 200), tag(datagram(b"999"), 999), datagram(b"untagged"), tag(datagram(b"0"), 0),
               tag(datagram(b"100"), 100), tag(datagram(b"300"), 300))
    assert received(receiver) == [b"200", b"untagged", b"0", b"100", b"300"]
    assert net.drops() == {"vlan": 1}


def test_trunk_without_a_native_vlan_drops_the_untagged(make_vlan):
    net = make_vlan(TRUNK)
    receiver = net.bound()
    net.inject(datagram(b"untagged"), tag(datagram(b"0"), 0), tag(datagram(b"300"), 300))
    assert received(receiver) == [b"300"]
    assert net.drops() == {"vlan": 2}


def test_answers_on_a_trunk_go_to_the_vlan_that_the_question_came_by(make_vlan):
    net = make_vlan(f"{TRUNK}&vlan_native=300", resolved=False)
    opened = net.bound()
    for vid, peer in [(200, PEER), (100, STRANGER)]:
        (answer,) = net.answers(tag(arp_request(HOST, peer), vid))
        assert tci(answer) == (0, vid) and Ether(answer).dst == MACS[peer]
    opened.sendto(b"x", (PEER, 2000))
    opened.sendto(b"y", (STRANGER, 2000))
    assert [tci(f) for f in net.captured()] == [(0, 200), (0, 100)]
    assert tci(net.answers(icmp(8, 0, 0, b"moved"))[0]) is None  # it is in the native VLAN now
    opened.sendto(b"z", (PEER, 2000))
    assert net.captured() == [sent(b"z")]


def test_frames_to_many_and_to_the_unheard_leave_a_trunk_by_the_first_vlan(make_vlan):
    net = make_vlan("vlan=300,100&vlan_mode=trunk&vlan_native=100")
    opened = net.bound()
    opened.set_option(SOL, socket.SO_BROADCAST, 1)
    for to in ("10.0.0.255", "239.1.2.3", PEER):
        opened.sendto(b"x", (to, 2000))
    frames = net.captured()
    assert [tci(f) for f in frames] == [(0, 300)] * 3
    assert Ether(frames[0]).dst == BROADCAST_MAC


# ---- Two tags


def test_two_tags(make_vlan):
    net = make_vlan("vlan=10.100")
    opened = with_priority(net.bound(), 3)
    opened.sendto(b"x" * 1472, (PEER, 2000))
    (frame,) = net.captured()
    assert frame == tag(tag(sent(b"x" * 1472), 100, 3), 10, 3, SERVICE)
    packet = Ether(frame)
    assert (packet[Dot1AD].vlan, packet[Dot1Q].vlan, packet[UDP].dport) == (10, 100, 2000)
    assert tshark([frame], "ieee8021ad.id", "vlan.id", "udp.checksum.status") == [("10", "100", "1")]
    wrong = datagram(b"wrong")
    net.inject(wrong, tag(wrong, 100), tag(wrong, 10, kind=SERVICE), tag(tag(wrong, 200), 10, kind=SERVICE),
               tag(tag(wrong, 100), 20, kind=SERVICE), tag(tag(wrong, 100), 10), tag(tag(GOOD, 100, 1), 10, 2, SERVICE))
    assert received(opened) == [b"good"]
    assert net.drops() == {"vlan": 6}


# ---- Without a VLAN


@pytest.mark.parametrize("kind", [CUSTOMER, SERVICE])
def test_tag_that_is_a_priority_alone_is_no_vlan(make_either, kind):
    either = make_either()
    receiver = either.bound()
    either.inject(tag(datagram(b"one"), 0, 5, kind), tag(tag(datagram(b"two"), 0, 1), 0, 2, kind), tag(datagram(b"no"), 100, 5, kind),
                  tag(tag(datagram(b"no"), 100), 0, 5, kind), GOOD)
    assert received(receiver) == [b"one", b"two", b"good"]
    assert either.drops() in (None, {"vlan": 2})
    (answer,) = either.answers(tag(arp_request(HOST), 0, 5, kind))
    assert answer == arp_reply(HOST, PEER)


@pytest.mark.parametrize("size", range(14, 18))
def test_tag_that_is_cut_is_dropped(make_either, size):
    either = make_either()
    receiver = either.bound()
    either.inject(tag(datagram(b""), 0)[:size], GOOD)
    assert received(receiver) == [b"good"]


# ---- Keys


@pytest.mark.parametrize("keys, words", [
    ("vlan=4095", "vlan=4095: VIDs from 1 to 4094"),
    ("vlan=1,2", "a list of VIDs is for vlan_mode=trunk"),
    ("vlan=10.0", "OUTER.INNER"),
    ("vlan=1&vlan_mode=native", "tagged, access or trunk"),
    ("vlan=1,2&vlan_mode=trunk&vlan_native=3", "one of the VIDs that vlan= lists"),
    ("vlan_mode=trunk", "need vlan=VID"),
])
def test_wrong_keys_are_refused_in_words(keys, words):
    with pytest.raises(OSError, match=words) as refused:
        fastudp.Stack(f"mem:vlan-keys-{next(_serial)}?{keys}")
    assert refused.value.errno == errno.EINVAL


def test_capture_shows_the_tags(make_vlan, tmp_path):
    file = tmp_path / "tags.pcapng"
    net = make_vlan(f"vlan=100&capture={file}")
    net.bound().sendto(b"x", (PEER, 2000))
    net.inject(tag(datagram(b"another"), 200))
    assert tag(sent(b"x"), 100) in file.read_bytes() and tag(datagram(b"another"), 200) in file.read_bytes()
