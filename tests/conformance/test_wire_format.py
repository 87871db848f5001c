"""What a datagram looks like on the wire (RFC 768, RFC 791, RFC 894, RFC 1071, RFC 1112), compared byte for byte."""

import random
import socket
import struct
import threading

import fastudp
import pytest
from nets import IP_MTU_DISCOVER, PMTUDISC_DO, PMTUDISC_DONT, PMTUDISC_WANT
from packets import (BROADCAST_MAC, DF, GATEWAY, HOST, MACS, MF, PEER, arp, arp_reply, checksum, datagram, icmp,
                     identification, packed, sent, tshark, with_identification)
from scapy.layers.inet import ICMP, IP, UDP, IPOption, defragment
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from scapy.plist import PacketList

WELL_KNOWN = bytes.fromhex(
    "020000000002 020000000001 0800"  # Ethernet: to, from, IPv4
    "45 00 0021 0000 4000 40 11 26ca 0a000001 0a000002"  # IPv4: DF, TTL 64, UDP
    "03e8 07d0 000d 9c47"  # UDP: 1000 to 2000, 13 bytes
    "68656c6c6f"  # hello
)


def by_scapy(payload, destination=PEER, mac="02:00:00:00:00:02", **ip):
    frame = Ether(src="02:00:00:00:00:01", dst=mac) / IP(src=HOST, dst=destination, id=0, flags="DF", **ip)
    return bytes(frame / UDP(sport=1000, dport=2000) / Raw(payload))


def test_datagram_to_a_resolved_neighbour_has_these_exact_bytes(either):
    either.bound().sendto(b"hello", (PEER, 2000))
    assert either.captured() == [WELL_KNOWN]


def test_our_builder_of_expected_frames_agrees_with_scapy_and_with_the_hand_written_bytes():
    assert sent(b"hello") == WELL_KNOWN == by_scapy(b"hello")


ETHERNET = Ether(src=MACS[HOST], dst=MACS[PEER])
BROADCAST = Ether(src=MACS[HOST], dst=BROADCAST_MAC)
QUOTED = IP(src=PEER, dst=HOST, id=0, flags="DF") / UDP(sport=2000, dport=1000) / Raw(b"x")
EXPECTED = {
    "ARP request": (arp(1, HOST, MACS[HOST], PEER), BROADCAST / ARP(op=1, hwsrc=MACS[HOST], psrc=HOST, pdst=PEER)),
    "ARP probe": (arp(1, "0.0.0.0", MACS[HOST], HOST),
                  BROADCAST / ARP(op=1, hwsrc=MACS[HOST], psrc="0.0.0.0", pdst=HOST)),
    "ARP announcement": (arp(1, HOST, MACS[HOST], HOST), BROADCAST / ARP(op=1, hwsrc=MACS[HOST], psrc=HOST, pdst=HOST)),
    "ARP reply": (arp_reply(HOST, PEER),
                  ETHERNET / ARP(op=2, hwsrc=MACS[HOST], psrc=HOST, hwdst=MACS[PEER], pdst=PEER)),
    "echo reply": (icmp(0, 0, 0x12340007, b"abc", source=HOST, destination=PEER, fragment=0),
                   ETHERNET / IP(src=HOST, dst=PEER, id=0) / ICMP(type=0, id=0x1234, seq=7) / Raw(b"abc")),
    "port unreachable": (icmp(3, 3, 0, datagram(b"x")[14:], source=HOST, destination=PEER, tos=0xC0, fragment=0),
                         ETHERNET / IP(src=HOST, dst=PEER, id=0, tos=0xC0) / ICMP(type=3, code=3) / QUOTED),
    "fragmentation needed": (icmp(3, 4, 1280, datagram(b"x")[14:], source=HOST, destination=PEER),
                             ETHERNET / IP(src=HOST, dst=PEER, id=0, flags="DF")
                             / ICMP(type=3, code=4, nexthopmtu=1280) / QUOTED),
    "datagram with options": (sent(b"x", options=b"\x01" * 3 + b"\0"),
                              ETHERNET / IP(src=HOST, dst=PEER, id=0, flags="DF", options=IPOption(b"\x01" * 3 + b"\0"))
                              / UDP(sport=1000, dport=2000) / Raw(b"x")),
}


@pytest.mark.parametrize("ours, scapys", EXPECTED.values(), ids=EXPECTED.keys())
def test_every_builder_of_expected_frames_agrees_with_scapy(ours, scapys):
    assert ours == bytes(scapys)


def test_zero_length_datagram_is_sent_with_udp_length_8(either):
    assert either.bound().sendto(b"", (PEER, 2000)) == 0
    (frame,) = either.captured()
    assert frame == by_scapy(b"")
    assert len(frame) == 42 and frame[38:40] == b"\0\x08"


def test_checksum_is_right_for_odd_and_even_payloads_of_every_size(either):
    sender, source = either.bound(), random.Random(3)
    for size in [*range(1, 130), 255, 256, 257, 511, 1023, 1399, 1400, 1470, 1471, 1472]:
        payload = source.randbytes(size)
        sender.sendto(payload, (PEER, 2000))
        assert either.captured() == [by_scapy(payload)], size


def test_checksum_is_right_for_payloads_of_all_ones_and_all_zeros(either):
    sender = either.bound()
    for payload in (b"\xff" * 1472, b"\0" * 1472, b"\xff" * 7, b"\xff\xff\0" * 21):
        sender.sendto(payload, (PEER, 2000))
        assert either.captured() == [by_scapy(payload)]


def test_payload_whose_checksum_computes_to_zero_has_ffff_on_the_wire(either):
    pseudo = packed(HOST) + packed(PEER) + struct.pack("!HH", 17, 10)
    remainder = checksum(pseudo + struct.pack("!HHHH", 1000, 2000, 10, 0))
    payload = struct.pack("!H", remainder)
    assert checksum(pseudo + struct.pack("!HHHH", 1000, 2000, 10, 0) + payload) == 0
    either.bound().sendto(payload, (PEER, 2000))
    (frame,) = either.captured()
    assert frame[40:42] == b"\xff\xff"
    assert frame == by_scapy(payload)


@pytest.mark.parametrize("mtu", [1500, 9001])
def test_payload_of_mtu_minus_28_goes_in_one_frame(make_either, mtu):
    net = make_either(mtu=mtu)
    net.bound().sendto(b"x" * (mtu - 28), (PEER, 2000))
    assert net.captured() == [sent(b"x" * (mtu - 28))]


@pytest.mark.parametrize("mtu", [1500, 9001])
def test_with_path_mtu_discovery_do_one_byte_more_is_emsgsize_and_nothing_is_sent(make_either, mtu):
    net = make_either(mtu=mtu)
    sender = net.bound()
    sender.set_option(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
    sender.sendto(b"x" * (mtu - 28), (PEER, 2000))
    assert len(net.captured()) == 1
    with pytest.raises(OSError, match="") as refused:
        sender.sendto(b"x" * (mtu - 27), (PEER, 2000))
    assert refused.value.errno == 90  # EMSGSIZE
    assert net.captured() == []


@pytest.mark.parametrize("size", [1473, 1480, 2953, 4000, 65507])
def test_longer_datagram_goes_in_fragments_that_scapy_puts_together(either, size):
    payload = random.Random(size).randbytes(size)
    either.bound().sendto(payload, (PEER, 2000))
    frames = either.captured()
    assert len(frames) == -(-(size + 8) // 1480)
    assert len({identification(f) for f in frames}) == 1
    offsets = [struct.unpack_from("!H", f, 20)[0] for f in frames]
    assert offsets == [MF | 185 * i for i in range(len(frames) - 1)] + [185 * (len(frames) - 1)]
    (whole,) = defragment(PacketList([Ether(f) for f in frames]))
    assert bytes(whole[UDP].payload) == payload
    assert checksum(packed(HOST) + packed(PEER) + struct.pack("!HH", 17, size + 8) + bytes(whole[UDP])) == 0


def test_two_fragmented_datagrams_have_different_identifications(either):
    sender = either.bound()
    sender.sendto(b"x" * 2000, (PEER, 2000))
    sender.sendto(b"y" * 2000, (PEER, 2000))
    first, _, third, _ = either.captured()
    assert identification(first) != identification(third)


def test_datagram_beyond_what_udp_can_say_is_emsgsize(either):
    with pytest.raises(OSError) as refused:
        either.bound().sendto(b"x" * 65508, (PEER, 2000))
    assert refused.value.errno == 90  # EMSGSIZE
    assert either.captured() == []


def test_path_mtu_discovery_dont_clears_df(either):
    sender = either.bound()
    sender.set_option(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)
    sender.sendto(b"hello", (PEER, 2000))
    (frame,) = either.captured()
    assert frame == with_identification(sent(b"hello", fragment=0), identification(frame))
    sender.set_option(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_WANT)
    sender.sendto(b"hello", (PEER, 2000))
    assert either.captured() == [sent(b"hello", fragment=DF)]


def test_datagram_of_a_connected_socket_is_the_same_on_the_wire(either):
    either.connected().send(b"hello")
    (frame,) = either.captured()
    assert with_identification(frame, 0) == WELL_KNOWN


def test_ttl_and_tos_of_the_socket_are_in_the_header(either):
    sender = either.bound()
    sender.set_option(socket.IPPROTO_IP, socket.IP_TTL, 7)
    sender.set_option(socket.IPPROTO_IP, socket.IP_TOS, 0xB8)
    sender.sendto(b"hello", (PEER, 2000))
    assert either.captured() == [sent(b"hello", ttl=7, tos=0xB8)]


@pytest.mark.parametrize("group, mac", [("239.1.2.3", "01:00:5e:01:02:03"), ("239.129.2.3", "01:00:5e:01:02:03"),
                                        ("224.0.0.251", "01:00:5e:00:00:fb"), ("239.255.255.255", "01:00:5e:7f:ff:ff")])
def test_multicast_goes_at_once_to_the_mac_of_its_group_with_ttl_1(make_either, group, mac):
    net = make_either(resolved=False)
    net.bound().sendto(b"hello", (group, 2000))
    assert net.captured() == [sent(b"hello", destination=group, via=mac, ttl=1)] == [
        by_scapy(b"hello", group, mac, ttl=1)]


@pytest.mark.parametrize("destination", ["10.0.0.255", "255.255.255.255"])
def test_broadcast_goes_at_once_to_the_broadcast_mac(make_either, destination):
    net = make_either(resolved=False)
    sender = net.bound()
    sender.set_option(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.sendto(b"hello", (destination, 2000))
    assert net.captured() == [sent(b"hello", destination=destination, via=BROADCAST_MAC)]


@pytest.mark.parametrize("destination", ["10.0.0.255", "255.255.255.255"])
def test_broadcast_without_so_broadcast_is_eacces_and_nothing_is_sent(either, destination):
    sender = either.bound()
    with pytest.raises(PermissionError):
        sender.sendto(b"hello", (destination, 2000))
    with pytest.raises(PermissionError):
        sender.connect((destination, 2000))
    assert either.captured() == []


def test_wildcard_socket_never_sends_from_the_any_address(either):
    wildcard, never_bound = either.bound(address=""), either.socket()
    for sender in (wildcard, never_bound):
        sender.sendto(b"hello", (PEER, 2000))
        port = sender.getsockname()[1]
        assert sender.getsockname() == ("0.0.0.0", port)
        assert either.captured() == [sent(b"hello", sport=port)]


def test_wildcard_socket_that_is_connected_or_waits_for_a_neighbour_sends_from_our_address(make_either):
    net = make_either(resolved=False)
    wildcard, connected = net.bound(address=""), net.bound(1001, "")
    connected.connect((PEER, 2000))
    wildcard.sendto(b"hello", (PEER, 2000))
    connected.send(b"hello")
    assert net.captured() == [arp(1, HOST, MACS[HOST], PEER)]
    assert net.answers(arp_reply(PEER)) == [WELL_KNOWN, sent(b"hello", sport=1001)]


def test_bytes_object_bytearray_and_memoryview_are_sent_alike(net):
    sender = net.bound()
    for data in (b"hello", bytearray(b"hello"), memoryview(b"-hello-")[1:6]):
        sender.sendto(data, (PEER, 2000))
    assert net.captured() == [WELL_KNOWN] * 3


@pytest.mark.parametrize("address", [HOST, ""])
def test_burst_and_submitted_frames_have_the_same_bytes_as_single_datagrams(net, address):
    sender = net.bound(address=address)
    assert sender.send_burst([(b"hello", (PEER, 2000))] * 3) == 3
    frames = sender.alloc(2, 5)
    for frame in frames:
        memoryview(frame)[:] = b"hello"
        frame.peer = (PEER, 2000)
    assert sender.submit(frames) == 2
    assert net.captured() == [WELL_KNOWN] * 5


def test_four_threads_sending_on_one_socket_send_whole_frames(net):
    sender = net.bound()
    payloads = [[bytes([65 + t]) * size for size in range(1, 401)] for t in range(4)]
    threads = [threading.Thread(target=lambda mine=mine: [sender.sendto(p, (PEER, 2000)) for p in mine])
               for mine in payloads]
    seen = []
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            seen += net.captured()
        thread.join()
    seen += net.captured()
    assert sorted(seen) == sorted(sent(p) for mine in payloads for p in mine)
    for mine in payloads:
        own = [f for f in seen if f[42] == mine[0][0]]
        assert own == [sent(p) for p in mine]


def test_tshark_finds_every_checksum_and_length_in_order(net):
    sender, source = net.bound(), random.Random(1)
    for size in range(0, 1473, 16):
        sender.sendto(source.randbytes(size), (PEER, 2000))
    frames = net.captured()
    opinions = tshark(frames, "ip.checksum.status", "udp.checksum.status", "udp.length", "ip.len", "_ws.malformed")
    assert opinions == [("1", "1", str(size + 8), str(size + 28), "") for size in range(0, 1473, 16)]


def test_gateway_is_only_in_the_ethernet_header(either):
    either.bound().sendto(b"hello", ("192.0.2.1", 2000))
    assert either.captured() == [sent(b"hello", destination="192.0.2.1", via=GATEWAY)]


def test_message_type_constants_are_linux_numbers():
    assert (fastudp.PEEK, fastudp.TRUNC) == (socket.MSG_PEEK, socket.MSG_TRUNC)
    assert (fastudp.DONTWAIT, fastudp.ERRQUEUE) == (socket.MSG_DONTWAIT, socket.MSG_ERRQUEUE)
