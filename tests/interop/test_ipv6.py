"""IPv6 against this machine's kernel over a TAP interface: neighbour discovery, ping, datagrams of all sizes, errors, path
MTU, dual-stack sockets."""

import errno
import itertools
import select
import socket
import struct
import subprocess

import fastudp
import private_network
import pytest
from conftest import Cable
from private_network import run

OURS, KERNEL = "fd00:77::2", "fd00:77::1"
IPV6_RECVERR, IPV6_MTU = 25, 24


@pytest.fixture
def cable(make_cable):
    made = make_cable(f"announce=off&gateway={KERNEL}", f"10.77.0.2/24,{OURS}/64")
    private_network.sysctl(f"net/ipv6/conf/{made.device}/accept_dad", 0)
    private_network.ip(f"address add {KERNEL}/64 dev {made.device} nodad")
    return made


def ours(cable, port, bound=OURS):
    opened = cable.stack.socket(socket.AF_INET6)
    opened.set_option(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    opened.bind((bound, port))
    return opened


@pytest.fixture
def kernel():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as opened:
        opened.settimeout(20)
        yield opened


def answer(server, count=1):
    for _ in range(count):
        assert server.wait(timeout=20)
        data, peer = server.recvfrom()
        server.sendto(data, peer)


def test_ping(cable):
    for size in (0, 56, 1452, 1453, 9000, 65507):
        said = run("ping", "-6", "-c", "3", "-i", "0.02", "-W", "5", "-s", str(size), OURS)
        assert " 3 received" in said, said


def test_ping_of_the_link_local_address(cable):
    table = run("ip", "-6", "neighbour", "show", "dev", cable.device)
    mac = bytes(int(part, 16) for part in cable.stack.info().mac.split(":"))
    near = socket.inet_ntop(socket.AF_INET6, bytes.fromhex("fe80000000000000") + bytes([mac[0] ^ 2]) + mac[1:3] +
                            b"\xff\xfe" + mac[3:])
    assert " 3 received" in run("ping", "-6", "-c", "3", "-i", "0.02", "-W", "5", f"{near}%{cable.device}"), table


def test_datagrams_of_all_sizes_both_ways(cable, kernel):
    server = ours(cable, 7)
    for size in itertools.chain(range(0, 64), range(1440, 1460), (2904, 2905, 9000, 65000, 65527 - 20)):
        data = bytes(i * 7 % 251 for i in range(size))
        kernel.sendto(data, (OURS, 7))
        answer(server)
        back, peer = kernel.recvfrom(70000)
        assert back == data and peer[:2] == (OURS, 7)


def test_the_first_datagram_waits_for_neighbour_discovery(cable, kernel):
    kernel.bind((KERNEL, 9))
    client = ours(cable, 0)
    client.sendto(b"first", (KERNEL, 9))
    client.sendto(b"second", (KERNEL, 9))
    assert [kernel.recv(100) for _ in range(2)] == [b"first", b"second"]
    assert cable.stack.get_neighbour(KERNEL)[1] == fastudp.REACHABLE


def test_a_closed_port_at_the_kernel_refuses_once(cable):
    client = ours(cable, 0)
    client.connect((KERNEL, 10))
    client.send(b"anyone?")
    assert client.wait(timeout=20)
    with pytest.raises(ConnectionRefusedError):
        client.recv()
    with pytest.raises(BlockingIOError):
        client.recv(flags=fastudp.DONTWAIT)


def test_a_closed_port_of_ours_refuses_the_kernels(cable, kernel):
    kernel.connect((OURS, 11))
    kernel.send(b"anyone?")
    with pytest.raises(ConnectionRefusedError):
        kernel.recv(100)


def test_a_router_with_a_small_mtu_is_learnt_of(cable):
    """Packet too big: the path's MTU goes down, and what is larger goes in fragments from then on."""
    with subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; echo; cat"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as beyond:
        beyond.stdout.readline()
        try:
            private_network.sysctl("net/ipv6/conf/all/forwarding", 1)
            private_network.ip(f"link add inner type veth peer name outer netns {beyond.pid}", "link set inner mtu 1300 up",
                               "address add fd00:88::1/64 dev inner nodad")
            inside = ["nsenter", "-t", str(beyond.pid), "-n"]
            run(*inside, "sh", "-c", "ip link set outer mtu 1300 up; ip -6 address add fd00:88::2/64 dev outer nodad; "
                                     "ip -6 route add default via fd00:88::1")
            receiver = ("import socket; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.settimeout(20); "
                        "s.bind(('fd00:88::2', 12)); print('ready', flush=True)\n"
                        "while True:\n    data, peer = s.recvfrom(2000)\n    s.sendto(str(len(data)).encode(), peer)")
            with subprocess.Popen([*inside, "/usr/bin/python3", "-c", receiver], stdout=subprocess.PIPE) as far:
                far.stdout.readline()
                client = ours(cable, 0)
                client.connect(("fd00:88::2", 12))
                assert client.get_option(socket.IPPROTO_IPV6, IPV6_MTU) == 1500
                heard = None
                for _ in range(20):  # the first is lost at the router, and its report comes back
                    try:
                        client.send(b"x" * 1400)
                        if client.wait(timeout=1):
                            heard = client.recv(flags=fastudp.DONTWAIT)
                            break
                    except (OSError, BlockingIOError) as error:
                        assert error.errno in (errno.EMSGSIZE, errno.EAGAIN)
                assert heard == b"1400"
                assert client.get_option(socket.IPPROTO_IPV6, IPV6_MTU) == 1300
                far.kill()
        finally:
            private_network.ip("link delete inner")
            beyond.stdin.close()


def test_a_dual_stack_socket_speaks_both(cable, kernel):
    server = ours(cable, 13, "::")
    with cable.kernel_socket() as four:
        four.sendto(b"four", ("10.77.0.2", 13))
        assert server.wait(timeout=20)
        data, peer = server.recvfrom()
        assert (data, peer[0]) == (b"four", "::ffff:10.77.0.1")
        server.sendto(b"back", peer)
        assert four.recvfrom(100) == (b"back", ("10.77.0.2", 13))
    kernel.sendto(b"six", (OURS, 13))
    answer(server)
    assert kernel.recv(100) == b"six"


def test_facts_come_with_datagrams(cable, kernel):
    server = ours(cable, 14, "::")
    for option in (socket.IPV6_RECVPKTINFO, socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS):
        server.set_option(socket.IPPROTO_IPV6, option, 1)
    kernel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 33)
    kernel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xb8)
    kernel.sendto(b"facts", (OURS, 14))
    assert server.wait(timeout=20)
    control = {(level, kind): value for level, kind, value in server.recvmsg(100, 200).control}
    assert control[socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT] == struct.pack("i", 33)
    assert control[socket.IPPROTO_IPV6, socket.IPV6_TCLASS] == struct.pack("i", 0xb8)
    assert control[socket.IPPROTO_IPV6, socket.IPV6_PKTINFO][:16] == socket.inet_pton(socket.AF_INET6, OURS)


def test_facts_by_the_numbers_of_rfc_2292_are_told_as_the_kernel_tells_them(cable, kernel):
    """tracepath asks by the older ones, and one may ask by both. What it says of our own name and interface differs."""
    packet_info, hop_limit = 2, 8
    server = ours(cable, 14)
    kernel.bind((KERNEL, 14))
    for option in (packet_info, hop_limit, socket.IPV6_RECVPKTINFO, socket.IPV6_RECVHOPLIMIT):
        server.set_option(socket.IPPROTO_IPV6, option, 1)
        kernel.setsockopt(socket.IPPROTO_IPV6, option, 1)
        assert server.get_option(socket.IPPROTO_IPV6, option) == kernel.getsockopt(socket.IPPROTO_IPV6, option) == 1
    kernel.sendmsg([b"facts"], [(socket.IPPROTO_IPV6, hop_limit, struct.pack("i", 33))], 0, (OURS, 14))
    assert server.wait(timeout=20)
    mine = server.recvmsg(100, 200).control
    server.sendmsg(b"facts", [(socket.IPPROTO_IPV6, hop_limit, struct.pack("i", 33))], (KERNEL, 14))
    _, kernels, _, _ = kernel.recvmsg(100, 200)
    assert [kind for _, kind, _ in mine] == [kind for _, kind, _ in kernels]
    assert mine[-1] == tuple(kernels[-1]) == (socket.IPPROTO_IPV6, hop_limit, struct.pack("i", 33))
    assert mine[0][2] == mine[2][2] and mine[0][2][:16] == socket.inet_pton(socket.AF_INET6, OURS)


def test_settings_reach_the_kernel(cable, kernel):
    kernel.bind((KERNEL, 15))
    for option in (socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS):
        kernel.setsockopt(socket.IPPROTO_IPV6, option, 1)
    client = ours(cable, 0)
    client.set_option(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 77)
    client.set_option(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0x2e)
    client.sendto(b"one", (KERNEL, 15))
    client.sendmsg(b"two", [(socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, struct.pack("i", 5))], (KERNEL, 15))
    seen = []
    for _ in range(2):
        _, control, _, _ = kernel.recvmsg(100, 200)
        seen.append({kind: struct.unpack("i", value)[0] for _, kind, value in control})
    assert [each[socket.IPV6_HOPLIMIT] for each in seen] == [77, 5]
    assert [each[socket.IPV6_TCLASS] for each in seen] == [0x2e, 0x2e]


def test_errors_are_in_the_error_queue(cable):
    client = ours(cable, 0)
    client.set_option(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    client.sendto(b"lost", (KERNEL, 16))
    assert client.wait(select.POLLERR, timeout=20)
    message = client.recvmsg(100, 200, fastudp.ERRQUEUE)
    assert message.data == b"lost" and message.peer[:2] == (KERNEL, 16)
    level, kind, value = message.control[-1]
    number, origin, icmp_type, code = struct.unpack_from("IBBB", value)
    assert (level, kind, number, origin, icmp_type, code) == (socket.IPPROTO_IPV6, IPV6_RECVERR, errno.ECONNREFUSED, 3, 1, 4)
    assert value[24:40] == socket.inet_pton(socket.AF_INET6, KERNEL)


def test_packet_info_names_the_interface_both_ways(cable, kernel):
    """What comes in says by which; what is to leave by another doesn't (ENODEV, as on Linux)."""
    server = ours(cable, 16, "::")
    server.set_option(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    kernel.sendto(b"asked", (OURS, 16))
    assert server.wait(timeout=20)
    message = server.recvmsg(100, 200)
    ((_, _, info),) = message.control
    assert struct.unpack("=I", info[16:]) == (socket.if_nametoindex(cable.device),)
    server.sendmsg(b"answer", [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)], message.peer)
    assert kernel.recv(100) == b"answer"
    nowhere = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, bytes(16) + struct.pack("=I", 4711)),
               (socket.IPPROTO_IP, 8, struct.pack("=i8x", 4711))]
    four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for control, kernels, to_kernels, mine in ((nowhere[0], kernel, (OURS, 16), server),
                                               (nowhere[1], four, ("10.77.0.2", 16), cable.stack.socket())):
        peer = message.peer if mine is server else ("10.77.0.1", 16)
        outcomes = []
        for send in (lambda: kernels.sendmsg([b"x"], [control], 0, to_kernels), lambda: mine.sendmsg(b"x", [control], peer)):
            with pytest.raises(OSError) as refused:
                send()
            outcomes.append(refused.value.errno)
        assert outcomes[0] == outcomes[1]
    four.close()
