"""Our sockets against the kernel's, over a TAP interface: every size, every checksum, errors and address resolution."""

import contextlib
import errno
import random
import socket
import struct
import threading

import fastudp
import pytest
from conftest import KERNEL, OURS, interface
from private_network import kernel_counts, run

import private_network
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

SO_NO_CHECK, UDP_SEGMENT = 11, 103
IP_MTU_DISCOVER, IP_RECVERR, IP_MTU, PMTUDISC_DO = 10, 11, 14, 2


def bad_checksums(cable):
    return {name: count for name, count in cable.stack.drops().items() if count and "checksum" in name}


def test_every_size_up_to_the_mtu_comes_back_as_it_went(cable):
    source = random.Random(1)
    with cable.echo(7), cable.kernel_socket() as client:
        for size in range(0, 1473):
            payload = source.randbytes(size)
            client.sendto(payload, (OURS, 7))
            assert client.recvfrom(2000) == (payload, (OURS, 7))
    assert bad_checksums(cable) == {}


@pytest.mark.parametrize("size", [1473, 2000, 2960, 9000, 30_000, 65_507])
def test_datagrams_longer_than_the_mtu_come_back_as_they_went(cable, size):
    payload = random.Random(size).randbytes(size)
    with cable.echo(7), cable.kernel_socket() as client:
        client.sendto(payload, (OURS, 7))
        assert client.recvfrom(65536) == (payload, (OURS, 7))


@pytest.mark.parametrize("make_cable", ["tap"], indirect=True)  # DPDK's driver has ordinary frames only
def test_jumbo_frames_come_back_as_they_went(make_cable):
    cable = make_cable("announce=off&mtu=9001")
    assert interface(cable.device)["mtu"] == cable.stack.info().mtu == 9001
    with cable.echo(7), cable.kernel_socket() as client:
        for size in (0, 1472, 1473, 8972, 8973):
            payload = random.Random(size).randbytes(size)
            client.sendto(payload, (OURS, 7))
            assert client.recv(10_000) == payload
    assert cable.stack.stats().rx_frames < 200


def test_a_kernel_that_leaves_checksums_to_its_hardware_loses_nothing(cable):
    receiver = cable.bound(1000)
    receiver.settimeout(20)
    with cable.kernel_socket() as sender:
        sender.sendto(b"first", (OURS, 1000))
        assert receiver.recv() == b"first"  # now the kernel has resolved us and parks nothing
        for burst in range(50):
            for number in range(100):
                sender.sendto(b"%d" % (burst * 100 + number) * 20, (OURS, 1000))
            for number in range(100):
                assert receiver.recv() == b"%d" % (burst * 100 + number) * 20
    assert bad_checksums(cable) == {}


def test_the_kernel_finds_no_wrong_checksum_in_what_we_send(cable):
    before = kernel_counts()
    sender = cable.bound(1000)
    with cable.kernel_socket(port=2000) as receiver:
        source = random.Random(2)
        for _ in range(20):
            payloads = [source.randbytes(source.randrange(1473)) for _ in range(50)]
            assert sender.send_burst([(payload, (KERNEL, 2000)) for payload in payloads]) == 50
            assert [receiver.recv(2000) for _ in payloads] == payloads
    after = kernel_counts()
    assert after["Udp.InDatagrams"] - before["Udp.InDatagrams"] == 1000
    for name in ("Udp.InErrors", "Udp.InCsumErrors", "Ip.InHdrErrors", "Icmp.InCsumErrors"):
        assert after[name] == before[name], name


def watching(cable):
    """A socket that sees every frame on the cable, as tcpdump does."""
    every_protocol = 0x0003
    watcher = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(every_protocol))
    watcher.bind((cable.device, every_protocol))
    watcher.settimeout(20)
    return watcher


def frames_of(watcher, count, kind):
    """So many frames of this ether type that came from our side of the cable."""
    found = []
    while len(found) < count:
        frame, address = watcher.recvfrom(65536)
        if address[2] != socket.PACKET_OUTGOING and frame[12:14] == kind:
            found.append(frame)
    return found


def test_frames_of_ours_that_the_kernel_sees_have_these_exact_bytes(cable):
    mac, kernel_mac = cable.stack.info().mac, cable.kernel_mac()
    with watching(cable) as watcher, cable.kernel_socket(port=2000) as receiver:
        cable.bound(1000).sendto(b"hello", (KERNEL, 2000))
        assert receiver.recvfrom(100) == (b"hello", (OURS, 1000))
        run("ping", "-n", "-c", "1", "-s", "3", "-p", "616263", OURS)
        (request,) = frames_of(watcher, 1, b"\x08\x06")
        datagram, echo = frames_of(watcher, 2, b"\x08\0")
    echo = Ether(echo)
    assert [request, datagram, bytes(echo)] == [bytes(frame) for frame in (
        Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=OURS, pdst=KERNEL),
        Ether(src=mac, dst=kernel_mac) / IP(src=OURS, dst=KERNEL, id=0, flags="DF") / UDP(sport=1000, dport=2000)
        / Raw(b"hello"),
        Ether(src=mac, dst=kernel_mac) / IP(src=OURS, dst=KERNEL, id=echo[IP].id)
        / ICMP(type=0, id=echo[ICMP].id, seq=1) / Raw(b"abc"))]


def test_host_that_nobody_is_is_asked_for_three_times_and_then_unreachable(cable):
    nobody, mac = "10.77.0.99", cable.stack.info().mac
    plain, asks = cable.bound(1000), cable.bound(1001)
    asks.set_option(socket.IPPROTO_IP, IP_RECVERR, 1)
    with watching(cable) as watcher:
        for sender in (plain, asks):
            assert sender.sendto(b"anybody?", (nobody, 7)) == 8
        requests = frames_of(watcher, 3, b"\x08\x06")
        assert asks.wait(fastudp.READABLE, 20) & fastudp.ERROR
    request = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=OURS, pdst=nobody)
    assert requests == [bytes(request)] * 3
    with pytest.raises(OSError) as unreachable:
        asks.recv()
    assert unreachable.value.errno == errno.EHOSTUNREACH
    with pytest.raises(BlockingIOError):
        plain.recv(100, fastudp.DONTWAIT)


@pytest.fixture
def narrow_network(cable):
    """A network behind the kernel, which is the router to it; its MTU is 1280."""
    forwarding = "net/ipv4/ip_forward"
    private_network.ip("link add narrow type veth peer name beyond", "link set beyond up",
                       "link set narrow mtu 1280 up", "address add 10.78.0.1/24 dev narrow")
    private_network.sysctl(forwarding, 1)
    yield "10.78.0.2"
    private_network.sysctl(forwarding, 0)
    private_network.ip("link delete narrow")


def test_a_narrow_network_behind_the_kernel_is_reached_by_its_mac_and_its_mtu_learnt(cable, narrow_network):
    cable.stack.add_route("10.78.0.0/24", KERNEL)
    mac, kernel_mac, options = cable.stack.info().mac, cable.kernel_mac(), (socket.IPPROTO_IP, IP_MTU)
    opened = cable.bound(1000)
    opened.connect((narrow_network, 2000))
    with watching(cable) as watcher:
        assert opened.get_option(*options) == 1500
        opened.send(b"x" * 1400)
        assert opened.wait(fastudp.READABLE, 20) & fastudp.ERROR
        with pytest.raises(OSError) as too_long:
            opened.recv()
        assert (too_long.value.errno, opened.get_option(*options)) == (errno.EMSGSIZE, 1280)
        opened.set_option(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
        with pytest.raises(OSError):
            opened.send(b"y" * 1253)
        opened.send(b"z" * 1252)
        frames = frames_of(watcher, 2, b"\x08\0")
    assert frames == [bytes(Ether(src=mac, dst=kernel_mac) / IP(src=OURS, dst=narrow_network, id=0, flags="DF")
                            / UDP(sport=1000, dport=2000) / Raw(payload)) for payload in (b"x" * 1400, b"z" * 1252)]


def test_multicast_reaches_a_member_at_the_kernel(cable):
    with cable.kernel_socket("239.1.2.3", 2000) as member, watching(cable) as watcher:
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                          socket.inet_aton("239.1.2.3") + socket.inet_aton(KERNEL))
        cable.bound(1000).sendto(b"to the group", ("239.1.2.3", 2000))
        assert member.recvfrom(100) == (b"to the group", (OURS, 1000))
        (frame,) = frames_of(watcher, 1, b"\x08\0")
    assert frame[:6].hex(":") == "01:00:5e:01:02:03"


def test_connected_socket_hears_its_peer_at_the_kernel_and_no_stranger(cable):
    opened = cable.bound(1000)
    opened.settimeout(20)
    with cable.kernel_socket(port=2000) as peer, cable.kernel_socket(port=2001) as stranger:
        opened.connect((KERNEL, 2000))
        stranger.connect((OURS, 1000))
        stranger.send(b"stranger")
        with pytest.raises(ConnectionRefusedError):
            stranger.recv(100)
        peer.sendto(b"peer", (OURS, 1000))
        assert opened.recv() == b"peer"
        with pytest.raises(BlockingIOError):
            opened.recv(100, fastudp.DONTWAIT)


def test_what_four_threads_send_on_one_socket_arrives_whole_at_the_kernel(cable):
    sender, room = cable.bound(1000), threading.Semaphore(16)
    payloads = [[bytes([65 + thread]) * size for size in range(1, 301)] for thread in range(4)]

    def send(mine):
        for payload in mine:
            room.acquire()
            sender.sendto(payload, (KERNEL, 2000))

    with cable.kernel_socket(port=2000) as receiver:
        threads = [threading.Thread(target=send, args=(mine,)) for mine in payloads]
        for thread in threads:
            thread.start()
        seen = []
        for _ in range(4 * 300):
            seen.append(receiver.recv(2000))
            room.release()
        for thread in threads:
            thread.join()
    assert [[each for each in seen if each[0] == mine[0][0]] for mine in payloads] == payloads


def test_wrong_checksum_on_the_cable_is_counted_and_not_delivered(cable):
    receiver = cable.bound(1000)
    receiver.settimeout(20)
    head = Ether(src=cable.kernel_mac(), dst=cable.stack.info().mac) / IP(src=KERNEL, dst=OURS)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((cable.device, 0))
        raw.send(bytes(head / UDP(sport=2000, dport=1000, chksum=0x1234) / Raw(b"evil")))
        raw.send(bytes(head / UDP(sport=2000, dport=1000) / Raw(b"good")))
    assert receiver.recv() == b"good"
    assert bad_checksums(cable) == {"udp_checksum": 1}


def test_the_kernel_answers_no_packet_of_ours_a_second_time(cable):
    """What is ours it takes for another host's: nothing of it is refused, redirected or answered by the kernel as well."""
    counted = ("Icmp.OutDestUnreachs", "Icmp.OutRedirects", "Icmp.OutEchoReps", "Icmp.OutErrors", "Udp.NoPorts",
               "Ip.ForwDatagrams", "Ip.InAddrErrors", "Ip.InUnknownProtos")
    before = kernel_counts()
    with cable.echo(7), cable.kernel_socket() as client:
        for number in range(500):
            client.sendto(b"%d" % number, (OURS, 7))
            assert client.recv(100) == b"%d" % number
        assert "50 received, 0% packet loss" in run("ping", "-n", "-c", "50", "-i", "0.002", OURS)  # or +1 duplicates
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(100)
    after = kernel_counts()
    assert {name: after[name] - before[name] for name in counted} == dict.fromkeys(counted, 0)
    assert after["Udp.InDatagrams"] - before["Udp.InDatagrams"] == 500


def test_datagrams_without_a_checksum_are_taken(cable):
    receiver = cable.bound(1000)
    receiver.settimeout(20)
    with cable.kernel_socket() as sender:
        sender.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        sender.sendto(b"no checksum", (OURS, 1000))
    assert receiver.recv() == b"no checksum"


def test_segments_of_one_large_send_arrive_as_datagrams(cable):
    receiver = cable.bound(1000)
    receiver.settimeout(20)
    payload = random.Random(3).randbytes(14_000)
    with cable.kernel_socket() as sender:
        sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1400)
        sender.sendto(payload, (OURS, 1000))
    assert [receiver.recv() for _ in range(10)] == [payload[at:at + 1400] for at in range(0, 14_000, 1400)]
    assert bad_checksums(cable) == {}


def test_broadcast_goes_both_ways(cable):
    wildcard = cable.stack.socket()
    wildcard.bind(("", 1000))
    wildcard.settimeout(20)
    wildcard.set_option(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    with cable.kernel_socket("", 2000) as kernel:
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        kernel.sendto(b"everybody", ("10.77.0.255", 1000))
        assert wildcard.recvfrom() == (b"everybody", (KERNEL, 2000))
        wildcard.sendto(b"you all", ("10.77.0.255", 2000))
        assert kernel.recvfrom(100) == (b"you all", (OURS, 1000))


def test_type_of_service_and_ttl_arrive_in_both_directions(cable):
    ours = cable.bound(1000)
    ours.settimeout(20)
    for name in (socket.IP_RECVTOS, 12):  # 12 is IP_RECVTTL
        ours.set_option(socket.IPPROTO_IP, name, 1)
    with cable.kernel_socket(port=2000) as kernel:
        kernel.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xB8)
        kernel.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 9)
        kernel.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        kernel.sendto(b"marked", (OURS, 1000))
        control = {kind: data[0] for _, kind, data in ours.recvmsg(100, 200).control}
        assert control == {socket.IP_TOS: 0xB8, socket.IP_TTL: 9}
        ours.set_option(socket.IPPROTO_IP, socket.IP_TOS, 0x48)
        ours.sendto(b"marked", (KERNEL, 2000))
        _, control, _, _ = kernel.recvmsg(100, 200)
        assert control == [(socket.IPPROTO_IP, socket.IP_TOS, b"\x48")]


def test_closed_port_of_the_kernel_is_econnrefused_here(cable):
    client = cable.bound(1000)
    client.connect((KERNEL, 4444))
    client.send(b"anybody?")
    assert client.wait(fastudp.READABLE, 20) & fastudp.ERROR
    with pytest.raises(ConnectionRefusedError):
        client.recv()
    with pytest.raises(BlockingIOError):
        client.recv(100, fastudp.DONTWAIT)


def test_closed_port_of_ours_is_econnrefused_there(cable):
    with cable.kernel_socket() as client:
        client.connect((OURS, 4444))
        client.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)


def test_port_unreachable_that_wakes_a_blocked_receive(cable):
    client = cable.bound(1000)
    client.connect((KERNEL, 4444))
    client.settimeout(20)
    client.send(b"anybody?")
    with pytest.raises(ConnectionRefusedError):
        client.recv()


def test_the_kernel_resolves_us_and_finds_us_reachable(cable):
    assert cable.neighbour() == (None, None)
    with cable.echo(7), cable.kernel_socket() as client:
        client.sendto(b"hello", (OURS, 7))
        assert client.recv(100) == b"hello"
    assert cable.neighbour() == (cable.stack.info().mac, "REACHABLE")
    assert cable.stack.get_neighbour(KERNEL)[0] == cable.kernel_mac()


def test_we_resolve_the_kernel_and_find_it_reachable(cable):
    sender = cable.bound(1000)
    with cable.kernel_socket(port=2000) as receiver:
        assert cable.stack.get_neighbour(KERNEL) is None
        sender.sendto(b"hello", (KERNEL, 2000))
        assert receiver.recvfrom(100) == (b"hello", (OURS, 1000))
    assert cable.stack.get_neighbour(KERNEL) == (cable.kernel_mac(), fastudp.REACHABLE)
    mac, state = cable.neighbour()
    assert (mac, state) in [(cable.stack.info().mac, "STALE"), (cable.stack.info().mac, "DELAY")]


def test_the_kernels_probe_of_a_stale_entry_is_answered(cable):
    private_network.ip(f"neighbour replace {OURS} lladdr {cable.stack.info().mac} dev {cable.device} nud probe")
    with cable.echo(7), cable.kernel_socket() as client:
        while cable.neighbour()[1] != "REACHABLE":
            client.sendto(b"hello", (OURS, 7))
            assert client.recv(100) == b"hello"


def test_address_that_nobody_has_stays_unanswered(cable):
    done = run("sh", "-c", "ping -n -c 1 -W 1 10.77.0.99 || true")
    assert "0 received" in done
    assert "REACHABLE" not in run("ip", "neighbour", "show", "10.77.0.99")


def test_many_kernel_clients_get_their_own_answers(cable):
    with cable.echo(7), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(cable.kernel_socket()) for _ in range(100)]
        for turn in range(10):
            for number, client in enumerate(clients):
                client.sendto(struct.pack("!II", number, turn), (OURS, 7))
            for number, client in enumerate(clients):
                assert client.recv(100) == struct.pack("!II", number, turn)


def test_frames_in_place_are_echoed_without_a_copy(cable):
    echo = cable.bound(7)
    idle = cable.stack.info().frames_free
    with cable.kernel_socket() as client:
        for number in range(500):
            client.sendto(b"%d" % number, (OURS, 7))
            assert echo.wait(timeout=20)
            assert echo.submit(echo.borrow(8)) >= 1
            assert client.recv(100) == b"%d" % number
    assert cable.stack.info().frames_free >= idle - 64


def test_hostile_frames_from_the_kernel_side_do_no_harm(cable):
    source = random.Random(7)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((cable.device, 0))
        head = bytes.fromhex(cable.stack.info().mac.replace(":", "") + "020000000099")
        for _ in range(3000):
            raw.send(head + source.choice([b"\x08\x00", b"\x08\x06"]) + source.randbytes(source.randrange(1, 200)))
    with cable.echo(7), cable.kernel_socket() as client:
        client.sendto(b"still there?", (OURS, 7))
        assert client.recv(100) == b"still there?"


@pytest.mark.parametrize("make_cable", ["tap"], indirect=True)
@pytest.mark.parametrize("keys", ["", "&segmentation=off", "&queues=4", "&queues=4&segmentation=off"])
def test_segments_of_several_threads_come_back_each_to_its_own(make_cable, keys):
    """What the kernel sends in one call is answered in one call: joined or not, both ways, over one queue or four."""
    cable, size, rounds = make_cable(f"announce=off{keys}"), 700, 20
    heard = {}

    def ask(number):
        payload = random.Random(number).randbytes(size * 30 - 1)
        with cable.kernel_socket() as client:
            client.connect((OURS, 7))
            client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
            heard[number] = 0
            for _ in range(rounds):
                client.send(payload)
                heard[number] += b"".join(client.recv(2000) for _ in range(30)) == payload

    with cable.echo(7):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert heard == dict.fromkeys(range(8), rounds)
    assert bad_checksums(cable) == {}
    stats = cable.stack.stats()
    assert stats.rx_datagrams == stats.tx_datagrams == 8 * rounds * 30
