"""Address resolution: ARP (RFC 826), its conflicts (RFC 5227), and the states of RFC 4861 7.3 with Linux's times."""

import os
import resource
import socket

import fastudp
import pytest
from nets import IP_RECVERR
from packets import (ARP, BROADCAST_MAC, GATEWAY, HOST, MACS, PEER, STRANGER, arp, arp_reply, arp_request, datagram,
                     ether_type, ethernet, mac_bytes, packed, quoting, sent, tshark)
from scapy.layers.l2 import ARP as ScapyArp
from scapy.layers.l2 import Ether
from test_sockets import errno_of
from test_validation import changed, received

OTHER_MAC = "02:00:00:00:00:99"
REQUEST = arp(1, HOST, MACS[HOST], PEER)


@pytest.fixture
def make_unresolved(make_either):
    return lambda **settings: make_either(resolved=False, **settings)


@pytest.fixture
def unresolved(make_unresolved):
    return make_unresolved()


@pytest.fixture
def clocked(make_net):
    """Our host alone, which knows nobody yet."""
    return make_net(resolved=False)


def send(net, payload=b"hello", to=PEER):
    opened = net.socket()
    opened.sendto(payload, (to, 2000))
    return opened.getsockname()[1]


def state_of(net, host=PEER):
    known = net.stack.get_neighbour(host)
    return known and known[1]


def make_reachable(net, host=PEER):
    send(net, to=host)
    net.inject(arp_reply(host))
    net.captured()
    assert net.stack.get_neighbour(host) == (MACS[host], fastudp.REACHABLE)


# -- Answering ----------------------------------------------------------------------------------------------------


def test_arp_request_for_our_address_draws_a_unicast_reply_with_these_exact_bytes(unresolved):
    assert unresolved.answers(arp_request(HOST)) == [bytes.fromhex(
        "020000000002 020000000001 0806"
        "0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002")]


def test_scapy_and_tshark_read_the_reply_as_one(net):
    (reply,) = net.answers(arp_request(HOST))
    wanted = Ether(src=MACS[HOST], dst=MACS[PEER]) / ScapyArp(op=2, hwsrc=MACS[HOST], psrc=HOST, hwdst=MACS[PEER],
                                                              pdst=PEER)
    assert reply == bytes(wanted)
    assert tshark([reply], "arp.opcode", "arp.src.proto_ipv4", "_ws.malformed") == [("2", HOST, "")]


@pytest.mark.parametrize("target", ["10.0.0.9", GATEWAY, "10.0.0.255", "192.0.2.1", "0.0.0.0"])
def test_arp_request_for_another_address_draws_silence(unresolved, target):
    assert unresolved.answers(arp_request(target)) == []


def test_unicast_and_padded_arp_requests_are_answered_too(unresolved):
    request = arp(1, PEER, MACS[PEER], HOST, destination=MACS[HOST])
    assert unresolved.answers(request.ljust(60, b"P")) == [arp_reply(HOST, PEER)]


def test_probe_for_our_address_is_answered(unresolved):
    (reply,) = unresolved.answers(arp(1, "0.0.0.0", MACS[PEER], HOST))
    assert reply[:22] == mac_bytes(MACS[PEER]) + mac_bytes(MACS[HOST]) + bytes.fromhex("0806 0001 0800 06 04 0002")
    assert reply[22:32] == mac_bytes(MACS[HOST]) + packed(HOST)


def test_arp_request_for_a_second_address_is_answered_with_it(unresolved):
    unresolved.add_address("10.0.7.1/24")
    assert unresolved.answers(arp_request("10.0.7.1")) == [arp(2, "10.0.7.1", MACS[HOST], PEER, MACS[PEER],
                                                             destination=PEER)]


MALFORMED = {
    "too short": arp_request(HOST)[:41],
    "hardware type": changed(arp_request(HOST), 14, b"\0\x06\x06"),
    "protocol type": changed(arp_request(HOST), 16, b"\x86\xdd"),
    "hardware size": changed(arp_request(HOST), 18, b"\x08"),
    "protocol size": changed(arp_request(HOST), 19, b"\x10"),
    "operation": changed(arp_request(HOST), 20, b"\0\x03"),
}


@pytest.mark.parametrize("frame", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_arp_is_ignored(unresolved, frame):
    assert unresolved.answers(frame) == []


def test_malformed_arp_is_counted_and_teaches_nothing(clocked):
    clocked.inject(*MALFORMED.values())
    assert clocked.drops() == {"arp_malformed": len(MALFORMED)}
    assert state_of(clocked) is None


@pytest.mark.parametrize("sender", ["127.0.0.1", "224.0.0.1", "255.255.255.255"])
def test_arp_from_an_impossible_sender_teaches_nothing(clocked, sender):
    clocked.inject(arp(1, sender, MACS[PEER], HOST))
    assert clocked.stack.get_neighbour(sender) is None


# -- Asking -------------------------------------------------------------------------------------------------------


def test_send_to_an_unresolved_host_asks_once_and_the_datagram_follows_the_reply_at_once(unresolved):
    port = send(unresolved)
    assert unresolved.captured() == [REQUEST] == [bytes.fromhex(
        "ffffffffffff 020000000001 0806"
        "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002")]
    assert unresolved.answers(arp_reply(PEER)) == [sent(b"hello", sport=port)]


def test_blocking_socket_waits_for_no_neighbour():
    """On a stack with a clock of its own, where a call could wait; after three seconds nothing would be parked."""
    hub = "mem:nobody-waits"
    with fastudp.Stack(f"{hub}?mac={MACS[HOST]}&address={HOST}/24&announce=off") as stack, fastudp.Link(hub) as wire:
        sender, connected = stack.socket(), stack.socket()
        sender.bind((HOST, 1000))
        connected.connect((PEER, 2000))
        assert sender.gettimeout() is None
        assert sender.sendto(b"one", (PEER, 2000)) == 3
        assert sender.send_burst([(b"two", (PEER, 2000))]) == 1
        assert connected.send(b"three") == 5
        assert (stack.get_neighbour(PEER)[1], stack.stats().parked) == (fastudp.INCOMPLETE, 3)
        wire.send(arp_reply(PEER))
        stack.poll()
        frames = [wire.recv() for _ in iter(lambda: wire.wait(0), False)]
        assert [frame for frame in frames if frame != REQUEST] == [
            sent(b"one"), sent(b"two"), sent(b"three", sport=connected.getsockname()[1])]
        assert frames[0] == REQUEST


def test_several_datagrams_wait_for_one_reply_and_follow_it_in_order(unresolved):
    sender = unresolved.bound()
    for number in range(10):
        sender.sendto(b"%d" % number, (PEER, 2000))
    assert unresolved.captured() == [REQUEST]
    assert unresolved.answers(arp_reply(PEER)) == [sent(b"%d" % number) for number in range(10)]


def test_request_of_the_host_we_ask_for_resolves_it_as_well(unresolved):
    port = send(unresolved)
    unresolved.captured()
    assert set(unresolved.answers(arp_request(HOST))) == {arp_reply(HOST, PEER), sent(b"hello", sport=port)}


def test_fragments_that_wait_for_a_reply_follow_it_in_order(unresolved):
    send(unresolved, b"x" * 4000)
    assert unresolved.captured() == [REQUEST]
    frames = unresolved.answers(arp_reply(PEER))
    assert [len(frame) for frame in frames] == [1514, 1514, 1082]


def test_receiving_goes_on_undisturbed_while_another_socket_waits_for_a_neighbour(unresolved):
    unresolved.add_neighbour(STRANGER, MACS[STRANGER])
    receiver = unresolved.bound()
    send(unresolved)
    unresolved.inject(datagram(b"one", source=STRANGER), datagram(b"two", source=STRANGER))
    assert received(receiver) == [b"one", b"two"]
    receiver.sendto(b"resolved", (STRANGER, 7))
    assert unresolved.captured() == [REQUEST, sent(b"resolved", destination=STRANGER, dport=7)]


def test_while_a_neighbour_is_asked_for_what_comes_in_is_verified_as_ever(unresolved):
    unresolved.add_neighbour(STRANGER, MACS[STRANGER])
    receiver = unresolved.bound()
    send(unresolved)
    good = datagram(b"good", source=STRANGER)
    unresolved.inject(changed(good, 42, b"b"), changed(good, 22, b"\x01"), good[:41],
                      datagram(b"not ours", source=STRANGER, destination="10.0.0.9", via=HOST),
                      datagram(b"other port", source=STRANGER, dport=1001), good)
    assert received(receiver) == [b"good"]
    frames = unresolved.answers(arp_reply(PEER))
    assert frames[-1][42:] == b"hello" and received(receiver) == []


def test_datagrams_that_wait_are_bounded_the_oldest_give_way_and_nobody_blocks(clocked):
    sender = clocked.bound()
    for number in range(5000):
        sender.sendto(b"%05d" % number, (PEER, 2000))
    parked = clocked.stack.stats().parked
    assert 0 < parked < 5000
    assert clocked.drops() == {"neighbour_queue": 5000 - parked}
    assert clocked.stack.info().frames_free > clocked.idle_frames // 2
    clocked.captured()
    assert clocked.answers(arp_reply(PEER)) == [sent(b"%05d" % n) for n in range(5000 - parked, 5000)]
    assert clocked.stack.stats().parked == 0


def test_datagrams_that_wait_are_bounded_in_bytes_as_on_linux(clocked):
    sender = clocked.bound()
    for _ in range(1000):
        sender.sendto(b"x" * 1400, (PEER, 2000))
    assert 50 <= clocked.stack.stats().parked <= 212_992 // 1400


def test_arp_that_is_never_answered_asks_three_times_a_second_apart_and_then_gives_up(clocked):
    send(clocked)
    times = []
    for tick in range(100):
        times += [tick / 10] * len(clocked.captured())
        clocked.advance(0.1)
    assert times == [0, 1, 2]
    assert state_of(clocked) in (fastudp.FAILED, None)
    assert clocked.drops() == {"neighbour_failed": 1}
    assert clocked.stack.stats().parked == 0


def test_ehostunreach_comes_after_3_seconds_with_ip_recverr_and_a_plain_socket_sees_nothing(unresolved):
    plain, connected, wants_errors = unresolved.bound(1000), unresolved.connected(1001), unresolved.bound(1002)
    wants_errors.set_option(socket.IPPROTO_IP, IP_RECVERR, 1)
    for sender in (plain, connected, wants_errors):
        sender.sendto(b"hello", (PEER, 2000))
    assert wants_errors.poll() == fastudp.WRITABLE
    unresolved.wait_for_error(wants_errors)
    assert errno_of(wants_errors.recv) == 113  # EHOSTUNREACH
    error = wants_errors.recvmsg(100, 512, fastudp.ERRQUEUE)
    assert (error.data, error.peer) == (b"hello", (PEER, 2000))
    for silent in (plain, connected):
        assert silent.poll() == fastudp.WRITABLE
        with pytest.raises(BlockingIOError):
            silent.recv()
        assert silent.sendto(b"again", (PEER, 2000)) == 5


def test_failed_neighbour_is_asked_for_again_by_the_next_datagram(clocked):
    send(clocked)
    clocked.advance(5)
    clocked.captured()
    port = send(clocked, b"again")
    assert clocked.captured() == [REQUEST]
    assert clocked.answers(arp_reply(PEER)) == [sent(b"again", sport=port)]


def test_unresolved_unicast_is_never_broadcast(unresolved):
    for host in (PEER, STRANGER, GATEWAY, "192.0.2.1"):
        send(unresolved, to=host)
    frames = unresolved.captured()
    assert len(frames) == 3 and all(ether_type(frame) == ARP for frame in frames)


@pytest.mark.parametrize("destination", ["239.1.2.3", "10.0.0.255", "255.255.255.255"])
def test_multicast_and_broadcast_destinations_are_never_asked_for(unresolved, destination):
    sender = unresolved.bound()
    sender.set_option(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.sendto(b"hello", (destination, 2000))
    assert [ether_type(frame) for frame in unresolved.captured()] == [0x0800]


# -- What may teach us, and what may not --------------------------------------------------------------------------


def forged(frame):
    """The frame from another station than the one that has its sender's address."""
    return frame[:6] + mac_bytes(OTHER_MAC) + frame[12:]


def test_datagram_with_a_forged_source_changes_no_neighbour(make_unresolved):
    net = make_unresolved()
    sender, receiver = net.bound(), net.bound(1001)
    for host in (GATEWAY, PEER):
        sender.sendto(b"one", (host, 2000))
        net.captured()
        net.inject(arp_reply(host))
    net.captured()
    net.let_a_while_pass()
    for host in (GATEWAY, PEER):
        net.inject(forged(datagram(b"forged", source=host, dport=1001)))
    assert received(receiver) == [b"forged"] * 2
    sender.sendto(b"two", ("192.0.2.1", 2000))
    sender.sendto(b"two", (PEER, 2000))
    assert net.captured() == [sent(b"two", destination="192.0.2.1", via=GATEWAY), sent(b"two")]


def test_datagram_from_an_unknown_host_teaches_no_neighbour(unresolved):
    receiver = unresolved.bound()
    unresolved.inject(datagram(b"hello"))
    assert received(receiver) == [b"hello"]
    send(unresolved)
    assert unresolved.captured() == [REQUEST]


def test_datagram_with_the_source_that_is_asked_for_resolves_nothing(unresolved):
    receiver, port = unresolved.bound(), send(unresolved)
    assert unresolved.captured() == [REQUEST]
    claims = [datagram(b"forged"), datagram(b"to all", destination="10.0.0.255", via=BROADCAST_MAC),
              quoting(sent(b"hello", sport=port, dport=2001))]
    assert unresolved.answers(*map(forged, claims)) == []
    assert received(receiver) == [b"forged"]
    assert unresolved.answers(arp_reply(PEER)) == [sent(b"hello", sport=port)]


def test_datagrams_are_no_proof_that_a_neighbour_hears_us(clocked):
    clocked.inject(arp_request(HOST))
    receiver = clocked.bound()
    send(clocked)
    clocked.captured()
    for second in range(5):
        clocked.inject(datagram(b"%d" % second))
        assert state_of(clocked) == fastudp.DELAY
        clocked.advance(1)
    assert clocked.captured() == [arp(1, HOST, MACS[HOST], PEER, destination=MACS[PEER])]
    assert received(receiver) == [b"%d" % second for second in range(5)]


def test_reply_that_nobody_asked_for_teaches_no_neighbour(unresolved):
    unresolved.inject(arp_reply(PEER), arp(2, PEER, MACS[PEER], PEER, BROADCAST_MAC), arp(1, PEER, MACS[PEER], PEER))
    send(unresolved)
    assert unresolved.captured() == [REQUEST]


def test_permanent_neighbour_is_not_changed_by_arp(either):
    either.let_a_while_pass()
    either.inject(arp_reply(PEER, mac=OTHER_MAC), arp(1, PEER, OTHER_MAC, HOST), arp(1, PEER, OTHER_MAC, PEER))
    either.captured()
    port = send(either)
    assert either.captured() == [sent(b"hello", sport=port)]


def test_reply_that_was_sent_to_another_station_resolves_nothing(clocked):
    send(clocked)
    clocked.captured()
    assert clocked.answers(arp(2, PEER, OTHER_MAC, STRANGER, MACS[STRANGER], destination=MACS[STRANGER])) == []
    assert state_of(clocked) == fastudp.INCOMPLETE


def test_neighbour_with_a_multicast_mac_is_not_believed(clocked):
    send(clocked)
    clocked.captured()
    assert clocked.answers(arp_reply(PEER, mac="01:00:5e:00:00:01"), arp_reply(PEER, mac=BROADCAST_MAC)) == []


def spoofed_datagram(number):
    return datagram(b"", source=f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", dport=1001)


def spoofed_request(number):
    return arp(1, f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", OTHER_MAC, HOST)


@pytest.mark.parametrize("make", [spoofed_datagram, spoofed_request])
def test_100000_spoofed_sources_leave_memory_flat_and_the_true_peer_still_resolves(make_net, make):
    net = make_net(resolved=False, address=f"{HOST}/8", gateway=None)
    receiver = net.bound(1001)
    base = None
    for number in range(100_000):
        net.link.send(make(number))
        net.stack.poll()
        if number % 32 == 31:
            if make is spoofed_datagram:
                received(receiver)
            while net.link.wait(0):
                net.link.recv()
        if number == 20_000:
            base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base < 4096
    assert net.stack.stats().neighbours <= 1024
    assert net.all_frames_are_back()
    port = send(net)
    assert net.captured() == [REQUEST]
    assert net.answers(arp_reply(PEER)) == [sent(b"hello", sport=port)]


def test_table_of_neighbours_is_as_large_as_asked_for(make_net):
    net = make_net(resolved=False, neighbours=16)
    for number in range(100):
        net.inject(arp(1, f"10.0.0.{100 + number}", OTHER_MAC, HOST))
    assert net.stack.stats().neighbours <= 16


# -- Addresses of our own (RFC 5227) ------------------------------------------------------------------------------


def frames_by_time(net, seconds):
    """What is sent in the next seconds: (time, frame)."""
    found = []
    end = net.now + round(seconds * 1e9)
    while net.now <= end:
        found += [(net.now / 1e9, frame) for frame in net.captured()]
        net.advance(0.05)
    return found


def test_address_is_probed_for_and_announced_twice_2_seconds_apart(make_net):
    net = make_net(resolved=False, extra="announce=on")
    found = frames_by_time(net, 20)
    probe, announcement = arp(1, "0.0.0.0", MACS[HOST], HOST), arp(1, HOST, MACS[HOST], HOST)
    probes = [when for when, frame in found if frame == probe]
    announced = [when for when, frame in found if frame == announcement]
    assert len(found) == len(probes) + len(announced)
    assert len(probes) == 3 and probes[0] <= 1.1
    assert all(0.9 <= b - a <= 2.1 for a, b in zip(probes, probes[1:]))
    assert len(announced) == 2 and announced[1] - announced[0] == pytest.approx(2, abs=0.1)
    assert announced[0] - probes[-1] == pytest.approx(2, abs=0.1)


def test_address_is_neither_probed_for_nor_announced_when_that_is_off(clocked):
    assert frames_by_time(clocked, 20) == []


def test_claim_of_our_address_by_another_is_answered_by_one_announcement_in_10_seconds(make_net):
    clocked = make_net(resolved=False, extra="announce=on")
    clocked.advance(60)
    claim = arp(1, HOST, OTHER_MAC, HOST)
    announcement = arp(1, HOST, MACS[HOST], HOST)
    assert clocked.answers(claim) == [announcement]
    clocked.advance(5)
    assert clocked.answers(claim, claim) == []
    clocked.advance(6)
    assert clocked.answers(claim) == [announcement]
    assert clocked.stack.get_neighbour(HOST) is None


# -- The states of a neighbour (RFC 4861 7.3.2) -------------------------------------------------------------------


def test_reply_makes_a_neighbour_reachable_and_time_makes_it_stale(clocked):
    make_reachable(clocked)
    clocked.advance(14.9)
    assert state_of(clocked) == fastudp.REACHABLE
    clocked.advance(30.2)
    assert state_of(clocked) == fastudp.STALE
    assert clocked.captured() == []


def test_request_of_a_host_makes_it_a_stale_neighbour(clocked):
    clocked.inject(arp_request(HOST))
    assert clocked.stack.get_neighbour(PEER) == (MACS[PEER], fastudp.STALE)


def test_stale_neighbour_is_used_at_once_and_probed_after_5_seconds_by_unicast(clocked):
    clocked.inject(arp_request(HOST))
    clocked.captured()
    port = send(clocked)
    assert clocked.captured() == [sent(b"hello", sport=port)]
    assert state_of(clocked) == fastudp.DELAY
    clocked.advance(4.9)
    assert clocked.captured() == []
    clocked.advance(0.2)
    assert clocked.captured() == [arp(1, HOST, MACS[HOST], PEER, destination=MACS[PEER])]
    assert state_of(clocked) == fastudp.PROBE
    clocked.inject(arp_reply(PEER))
    assert state_of(clocked) == fastudp.REACHABLE


def test_neighbour_that_answers_no_probe_is_probed_three_times_and_then_forgotten(clocked):
    clocked.inject(arp_request(HOST))
    clocked.captured()
    send(clocked)
    clocked.captured()
    probes = [(round(when, 1), frame[:6].hex(":")) for when, frame in frames_by_time(clocked, 20)]
    assert [when for when, _ in probes] == pytest.approx([5, 6, 7], abs=0.06)
    assert {to for _, to in probes} == {MACS[PEER]}
    assert state_of(clocked) in (fastudp.FAILED, None)
    port = send(clocked, b"again")
    assert clocked.captured() == [REQUEST]
    assert clocked.answers(arp_reply(PEER)) == [sent(b"again", sport=port)]


def test_sending_with_confirm_needs_no_probe(clocked):
    clocked.inject(arp_request(HOST))
    sender = clocked.bound()
    sender.sendto(b"one", (PEER, 2000))
    assert state_of(clocked) == fastudp.DELAY
    clocked.advance(3)
    sender.sendto(b"two", (PEER, 2000), fastudp.CONFIRM)
    clocked.captured()
    clocked.advance(8)
    assert clocked.captured() == []
    assert state_of(clocked) == fastudp.REACHABLE


def test_neighbour_that_moves_to_another_mac_is_followed_when_it_asks_for_us(clocked):
    make_reachable(clocked)
    clocked.advance(2)
    clocked.inject(arp(1, PEER, OTHER_MAC, HOST))
    assert clocked.stack.get_neighbour(PEER) == (OTHER_MAC, fastudp.STALE)
    clocked.captured()
    port = send(clocked)
    assert clocked.captured() == [sent(b"hello", sport=port, via=OTHER_MAC)]


def test_neighbours_can_be_added_changed_removed_and_read(net):
    stack = net.stack
    stack.add_neighbour("10.0.0.77", OTHER_MAC)
    assert stack.get_neighbour("10.0.0.77") == (OTHER_MAC, fastudp.PERMANENT)
    stack.add_neighbour("10.0.0.77", MACS[PEER])
    assert stack.get_neighbour("10.0.0.77") == (MACS[PEER], fastudp.PERMANENT)
    net.advance(1000)
    assert stack.get_neighbour("10.0.0.77") == (MACS[PEER], fastudp.PERMANENT)
    stack.remove_neighbour("10.0.0.77")
    assert stack.get_neighbour("10.0.0.77") is None
    assert errno_of(stack.remove_neighbour, "10.0.0.77") == 2  # ENOENT


def test_removing_a_neighbour_drops_what_waits_for_it(clocked):
    send(clocked)
    assert clocked.stack.stats().parked == 1
    clocked.stack.remove_neighbour(PEER)
    assert clocked.stack.stats().parked == 0
    clocked.captured()
    assert clocked.answers(arp_reply(PEER)) == []


def test_truncated_and_random_arp_does_no_harm(clocked):
    for size in range(14, 42):
        clocked.inject(arp_request(HOST)[:size])
    for seed in range(2000):
        clocked.inject(ethernet(os.urandom(28), destination=BROADCAST_MAC, kind=ARP))
    clocked.captured()
    assert clocked.answers(arp_request(HOST)) == [arp_reply(HOST, PEER)]
