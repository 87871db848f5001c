"""ICMP (RFC 792, RFC 1122 3.2.2, RFC 1191): answers to ping, errors about our datagrams, errors that we send."""

import errno
import random
import socket
import struct

import fastudp
import pytest
from nets import IP_MTU_DISCOVER, IP_RECVERR
from packets import (BROADCAST_MAC, HOST, ICMP, MACS, MF, PEER, STRANGER, UDP, checksum, datagram, ethernet, icmp,
                     identification, ipv4, packed, quoting, sent, tshark, udp, with_identification)
from scapy.layers.inet import ICMP as ScapyIcmp
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from test_sockets import errno_of
from test_validation import changed, idents, received

IP_LEVEL, SOL = socket.IPPROTO_IP, socket.SOL_SOCKET
ECHO_REPLY, UNREACHABLE, QUENCH, REDIRECT, ECHO, EXCEEDED, PARAMETER = 0, 3, 4, 5, 8, 11, 12
NET, HOST_CODE, PROTOCOL, PORT, TOO_BIG, SOURCE_ROUTE = range(6)
ID_AND_SEQUENCE = 0x12340007


def error_of(opened):
    """The pending error of a socket, which reading clears."""
    return opened.get_option(SOL, socket.SO_ERROR)


def last_sent(net):
    return net.captured()[-1]


def sender_of(net, *, connected=True, errors=False, port=1000):
    """A socket that has sent "hello" to the peer, and the frame."""
    opened = net.connected(port) if connected else net.bound(port)
    if errors:
        opened.set_option(IP_LEVEL, IP_RECVERR, 1)
    opened.sendto(b"hello", (PEER, 2000))
    return opened, last_sent(net)


def same_but_identification(frames, wanted):
    return [with_identification(frame, 0) for frame in frames] == [with_identification(frame, 0) for frame in wanted]


# -- Echo ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 56, 57, 1472])
def test_ping_is_answered_with_the_same_id_sequence_and_payload_exact_bytes(either, size):
    payload = random.Random(size).randbytes(size)
    frames = either.answers(icmp(ECHO, 0, ID_AND_SEQUENCE, payload))
    assert same_but_identification(frames, [icmp(ECHO_REPLY, 0, ID_AND_SEQUENCE, payload, source=HOST,
                                                 destination=PEER, fragment=0)])


def test_scapy_and_tshark_read_the_answer_to_a_ping_as_one(net):
    request = Ether(src=MACS[PEER], dst=MACS[HOST]) / IP(src=PEER, dst=HOST) / ScapyIcmp(id=0x1234, seq=7) / Raw(b"abc")
    (frame,) = net.answers(bytes(request))
    reply = Ether(frame)
    assert (reply[ScapyIcmp].type, reply[ScapyIcmp].id, reply[ScapyIcmp].seq) == (0, 0x1234, 7)
    assert bytes(reply[Raw])[:3] == b"abc"
    assert tshark([frame], "icmp.type", "icmp.checksum.status", "ip.checksum.status", "_ws.malformed") == [
        ("0", "1", "1", "")]


@pytest.mark.parametrize("size", [0, 1, 2, 17])
def test_padded_ping_is_not_answered_with_its_padding(either, size):
    request = icmp(ECHO, 0, ID_AND_SEQUENCE, b"x" * size)
    (frame,) = either.answers(request.ljust(60, b"P"))
    assert len(frame) == 42 + size and frame[42:] == b"x" * size


def test_ping_keeps_its_type_of_service(either):
    (frame,) = either.answers(icmp(ECHO, 0, ID_AND_SEQUENCE, b"abc", tos=0x28))
    assert frame[15] == 0x28


def test_ping_in_fragments_is_answered_in_fragments(either):
    body = icmp(ECHO, 0, ID_AND_SEQUENCE, bytes(range(256)) * 12)[34:]
    ident = next(idents)
    frames = either.answers(*(ethernet(ipv4(body[a:a + 1480], protocol=ICMP, ident=ident,
                                            fragment=a // 8 | (MF if a + 1480 < len(body) else 0)))
                              for a in range(0, len(body), 1480)))
    assert [len(frame) for frame in frames] == [1514, 1514, 34 + len(body) - 2960]
    answered = b"".join(frame[34:] for frame in frames)
    assert answered[0] == ECHO_REPLY and answered[4:] == body[4:] and checksum(answered) == 0


def test_ping_from_behind_the_gateway_is_answered_through_it(either):
    (frame,) = either.answers(icmp(ECHO, 0, ID_AND_SEQUENCE, b"abc", source="192.0.2.9"))
    assert frame[:6].hex(":") == "02:00:00:00:00:fe" and frame[30:34] == packed("192.0.2.9")


UNANSWERED = {
    "wrong checksum": icmp(ECHO, 0, ID_AND_SEQUENCE, b"abc", check=0x1111),
    "to the subnet's broadcast": icmp(ECHO, 0, ID_AND_SEQUENCE, b"abc", destination="10.0.0.255", via=BROADCAST_MAC),
    "to the limited broadcast": icmp(ECHO, 0, ID_AND_SEQUENCE, b"abc", destination="255.255.255.255",
                                     via=BROADCAST_MAC),
    "to another host": icmp(ECHO, 0, ID_AND_SEQUENCE, b"abc", destination="10.0.0.9", via=HOST),
    "from the broadcast address": icmp(ECHO, 0, ID_AND_SEQUENCE, b"abc", source="255.255.255.255"),
    "from a multicast address": icmp(ECHO, 0, ID_AND_SEQUENCE, b"abc", source="224.0.0.1"),
    "an echo reply": icmp(ECHO_REPLY, 0, ID_AND_SEQUENCE, b"abc"),
    "an unknown type": icmp(200, 0, ID_AND_SEQUENCE, b"abc"),
    "too short": ethernet(ipv4(b"\x08\x00\xf7\xff", protocol=ICMP)),
    "empty": ethernet(ipv4(b"", protocol=ICMP)),
}


@pytest.mark.parametrize("frame", UNANSWERED.values(), ids=UNANSWERED.keys())
def test_this_echo_draws_no_answer(either, frame):
    assert either.answers(frame) == []


def test_icmp_that_is_dropped_is_counted(net):
    net.inject(UNANSWERED["wrong checksum"], UNANSWERED["too short"], UNANSWERED["an unknown type"])
    assert net.drops() == {"icmp_malformed": 2, "icmp_ignored": 1}


# -- Errors about our datagrams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["send", "recv", "poll"])
def test_port_unreachable_is_econnrefused_once_in_the_connected_sockets_next_call_then_clear(either, call):
    opened, frame = sender_of(either)
    either.inject(quoting(frame))
    if call == "poll":
        assert opened.poll() & fastudp.ERROR
        assert error_of(opened) == errno.ECONNREFUSED
        assert opened.poll() & fastudp.ERROR == 0
    else:
        with pytest.raises(ConnectionRefusedError):
            opened.send(b"x") if call == "send" else opened.recv()
    assert error_of(opened) == 0
    assert opened.send(b"x") == 1
    with pytest.raises(BlockingIOError):
        opened.recv()


def test_pending_error_comes_before_what_is_queued(either):
    opened, frame = sender_of(either)
    either.inject(datagram(b"queued"), quoting(frame))
    with pytest.raises(ConnectionRefusedError):
        opened.recv()
    assert opened.recv() == b"queued"


def test_unconnected_socket_sees_no_icmp_error(either):
    opened, frame = sender_of(either, connected=False)
    either.inject(quoting(frame))
    assert error_of(opened) == 0 and opened.poll() == fastudp.WRITABLE
    assert opened.sendto(b"x", (PEER, 2000)) == 1


def extended_error(number, kind, code, info=0, reporter=PEER):
    origin_icmp = 2
    return (struct.pack("=IBBBBII", number, origin_icmp, kind, code, 0, info, 0)
            + struct.pack("=HH4s8x", socket.AF_INET, 0, packed(reporter)))


@pytest.mark.parametrize("connected", [True, False])
def test_with_ip_recverr_the_error_queue_tells_what_happened_to_which_datagram(either, connected):
    opened, frame = sender_of(either, connected=connected, errors=True)
    either.inject(quoting(frame, quote=frame[14:], source=STRANGER))
    assert opened.poll() & fastudp.ERROR
    error = opened.recvmsg(100, 512, fastudp.ERRQUEUE)
    assert (error.data, error.peer) == (b"hello", (PEER, 2000))
    assert error.control == [(IP_LEVEL, IP_RECVERR, extended_error(errno.ECONNREFUSED, 3, 3, reporter=STRANGER))]
    with pytest.raises(BlockingIOError):
        opened.recvmsg(100, 512, fastudp.ERRQUEUE)


IP_TOS, IP_TTL, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS = 1, 2, 8, 12, 13


def without_interface(control):
    """Control messages without the number of an interface, which we have none of."""
    return [(level, kind, data[4:] if kind == IP_PKTINFO else data) for level, kind, data in control]


@pytest.mark.parametrize("options", [(IP_RECVTTL,), (IP_RECVTOS,), (IP_PKTINFO,), (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS)])
def test_error_queue_tells_what_the_socket_asks_to_know_of_the_icmp_message_before_the_error(either, options):
    opened, frame = sender_of(either, errors=True)
    for option in options:
        opened.set_option(IP_LEVEL, option, 1)
    either.inject(quoting(frame, ttl=9, tos=0x2E, source=STRANGER))
    told = {IP_PKTINFO: bytes(4) + packed(HOST), IP_RECVTTL: struct.pack("=i", 9), IP_RECVTOS: b"\x2e"}
    names = {IP_PKTINFO: IP_PKTINFO, IP_RECVTTL: IP_TTL, IP_RECVTOS: IP_TOS}
    assert without_interface(opened.recvmsg(100, 512, fastudp.ERRQUEUE).control) == [
        *((IP_LEVEL, names[option], told[option]) for option in options),
        (IP_LEVEL, IP_RECVERR, extended_error(errno.ECONNREFUSED, 3, 3, reporter=STRANGER))]


def test_control_messages_of_an_error_are_cut_as_linux_cuts_them(both):
    def cut(net):
        opened, frame = sender_of(net, errors=True)
        for option in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS):
            opened.set_option(IP_LEVEL, option, 1)
        results = []
        for room in range(0, 140):
            net.inject(quoting(frame, ttl=9, tos=0x2E))
            error_of(opened)
            told = opened.recvmsg(100, room, fastudp.ERRQUEUE)
            results.append((without_interface(told.control), told.flags & fastudp.CTRUNC))
        return results

    ours, linux = (cut(net) for net in both)
    assert ours == linux


def test_error_that_the_stack_itself_found_comes_with_no_packets_facts(either):
    opened = either.connected()
    for option, value in [(IP_RECVERR, 1), (IP_PKTINFO, 1), (IP_RECVTTL, 1), (IP_RECVTOS, 1), (IP_MTU_DISCOVER, 2)]:
        opened.set_option(IP_LEVEL, option, value)
    assert errno_of(opened.send, b"x" * 1473) == errno.EMSGSIZE
    assert [kind for _, kind, _ in opened.recvmsg(100, 512, fastudp.ERRQUEUE).control] == [IP_RECVERR]


def test_silent_neighbour_is_a_host_unreachable_of_our_own_in_the_error_queue(make_either):
    net = make_either(resolved=False)
    opened = net.bound()
    for option, value in [(IP_RECVERR, 1), (IP_PKTINFO, 1), (IP_RECVTTL, 1), (IP_RECVTOS, 1), (IP_TOS, 0x1E)]:
        opened.set_option(IP_LEVEL, option, value)
    opened.sendto(b"x", (PEER, 7))
    net.wait_for_error(opened)
    assert without_interface(opened.recvmsg(100, 512, fastudp.ERRQUEUE).control) == [
        (IP_LEVEL, IP_PKTINFO, bytes(4) + packed(HOST)), (IP_LEVEL, IP_TTL, struct.pack("=i", 64)),
        (IP_LEVEL, IP_TOS, b"\xde"),
        (IP_LEVEL, IP_RECVERR, extended_error(errno.EHOSTUNREACH, 3, 1, reporter=HOST))]


@pytest.mark.parametrize("connected", [True, False])
def test_with_ip_recverr_the_error_is_pending_as_well(either, connected):
    opened, frame = sender_of(either, connected=connected, errors=True)
    either.inject(quoting(frame))
    with pytest.raises(ConnectionRefusedError):
        opened.sendto(b"x", (PEER, 2000))
    assert opened.sendto(b"x", (PEER, 2000)) == 1


def test_reading_the_error_queue_clears_the_pending_error(either):
    opened, frame = sender_of(either, errors=True)
    either.inject(quoting(frame))
    opened.recvmsg(100, 512, fastudp.ERRQUEUE)
    assert error_of(opened) == 0


def test_error_queue_keeps_its_order_and_switching_it_off_empties_it(either):
    opened, frame = sender_of(either, errors=True)
    either.inject(quoting(frame), quoting(frame, UNREACHABLE, HOST_CODE))
    assert opened.recvmsg(100, 512, fastudp.ERRQUEUE).control[0][2][:4] == struct.pack("=I", errno.ECONNREFUSED)
    opened.set_option(IP_LEVEL, IP_RECVERR, 0)
    with pytest.raises(BlockingIOError):
        opened.recvmsg(100, 512, fastudp.ERRQUEUE)


MEANINGS = [(UNREACHABLE, code) for code in range(17) if code != TOO_BIG]
MEANINGS += [(EXCEEDED, 0), (EXCEEDED, 1), (PARAMETER, 0), (QUENCH, 0), (REDIRECT, 1), (ECHO_REPLY, 0), (40, 0)]


@pytest.mark.parametrize("errors", [False, True])
@pytest.mark.parametrize("kind, code", MEANINGS)
def test_every_icmp_error_means_to_a_connected_socket_what_linux_says(both, kind, code, errors):
    def outcome(net):
        opened, frame = sender_of(net, errors=errors)
        net.inject(quoting(frame, kind, code))
        return errno.errorcode.get(error_of(opened), 0)

    ours, linux = (outcome(net) for net in both)
    assert ours == linux


def ignored_errors(frame, *error):
    """Errors that are not about `frame`, a datagram of ours, or can't be believed; `error` is kind, code, rest."""
    quote = frame[14:42]
    return {
        "another source port": quoting(frame, *error, quote=changed(quote, 20, struct.pack("!H", 1001))),
        "another destination port": quoting(frame, *error, quote=changed(quote, 22, struct.pack("!H", 2001))),
        "another source address": quoting(frame, *error, quote=changed(quote, 12, packed("10.0.0.9"))),
        "another destination address": quoting(frame, *error, quote=changed(quote, 16, packed(STRANGER))),
        "another protocol": quoting(frame, *error, quote=changed(quote, 9, b"\x06")),
        "its own checksum is wrong": quoting(frame, *error, check=0x1234),
        "a quote without ports": quoting(frame, *error, quote=quote[:20]),
        "half an IP header": quoting(frame, *error, quote=quote[:12]),
        "no quote at all": quoting(frame, *error, quote=b""),
        "a quoted header longer than the quote": quoting(frame, *error, quote=b"\x4f" + quote[1:]),
        "to another host": quoting(frame, *error, destination="10.0.0.9", via=HOST),
    }


@pytest.mark.parametrize("what", ignored_errors(sent(b"hello")))
def test_icmp_error_that_is_not_about_our_datagram_is_ignored(either, what):
    opened, frame = sender_of(either)
    either.inject(ignored_errors(frame)[what])
    assert error_of(opened) == 0
    assert opened.send(b"x") == 1


def test_icmp_errors_that_are_ignored_are_counted(net):
    opened, frame = sender_of(net)
    ignored = ignored_errors(frame)
    ignored["a later fragment"] = quoting(frame, quote=changed(frame[14:42], 6, b"\0\1"))  # Linux believes this one
    net.inject(*ignored.values())
    drops = net.drops()
    assert error_of(opened) == 0
    assert sum(drops.values()) == len(ignored)
    assert drops["icmp_unmatched"] >= 6 and drops["icmp_malformed"] >= 1 and drops["not_for_us"] == 1


def test_redirect_changes_no_route(net):
    opened, frame = sender_of(net)
    net.inject(icmp(REDIRECT, 1, int.from_bytes(packed(STRANGER), "big"), frame[14:42], source="10.0.0.254"))
    opened.send(b"x")
    assert last_sent(net)[:6].hex(":") == MACS[PEER]


def test_flood_of_icmp_errors_stays_bounded(net):
    opened, frame = sender_of(net, errors=True)
    plain, other = sender_of(net, port=1001)
    for _ in range(20_000):
        net.link.send(quoting(frame))
        net.link.send(quoting(other))
        net.stack.poll()
    assert error_of(plain) == errno.ECONNREFUSED and error_of(plain) == 0
    kept = 0
    while opened.poll() & fastudp.ERROR:
        try:
            opened.recvmsg(100, 512, fastudp.ERRQUEUE)
            kept += 1
        except BlockingIOError:
            error_of(opened)
    assert 0 < kept < 5000
    assert net.all_frames_are_back()


# -- Errors that we send ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 5, 519, 520, 521, 1000])
def test_datagram_to_a_port_that_nobody_has_draws_port_unreachable_quoting_up_to_576_bytes(either, size):
    offending = datagram(b"x" * size)
    frames = either.answers(offending)
    wanted = icmp(UNREACHABLE, PORT, 0, offending[14:14 + 548], source=HOST, destination=PEER, tos=0xC0, fragment=0)
    assert same_but_identification(frames, [wanted])


def test_port_unreachable_quotes_options_but_no_padding(either):
    offending = datagram(b"x", options=b"\x01\x01\x01\0")
    frames = either.answers(offending.ljust(60, b"P"))
    wanted = icmp(UNREACHABLE, PORT, 0, offending[14:], source=HOST, destination=PEER, tos=0xC0, fragment=0)
    assert same_but_identification(frames, [wanted])


@pytest.mark.parametrize("tos", [0x01, 0x02, 0x1E, 0x20, 0xB8, 0xFF])
def test_port_unreachable_has_the_precedence_of_control_and_the_type_of_service_of_the_datagram(either, tos):
    (frame,) = either.answers(datagram(b"x", tos=tos))
    assert frame[15] == 0xC0 | (tos & 0x1E)


def test_tshark_reads_our_port_unreachable_with_its_quote(net):
    fields = ("icmp.type", "icmp.code", "icmp.checksum.status", "udp.dstport", "ip.src", "_ws.malformed")
    assert tshark(net.answers(datagram(b"hello")), *fields) == [("3", "3", "1", "1000", f"{HOST},{PEER}", "")]


def test_datagram_of_a_stranger_to_a_connected_socket_draws_port_unreachable(either):
    either.connected()
    (frame,) = either.answers(datagram(b"x", source=STRANGER))
    assert frame[34:36] == bytes([UNREACHABLE, PORT]) and frame[30:34] == packed(STRANGER)


def test_unknown_protocol_draws_protocol_unreachable(either):
    offending = ethernet(ipv4(b"whatever", protocol=253))
    wanted = icmp(UNREACHABLE, PROTOCOL, 0, offending[14:], source=HOST, destination=PEER, tos=0xC0, fragment=0)
    assert same_but_identification(either.answers(offending), [wanted])


NO_ANSWER = {
    "to the subnet's broadcast": datagram(b"x", destination="10.0.0.255", via=BROADCAST_MAC),
    "to the limited broadcast": datagram(b"x", destination="255.255.255.255", via=BROADCAST_MAC),
    "to a multicast group": datagram(b"x", destination="224.0.0.1", via="01:00:5e:00:00:01"),
    "in a broadcast frame": datagram(b"x", via=BROADCAST_MAC),
    "from the any address": datagram(b"x", source="0.0.0.0"),
    "from a broadcast address": datagram(b"x", source="255.255.255.255"),
    "from a multicast address": datagram(b"x", source="224.0.0.9"),
    "from loopback": datagram(b"x", source="127.0.0.1"),
    "a later fragment": ethernet(ipv4(udp(b"x" * 64), ident=next(idents), fragment=8)),
    "a wrong checksum": ethernet(ipv4(udp(b"x", check=0x1234))),
    "a wrong length": ethernet(ipv4(udp(b"x", length=100))),
    "an ICMP error": quoting(sent(b"x")),
    "an ICMP error about an ICMP error": icmp(3, 3, 0, quoting(sent(b"x"))[14:]),
    "not for us": datagram(b"x", destination="10.0.0.9", via=HOST),
}


@pytest.mark.parametrize("frame", NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_no_icmp_error_is_sent_about_this(either, frame):
    assert either.answers(frame) == []


def test_no_icmp_error_is_sent_when_a_queue_is_full(either):
    receiver = either.bound()
    receiver.set_option(SOL, socket.SO_RCVBUF, 2304)
    assert either.answers(*[datagram(b"x" * 1000)] * 50) == []


def test_icmp_errors_come_in_a_burst_of_6_then_one_a_second_for_each_destination(net):
    net.advance(100)
    offending = datagram(b"x")
    assert len(net.answers(*[offending] * 20)) == 6
    assert net.drops()["icmp_rate_limited"] == 14
    assert len(net.answers(*[datagram(b"x", source=STRANGER)] * 20)) == 6
    for _ in range(3):
        net.advance(1)
        assert len(net.answers(*[offending] * 5)) == 1
    net.advance(3)
    assert len(net.answers(*[offending] * 20)) == 3
    net.advance(100)
    assert len(net.answers(*[offending] * 20)) == 6


def test_linux_limits_icmp_errors_to_a_burst_of_6_as_well(make_net):
    linux = make_net("linux")
    linux.add_neighbour("10.0.0.66", MACS[PEER])
    linux.limit_icmp_errors(1000)
    assert len(linux.answers(*[datagram(b"x", source="10.0.0.66")] * 20)) in (6, 7)  # 7: a second went by


def test_pings_are_not_rate_limited(either):
    assert len(either.answers(*[icmp(ECHO, 0, ID_AND_SEQUENCE, b"abc")] * 200)) == 200


def test_icmp_errors_from_100000_sources_leave_memory_bounded(make_net):
    net = make_net(address=f"{HOST}/8", resolved=False, gateway=None)
    for number in range(100_000):
        net.link.send(datagram(b"", source=f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"))
        net.stack.poll()
        while net.link.wait(0):
            net.link.recv()
    assert net.stack.info().frames_free > net.idle_frames // 2
    assert net.stack.stats().neighbours <= 1024
    receiver = net.bound(1001)
    net.inject(datagram(b"still here", dport=1001))
    assert received(receiver) == [b"still here"]


def test_fragment_that_waits_in_vain_draws_time_exceeded_when_it_is_the_first(net):
    ident = next(idents)
    first = ethernet(ipv4(udp(b"x" * 1000)[:808], ident=ident, fragment=MF))
    net.inject(first)
    net.advance(31)
    frames = net.captured()
    wanted = icmp(EXCEEDED, 1, 0, first[14:14 + 548], source=HOST, destination=PEER, tos=0xC0, fragment=0)
    assert same_but_identification(frames, [wanted])


@pytest.mark.parametrize("changes", [{"destination": "10.0.0.255", "via": BROADCAST_MAC}, {"fragment": 8 | MF}])
def test_fragment_that_waits_in_vain_draws_nothing_when_it_went_to_many_or_is_not_the_first(net, changes):
    to = changes.get("destination", HOST)
    piece = ipv4(udp(b"x" * 1000)[:808], ident=next(idents), destination=to, fragment=changes.get("fragment", MF))
    net.inject(ethernet(piece, destination=changes.get("via", HOST)))
    net.advance(31)
    assert net.captured() == []


def test_identification_of_answers_changes(either):
    frames = either.answers(*[icmp(ECHO, 0, ID_AND_SEQUENCE, b"abc")] * 20)
    assert len({identification(frame) for frame in frames}) > 10


def test_protocol_numbers_are_those_of_the_system():
    assert (UDP, ICMP) == (socket.IPPROTO_UDP, socket.IPPROTO_ICMP)
