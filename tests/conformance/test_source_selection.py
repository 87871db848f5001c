"""Which address of several a datagram is sent from (RFC 6724), asked of Linux for the same addresses."""

import contextlib
import itertools
import random
import socket
import time

import fastudp
import private_network
import pytest

POOL = ["2001:db8:1::1/64", "2001:db8:2::1/64", "2001:db8:1::2/48", "2001:0:1::1/64", "2002:a00::1/64", "3ffe::1/64", "fec0::1/64",
        "fd00:1::1/64", "fd00:2::1/64", "fdff:1::1/32", "2a00:1::1/64"]
DESTINATIONS = ["2001:db8:1::99", "2001:db8:2:5::1", "2001:db8:ff::1", "2001:0:5::1", "2002:505::1", "3ffe:1::1", "fec0:0:0:1::1",
                "fd00:1::99", "fd00:3::1", "fdff:1:2::1", "2a00:5::1", "3000::1", "fe80::99", "ff02::99", "ff05::99", "ff0e::99"]
_serial = itertools.count()


def linux(addresses):
    device, other = (f"source{next(_serial)}" for _ in range(2))
    private_network.ip(f"link add {device} type veth peer name {other}")
    try:
        private_network.sysctl(f"net/ipv6/conf/{device}/accept_dad", 0)
        private_network.ip(f"link set {device} up", f"link set {other} up",
                           *[f"address add {each} dev {device} nodad" for each in addresses],
                           f"route add ::/0 dev {device} metric 1")
        limit = time.monotonic() + 20
        while "fe80" not in private_network.run("ip", "-6", "address", "show", "dev", device, "-tentative"):
            assert time.monotonic() < limit, "no link-local address"
        interface = socket.if_nametoindex(device)
        return {to: source_of(by(interface), (to, 9, 0, interface)) for to in DESTINATIONS}
    finally:
        private_network.ip(f"link delete {device}")


def by(interface):
    opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface)
    return opened


def ours(addresses):
    with fastudp.Stack(f"mem:source{next(_serial)}?address={','.join(addresses)}&announce=off", hand_clock=True) as stack:
        stack.add_route("::/0", None)
        return {to: source_of(stack.socket(socket.AF_INET6), (to, 9)) for to in DESTINATIONS}


def source_of(opened, to):
    with contextlib.closing(opened):
        try:
            opened.connect(to)
        except OSError as error:
            return error.errno
        found = opened.getsockname()[0]
        return "link-local" if found.startswith("fe80") else found


@pytest.mark.parametrize("seed", range(30))
def test_the_source_is_the_one_that_linux_chooses(seed):
    private_network.enter()
    chosen = random.Random(seed).sample(POOL, random.Random(seed).randint(1, 5))
    we, they = ours(chosen), linux(chosen)
    assert {to: (we[to], they[to]) for to in we if we[to] != they[to]} == {}, chosen
