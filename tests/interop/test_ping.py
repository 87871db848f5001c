"""Echo requests of all sizes from this machine's kernel to addresses of our own, and the longest datagrams both ways."""

import contextlib
import random
import re
import socket
import subprocess

import pytest
from namespaces import need, until
from own_address import kernel_socket
from road import FAR, FAR6, GATEWAY, GATEWAY6, HOST, HOST6, Road

V4, V6 = socket.AF_INET, socket.AF_INET6
SIZES = [0, 56, 1472, 1473, 9000, 65507]


@pytest.fixture(scope="module")
def way():
    with contextlib.closing(Road()) as made:
        yield made


def ping(namespace, address, size, count=5):
    need("ping")
    said = namespace.run("ping", "-n", "-c", str(count), "-i", "0.02", "-W", "10", "-s", str(size), address)
    assert f"{count} packets transmitted, {count} received, 0% packet loss" in said, said
    assert "wrong data" not in said and "DUP" not in said, said
    return said


@pytest.mark.parametrize("size", SIZES)
def test_ping(way, host, size):
    said = ping(way.router, host.own, size)
    assert set(re.findall(r"ttl=(\d+)", said)) == {"64"} and f"\n{size + 8} bytes from {host.own}: " in said


@pytest.mark.parametrize("size", [*SIZES, 65527])
def test_ping_v6(way, host, size):
    said = ping(way.router, host.own6, size)
    assert set(re.findall(r"ttl=(\d+)", said)) == {"64"} and f"\n{size + 8} bytes from {host.own6}: " in said


@pytest.mark.parametrize("size", [56, 65507])
def test_ping_of_the_link_local_address(way, host, size):
    said = ping(way.router, f"{host.link_local()}%{host.side}", size)
    assert f"\n{size + 8} bytes from {host.link_local()}%{host.side}: " in said


@pytest.mark.parametrize("size", [56, 1400, 65507])
@pytest.mark.parametrize("mtu", [1500, 1280])
def test_ping_from_beyond_a_router(way, host, size, mtu):
    way.narrow(mtu)
    assert set(re.findall(r"ttl=(\d+)", ping(way.far, host.own, size))) == {"63"}


@pytest.mark.parametrize("size", [56, 1400, 65507])
@pytest.mark.parametrize("mtu", [1500, 1280])
def test_ping_v6_from_beyond_a_router(way, host, size, mtu):
    """Of a narrow way we learn by the answers that are lost on it."""
    way.narrow(mtu)
    until(lambda: subprocess.run(way.far.command("ping", "-c1", "-W1", "-s", str(size), host.own6),
                                 capture_output=True).returncode == 0, "an answer")
    assert set(re.findall(r"ttl=(\d+)", ping(way.far, host.own6, size))) == {"63"}


@pytest.mark.parametrize("family, peer, size", [(V4, GATEWAY, 65507), (V6, GATEWAY6, 65507), (V6, GATEWAY6, 65527),
                                                (V4, FAR, 65507), (V6, FAR6, 65507)])
def test_longest_datagrams_come_back_whole(way, host, family, peer, size):
    way.narrow(1500)
    echo_of = way.far if peer in (FAR, FAR6) else way.router
    client = host.socket(family)
    with kernel_socket(echo_of, family, peer) as echo:
        for seed in range(3):
            data = random.Random(seed).randbytes(size)
            client.sendto(data, (peer, 7))
            got, sender = echo.recvfrom(70_000)
            assert got == data and sender[:2] == client.getsockname()[:2]
            echo.sendto(got, sender)
            assert client.wait(timeout=20)
            back, answerer = client.recvfrom(70_000)
            assert back == data and answerer[:2] == (peer, 7)
    client.close()


def test_the_hosts_own_addresses_answer_beside_ours(way, host):
    """On an interface that the kernel keeps, with a stack of ours on it."""
    for address in (HOST, HOST6):
        ping(way.router, address, 65507, count=2)
