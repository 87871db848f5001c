"""What a link loses while nobody reads it: each frame that the kernel had for us is received, or counted where it was lost."""

import re
import socket
import struct

import fastudp
import pytest
from namespaces import until

import private_network

OURS, THEIRS, OUR_MAC, THEIR_MAC = "10.78.0.2", "10.78.0.1", "02:00:00:00:00:02", "02:00:00:00:00:01"
PORT, SIZE, MANY = 7, 1400, 30_000


@pytest.fixture(autouse=True)
def quiet_namespace():
    """In which nobody talks of his own accord."""
    private_network.enter()
    private_network.sysctl("net/ipv6/conf/default/disable_ipv6", 1)


@pytest.fixture
def cable():
    private_network.ip("link add near type veth peer name far", "link set near up", "link set far up")
    yield
    private_network.ip("link delete near")


def told_by_kernel(keys):
    """What the kernel says by another way that it couldn't give to our socket; None: nothing does."""
    if keys == "&mode=copy":
        return private_network.link_statistics("near")["rx"]["dropped"]
    if keys == "&ring=off":
        return max(map(int, re.findall(r"near.*?,d(\d+)\)", private_network.run("ss", "--packet", "--memory", "--all"))))
    return None


def words(data):
    return struct.unpack(f"!{len(data) // 2}H", data)


def frame():
    """A datagram to our port, without a checksum of UDP's."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + 8 + SIZE, 0, 0, 64, 17, 0, socket.inet_aton(THEIRS), socket.inet_aton(OURS))
    total = sum(words(head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:]
    macs = bytes.fromhex((OUR_MAC + THEIR_MAC).replace(":", ""))
    return macs + b"\x08\x00" + head + struct.pack("!HHHH", 9, PORT, 8 + SIZE, 0) + b"x" * SIZE


def opened(link, keys=""):
    stack = fastudp.Stack(f"{link}?address={OURS}/24&announce=off&mac={OUR_MAC}{keys}")
    bound = stack.socket()
    bound.set_option(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    bound.bind((OURS, PORT))
    return stack, bound


def by_layer(drops):
    sums = {}
    for reason, count in drops.items():
        layer = fastudp.drop_layers()[reason]
        sums[layer] = sums.get(layer, 0) + count
    return {layer: count for layer, count in sums.items() if count}


def take_all(stack):
    while stack.poll():
        pass


@pytest.mark.parametrize("link, keys", [
    ("packet:near", "&ring=v2"), ("packet:near", "&ring=v3"), ("packet:near", "&ring=off"),
    ("xdp:near", "&mode=copy"), ("xdp:near", "&mode=generic")])
def test_a_ring_that_nobody_reads(cable, link, keys):
    stack, bound = opened(link, keys)
    with stack, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        before, one = private_network.link_statistics("near")["rx"]["packets"], frame()
        wire.bind(("far", 0))
        for _ in range(MANY):
            wire.send(one)
        lost = stack.drops()["link_rx_full"]
        assert lost > 0 and by_layer(stack.drops()) == {"link": lost}
        assert told_by_kernel(keys) in (lost, None)
        take_all(stack)
        kept = len(bound.recv_burst(1024, 2048, flags=fastudp.DONTWAIT))
        assert kept > 0
        until(lambda: take_all(stack) or stack.stats().dropped == MANY - kept, "all frames to be accounted for")
        assert by_layer(stack.drops()) == {"link": lost, "socket": MANY - lost - kept}
        assert stack.drops()["queue_full"] == MANY - lost - kept
        assert private_network.link_statistics("near")["rx"]["packets"] - before == MANY


def test_the_queue_of_a_tap_interface_that_nobody_reads():
    stack, bound = opened("tap:fu0")
    private_network.ip(f"address add {THEIRS}/24 dev fu0", f"neighbour replace {OURS} lladdr {OUR_MAC} dev fu0")
    with stack, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kernel:
        take_all(stack)
        kernel.bind((THEIRS, 0))
        before, counted = private_network.link_statistics("fu0")["tx"]["dropped"], stack.drops()["tap_queue_full"]
        for _ in range(MANY):
            kernel.sendto(b"x", (OURS, PORT))
        lost = private_network.link_statistics("fu0")["tx"]["dropped"] - before
        assert lost > 0
        assert stack.drops()["tap_queue_full"] - counted == lost
        take_all(stack)
        kept = len(bound.recv_burst(1024, 2048, flags=fastudp.DONTWAIT))
        assert stack.drops()["queue_full"] == MANY - lost - kept and kept > 0
        assert stack.drops()["tap_queue_full"] - counted == lost
