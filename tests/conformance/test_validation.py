"""What is wrong on the wire is dropped for a reason that is counted (RFC 1122 3.2.1, 4.1.3); what is odd is accepted."""

import errno
import itertools
import struct

import pytest
from packets import BROADCAST_MAC, DF, HOST, MACS, MF, PEER, checksum, datagram, ethernet, ipv4, packed, udp


def received(socket):
    """All that waits in a socket's queue."""
    found = []
    while True:
        try:
            found.append(socket.recv())
        except BlockingIOError:
            return found


def changed(frame, at, new):
    return frame[:at] + new + frame[at + len(new):]


def with_ip_checksum(frame):
    """The frame with the IP checksum that belongs to its header, however wrong that is otherwise."""
    size = max((frame[14] & 15) * 4, 20)
    head = changed(frame[14:14 + size], 10, b"\0\0")
    return changed(frame, 24, struct.pack("!H", checksum(head)))


GOOD = datagram(b"good")

MALFORMED = {
    "udp length beyond what IP carries": (ethernet(ipv4(udp(b"evil", length=13))), "udp_length"),
    "udp length below its header": (ethernet(ipv4(udp(b"evil", length=7))), "udp_length"),
    "udp length of zero": (ethernet(ipv4(udp(b"evil", length=0))), "udp_length"),
    "ip payload shorter than a udp header": (ethernet(ipv4(udp(b"")[:7])), "udp_length"),
    "ip header of four words": (with_ip_checksum(changed(datagram(b"evil"), 14, b"\x44")), "ip_header_length"),
    "ip header of no words": (with_ip_checksum(changed(datagram(b"evil"), 14, b"\x40")), "ip_header_length"),
    "ip header beyond the frame": (changed(datagram(b""), 14, b"\x4f"), "ip_header_length"),
    "ip version 5": (with_ip_checksum(changed(datagram(b"evil"), 14, b"\x55")), "ip_version"),
    "ip version 6": (with_ip_checksum(changed(datagram(b"evil"), 14, b"\x65")), "ip_version"),
    "ip total length below its header": (ethernet(ipv4(udp(b"evil"), length=19)), "ip_total_length"),
    "ip total length of zero": (ethernet(ipv4(udp(b"evil"), length=0)), "ip_total_length"),
    "ip total length beyond the frame": (ethernet(ipv4(udp(b"evil"), length=33)), "ip_total_length"),
    "flipped ttl without a new header checksum": (changed(datagram(b"evil"), 22, b"\x3f"), "ip_checksum"),
    "flipped bit of the payload": (changed(datagram(b"evil"), 42, b"d"), "udp_checksum"),
    "flipped bit of the source port": (changed(datagram(b"evil"), 35, b"\xd1"), "udp_checksum"),
    "sender's address not the one of the checksum": (ethernet(ipv4(udp(b"evil", source=HOST))), "udp_checksum"),
    "to an address that is not ours": (datagram(b"evil", destination="10.0.0.9", via=HOST), "not_for_us"),
    "to a network that is not ours": (datagram(b"evil", destination="192.0.2.1", via=HOST), "not_for_us"),
    "to another station's MAC address": (datagram(b"evil", via="02:00:00:00:00:77"), "not_for_us"),
    "from a multicast address": (datagram(b"evil", source="224.0.0.5"), "ip_source"),
    "from the limited broadcast": (datagram(b"evil", source="255.255.255.255"), "ip_source"),
    "from loopback": (datagram(b"evil", source="127.0.0.1"), "ip_source"),
    "from the any address": (datagram(b"evil", source="0.0.0.0"), "ip_source"),
    "from our own address": (datagram(b"evil", source=HOST, via=HOST), "ip_source"),
    "to loopback from the wire": (datagram(b"evil", destination="127.0.0.1", via=HOST), "not_for_us"),
}


@pytest.mark.parametrize("frame, reason", MALFORMED.values(), ids=MALFORMED.keys())
def test_wrong_datagram_is_dropped_for_its_reason_and_the_next_good_one_is_delivered(either, frame, reason):
    receiver = either.bound()
    either.inject(frame, GOOD)
    assert received(receiver) == [b"good"]
    if either.drops() is not None:
        assert either.drops() == {reason: 1}
        assert either.stack.stats().dropped == 1
        assert either.stack.stats().rx_datagrams == 1


@pytest.mark.parametrize("source", ["10.0.0.255", "240.0.0.1"])
def test_datagram_from_where_no_host_can_be_is_dropped_though_linux_takes_it(net, source):
    receiver = net.bound()
    net.inject(datagram(b"evil", source=source), GOOD)
    assert received(receiver) == [b"good"]
    assert net.drops() == {"ip_source": 1}


def test_every_drop_reason_has_a_sentence(net):
    import fastudp

    assert set(net.stack.drops()) == set(fastudp.drop_reasons())
    assert all(len(text) > 10 and "\n" not in text for text in fastudp.drop_reasons().values())


def test_every_drop_reason_has_a_layer(net):
    import fastudp

    layers = fastudp.drop_layers()
    assert set(layers) == set(fastudp.drop_reasons())
    assert set(layers.values()) == {"link", "memory", "stack", "socket"}
    assert [layers[reason] for reason in ("link_rx_full", "no_memory", "udp_checksum", "queue_full")] == \
        ["link", "memory", "stack", "socket"]


@pytest.mark.parametrize("size", range(14, 42))
def test_frame_cut_anywhere_in_its_headers_is_dropped_for_its_reason(either, size):
    receiver = either.bound()
    either.inject(datagram(b"")[:size], GOOD)
    assert received(receiver) == [b"good"]
    if either.drops() is not None:
        assert either.drops() == {"frame_short" if size < 34 else "ip_total_length": 1}


def test_any_flipped_bit_of_a_datagram_is_noticed_and_counted(either):
    whole, receiver = datagram(b"evil"), either.bound()
    bits = [(at, 1 << bit) for at in range(14, len(whole)) for bit in range(8)]
    flipped = [changed(whole, at, bytes([whole[at] ^ bit])) for at, bit in bits]
    either.inject(*flipped, GOOD)
    assert received(receiver) == [b"good"]
    if either.drops() is not None:
        assert sum(either.drops().values()) == len(flipped)
        assert either.drops()["udp_checksum"] >= 8 * (4 + 4 + 2)  # at least those in ports, checksum and payload


def test_frame_shorter_than_an_ethernet_header_is_no_frame_for_a_link(net):
    for size in range(1, 14):
        with pytest.raises(OSError) as refused:
            net.link.send(datagram(b"evil")[:size])
        assert refused.value.errno == errno.EINVAL


def test_unknown_ether_types_and_vlan_tags_are_dropped_for_their_reason(net):
    receiver = net.bound()
    net.inject(ethernet(b"x" * 46, kind=0x88B5), ethernet(b"\0\x64\x08\0" + GOOD[14:], kind=0x8100), GOOD)
    assert received(receiver) == [b"good"]
    assert net.drops() == {"unknown_protocol": 1, "vlan": 1}


def test_checksum_of_zero_means_none_and_is_accepted(either):
    receiver = either.bound()
    either.inject(ethernet(ipv4(udp(b"hello", check=0))))
    assert received(receiver) == [b"hello"]


def test_checksum_of_ffff_that_stands_for_zero_is_accepted(either):
    remainder = checksum(struct.pack("!4s4sHHHHHH", packed(PEER), packed(HOST), 17, 10, 2000, 1000, 10, 0))
    frame = datagram(struct.pack("!H", remainder))
    assert frame[40:42] == b"\xff\xff"
    receiver = either.bound()
    either.inject(frame)
    assert received(receiver) == [struct.pack("!H", remainder)]


@pytest.mark.parametrize("size", [0, 1, 5, 17])
def test_frame_padded_to_60_bytes_delivers_no_padding(either, size):
    receiver = either.bound()
    either.inject(datagram(b"x" * size).ljust(60, b"P"))
    assert received(receiver) == [b"x" * size]


def test_bytes_between_udp_length_and_ip_length_are_not_delivered(either):
    inner = udp(b"hello")
    receiver = either.bound()
    either.inject(ethernet(ipv4(inner + b"JUNK")))
    assert received(receiver) == [b"hello"]


@pytest.mark.parametrize("words", range(1, 11))
def test_payload_is_right_behind_ip_options(either, words):
    receiver = either.bound()
    either.inject(datagram(b"hello", options=b"\x01" * (4 * words - 1) + b"\0"))
    assert received(receiver) == [b"hello"]


idents = itertools.count(1)


def fragments(payload, cuts, **changes):
    """A datagram in pieces; `cuts` are offsets into the IP payload, multiples of eight."""
    whole, ident = udp(payload), next(idents)
    ends = [*cuts[1:], len(whole)]
    return [ethernet(ipv4(whole[a:b], ident=ident, fragment=a // 8 | (MF if b < len(whole) else 0), **changes))
            for a, b in zip(cuts, ends)]


def test_a_first_fragment_alone_is_never_delivered_as_a_datagram(either):
    receiver = either.bound()
    either.inject(fragments(b"x" * 100, [0, 64])[0], GOOD)
    assert received(receiver) == [b"good"]


def test_a_first_fragment_that_looks_like_a_whole_datagram_is_never_delivered(either):
    receiver = either.bound()
    either.inject(ethernet(ipv4(udp(b"evil1234"), ident=next(idents), fragment=MF)), GOOD)
    assert received(receiver) == [b"good"]


def test_a_later_fragment_that_looks_like_a_datagram_is_never_delivered(either):
    receiver = either.bound()
    inside = udp(b"evil1234")
    either.inject(ethernet(ipv4(inside, ident=next(idents), fragment=8)),
                  ethernet(ipv4(inside, ident=next(idents), fragment=8 | MF)), GOOD)
    assert received(receiver) == [b"good"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_all_fragments_of_a_datagram_become_the_datagram_in_any_order(either, order):
    payload = bytes(range(256)) * 8
    pieces = fragments(payload, [0, 800, 1600])
    receiver = either.bound()
    either.inject(*(pieces[i] for i in order))
    assert received(receiver) == [payload]


def test_largest_datagram_is_put_together(either):
    payload = bytes(i % 251 for i in range(65507))
    receiver = either.bound()
    either.inject(*fragments(payload, list(range(0, 65515, 1480))))
    assert received(receiver) == [payload]


def test_a_repeated_fragment_does_no_harm(either):
    payload = bytes(range(200))
    first, second = fragments(payload, [0, 104])
    receiver = either.bound()
    either.inject(first, first, second)
    assert received(receiver) == [payload]


def test_overlapping_fragments_are_never_put_together(either):
    whole, ident = udp(bytes(range(200))), next(idents)
    receiver = either.bound()
    either.inject(ethernet(ipv4(whole[:104], ident=ident, fragment=MF)),
                  ethernet(ipv4(whole[96:], ident=ident, fragment=12)))
    assert received(receiver) == []


def test_fragments_that_overlap_spoil_the_datagram_even_if_all_of_it_comes(either):
    whole, ident = udp(bytes(range(200))), next(idents)
    pieces = [(0, 104, MF), (96, 152, MF), (104, 152, MF), (152, 208, 0)]
    receiver = either.bound()
    either.inject(*(ethernet(ipv4(whole[a:b], ident=ident, fragment=a // 8 | flag)) for a, b, flag in pieces))
    assert received(receiver) == []


@pytest.mark.parametrize("last", [0, MF])
def test_fragment_beyond_the_end_that_another_gave_spoils_the_datagram(either, last):
    whole, ident = udp(bytes(range(200))), next(idents)
    pieces = [(104, 152, 0), (152, 208, last), (0, 104, MF)]
    receiver = either.bound()
    either.inject(*(ethernet(ipv4(whole[a:b], ident=ident, fragment=a // 8 | flag)) for a, b, flag in pieces))
    assert received(receiver) == []


def test_fragments_of_different_datagrams_are_not_mixed(either):
    payload = bytes(range(200))
    first, second = fragments(payload, [0, 104])
    strange = ethernet(ipv4(udp(payload)[104:], ident=next(idents), fragment=13))
    receiver = either.bound()
    either.inject(first, strange)
    assert received(receiver) == []
    either.inject(second)
    assert received(receiver) == [payload]


def test_fragments_that_end_beyond_64_kib_are_dropped_without_harm(either):
    receiver = either.bound()
    either.inject(ethernet(ipv4(b"x" * 1480, ident=next(idents), fragment=0x1FFF)), GOOD)
    assert received(receiver) == [b"good"]


def test_a_checksum_over_all_fragments_is_verified(either):
    first, second = fragments(bytes(range(200)), [0, 104])
    receiver = either.bound()
    either.inject(first, second[:-1] + b"!")
    assert received(receiver) == []


def test_fragments_wait_30_seconds_for_the_others_and_no_longer(net):
    first, second = fragments(bytes(range(200)), [0, 104])
    receiver = net.bound()
    net.inject(first)
    net.advance(29)
    net.inject(second)
    assert received(receiver) == [bytes(range(200))]
    net.inject(first)
    net.advance(31)
    net.inject(second)
    assert received(receiver) == []
    assert net.drops()["fragment_timeout"] >= 1


def test_a_flood_of_first_fragments_keeps_memory_bounded(net):
    receiver = net.bound()
    whole = udp(b"x" * 1000)
    for i in range(20_000):
        source = f"10.0.{i >> 8 & 7}.{2 + i % 250}"
        net.link.send(ethernet(ipv4(whole[:808], source=source, ident=i & 0xFFFF, fragment=MF)))
        net.stack.poll()
    assert net.stack.info().frames_free > net.idle_frames // 2
    net.inject(GOOD)
    assert received(receiver) == [b"good"]


def test_unicast_datagram_in_a_broadcast_frame_draws_no_answer(either):
    assert either.answers(datagram(b"hello", dport=9, via=BROADCAST_MAC)) == []


@pytest.mark.parametrize("destination", [HOST, "10.0.0.255", "255.255.255.255"])
def test_datagram_to_us_or_to_everybody_is_delivered_to_a_wildcard_socket(either, destination):
    receiver = either.bound(address="")
    mac = MACS.get(destination, BROADCAST_MAC)
    either.inject(datagram(b"hello", destination=destination, via=mac))
    assert receiver.recvfrom() == (b"hello", (PEER, 2000))


def test_df_mf_and_reserved_bits_of_a_whole_datagram_do_not_matter(either):
    receiver = either.bound()
    either.inject(datagram(b"one", fragment=0), datagram(b"two", fragment=DF))
    assert received(receiver) == [b"one", b"two"]
