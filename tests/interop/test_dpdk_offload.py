"""dpdk: checksums that are left to the device: what leaves with its help is, byte by byte, what leaves without. On net_tap, whose
driver makes them by software, as the kernel sees it; and between virtio and vhost, where the device is the other end."""

import contextlib
import os
import select
import socket
import struct
import subprocess
import sys

import fastudp
import private_network
import pytest
from own_address import DPDK
from tagged_wire import TaggedWire

pytestmark = pytest.mark.skipif(not DPDK.exists(), reason="fastudp-dpdk.so isn't built: it needs libdpdk")

OWN, PEER, OWN6, PEER6 = "10.91.0.1", "10.91.0.2", "fd91::1", "fd91::2"
MAC, PEER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
PORT, PEER_PORT = 7000, 7001
GROUP, GROUP6 = "239.9.9.9", "ff15::9"
SIZES = (0, 1, 2, 63, 64, 503, 504, 505, 1023, 1400, 1451, 1452)
SHORTEST = 504  # what is shorter isn't worth leaving to a device
SOL_UDP, UDP_SEGMENT = 17, 103
TAGS = {"": 0, "vlan=100": 4, "vlan=10.100": 8}
# With hugepages DPDK's memory grows, and virtio tells vhost so, which waits for a lock of that memory if it is in the same process.
MEMORY_OF_ONE_SIZE = "eal=--no-huge,-m,512,--no-shconf"
HEADERS = {0x0800: 20, 0x86DD: 40}


def total(data):
    """The one's complement sum of 16-bit words."""
    out = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while out >> 16:
        out = (out & 0xFFFF) + (out >> 16)
    return out


def pseudo_header(own, peer, length):
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    return socket.inet_pton(family, own) + socket.inet_pton(family, peer) + struct.pack("!HH", 17, length)


def payload_of_sum_0(own, peer, size):
    """All that the checksum covers adds up to 0xffff: the checksum is 0, and so has to be sent as 0xffff."""
    rest, length = bytes(range(256)) * (size // 256), size + 8
    others = pseudo_header(own, peer, length) + struct.pack("!HHH", PORT, PEER_PORT, length) + rest[2:]
    return struct.pack("!H", 0xFFFF - total(others)) + rest[2:]


def send_all(stack):
    """Datagrams of every kind that there is, and how many frames they make."""
    count = 0
    for family, own, peer, group in ((socket.AF_INET, OWN, PEER, GROUP), (socket.AF_INET6, OWN6, PEER6, GROUP6)):
        stack.add_neighbour(peer, PEER_MAC)
        with stack.socket(family) as opened:
            opened.bind((own, PORT))
            payloads = [bytes((i * 7 + size) % 256 for i in range(size)) for size in SIZES]
            payloads.append(payload_of_sum_0(own, peer, 1024))
            for payload in payloads:
                opened.sendto(payload, (peer, PEER_PORT))
            opened.sendto(b"to many" * 99, (group, PEER_PORT))
            opened.sendto(b"in pieces" * 500, (peer, PEER_PORT))  # four fragments
            opened.sendto(b"corked" * 99, (peer, PEER_PORT), flags=fastudp.MORE)
            opened.sendto(b"pieces" * 99, (peer, PEER_PORT))
            count += len(payloads) + 1 + 4 + 1
            opened.set_option(SOL_UDP, UDP_SEGMENT, 777)
            opened.sendto(bytes(range(256)) * 20, (peer, PEER_PORT))  # seven segments
            opened.set_option(SOL_UDP, UDP_SEGMENT, 0)
            count += 7
            opened.set_option(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK, which is IPv4's
            opened.sendto(b"without" * 99, (peer, PEER_PORT))
            opened.set_option(socket.SOL_SOCKET, 11, 0)
            lent = opened.alloc(2, 931)
            for frame in lent:
                memoryview(frame)[:] = b"l" * 931
                frame.peer = (peer, PEER_PORT)
            assert opened.submit(lent) == 2
            assert opened.send_burst([(b"burst" * 199, (peer, PEER_PORT))] * 3) == 3
            opened.connect((peer, PEER_PORT))
            opened.send(b"connected" * 99)
            count += 7
    return count


def udp_at(frame):
    """Of a whole datagram, where IP and UDP begin; None: it is something else."""
    ip = 12
    while struct.unpack_from("!H", frame, ip)[0] in (0x8100, 0x88A8):
        ip += 4
    kind, ip = struct.unpack_from("!H", frame, ip)[0], ip + 2
    is_udp = kind in HEADERS and frame[ip + (9 if kind == 0x0800 else 6)] == 17
    is_fragment = kind == 0x0800 and struct.unpack_from("!H", frame, ip + 6)[0] & 0x3FFF
    return (ip, ip + HEADERS[kind]) if is_udp and not is_fragment else None


def sum_of_pseudo_header(frame):
    ip, udp = udp_at(frame)
    addresses = frame[ip + 12:ip + 20] if frame[ip] >> 4 == 4 else frame[ip + 8:ip + 40]
    return total(addresses + struct.pack("!HH", 17, len(frame) - udp))


def checksum_in(frame):
    return struct.unpack_from("!H", frame, udp_at(frame)[1] + 6)[0]


def has_good_checksum(frame):
    """Of a whole UDP datagram; over IPv4 it may have none."""
    ip, udp = udp_at(frame)
    if checksum_in(frame) == 0:
        return frame[ip] >> 4 == 4
    return total(struct.pack("!H", sum_of_pseudo_header(frame)) + frame[udp:]) == 0xFFFF


def is_of_test(frame):
    ends = (bytes.fromhex(PEER_MAC.replace(":", "")), bytes.fromhex("01005e090909"), bytes.fromhex("333300000009"))
    return frame[:6] in ends


def open_sender(port, keys):
    addresses = f"{OWN}/24,{OWN6}/64"
    fixed = f"address={addresses}&announce=off&mac={MAC}&{MEMORY_OF_ONE_SIZE}"
    return fastudp.Stack("&".join(filter(None, (f"dpdk:{port}?{fixed}", keys))), seed=7)


def on_tap(keys):
    """What a stack sends, as a packet socket sees it at the kernel's end."""
    with open_sender("net_tap7,iface=sums", keys) as stack, contextlib.closing(TaggedWire("sums")) as wire:
        count, out = send_all(stack), []
        while len(out) < count:
            frame = wire.receive()
            assert frame is not None, (len(out), count)
            out += [frame] if is_of_test(frame) else []
        return out


def await_far_end(stack, link):
    """Both ends find each other in a thread of DPDK's. It draws no random number, however often it has to ask."""
    stack.add_neighbour(PEER, PEER_MAC)
    with stack.socket() as opened:
        opened.bind((OWN, 1))
        while not link.wait(0.1):
            opened.sendto(b"hello", (PEER, 1))
    while link.wait(0.2):
        link.recv()


def open_pair(port, keys, far, far_keys):
    """Of which vhost has to be there first."""
    far_keys = "&".join(filter(None, (far_keys, MEMORY_OF_ONE_SIZE)))
    if far.startswith("net_vhost"):
        link = fastudp.Link(f"dpdk:{far}?{far_keys}")
        stack = open_sender(port, keys)
    else:
        stack = open_sender(port, keys)
        link = fastudp.Link(f"dpdk:{far}?{far_keys}")
    await_far_end(stack, link)
    return stack, link


def what_passes(*ports):
    stack, link = open_pair(*ports)
    count, out = send_all(stack), []
    while len(out) < count:
        assert link.wait(20), (len(out), count)
        frame = link.recv()
        out += [frame.hex()] if is_of_test(frame) else []
    return out


def what_wakes(*ports):
    """Of a stack that hears nothing, something, and nothing: whether its descriptor is readable."""
    stack, link = open_pair(*ports)
    mac = bytes.fromhex(MAC.replace(":", ""))
    seen, descriptor = [], stack.fileno()
    for _ in range(3):
        while stack.poll():
            continue
        seen += [bool(select.select([descriptor], [], [], 0)[0])]
        link.send(mac + mac + b"\x88\xb5" + bytes(46))
        seen += [bool(select.select([descriptor], [], [], 20)[0])]
    return list(map(str, seen))


def told_by_child(task, *ports):
    """In a process that has each port once: what a driver keeps of an earlier one is no matter of these tests."""
    command = [sys.executable, __file__, task, *ports]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout.split()


def between(*ports):
    """What a stack sends by one port, as it is received by another."""
    return list(map(bytes.fromhex, told_by_child("what_passes", *ports)))


@pytest.fixture
def namespace():
    private_network.enter()


def same_but_sums(a, b):
    """But for checksums that stand in the way of a comparison."""
    ends = udp_at(a)
    return a == b if ends is None else a[:ends[1] + 6] + a[ends[1] + 8:] == b[:ends[1] + 6] + b[ends[1] + 8:]


def check(frames):
    whole = list(filter(udp_at, frames))
    assert all(map(has_good_checksum, whole))
    sums = list(map(checksum_in, whole))
    assert sums.count(0xFFFF) == 2 and sums.count(0) == 1


@pytest.mark.parametrize("tags", TAGS)
def test_the_wire_is_the_same_with_net_tap(namespace, tags):
    with_device, without = on_tap(f"offload=on&{tags}".rstrip("&")), on_tap(tags)
    assert with_device == without
    check(with_device)


VHOST, VIRTIO = "net_vhost6,iface={0}", "net_virtio_user6,path={0}"


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("port, far", [(VIRTIO, VHOST), (VHOST, VIRTIO)], ids=["from-virtio", "from-vhost"])
def test_the_wire_is_the_same_between_virtio_and_vhost(namespace, tmp_path, port, far, tags):
    port, far = port.format(tmp_path / "vhost"), far.format(tmp_path / "vhost")
    # Who doesn't take partial checksums has them completed by DPDK.
    with_device = between(port, tags, far, "offload=off")
    without = between(port, f"offload=off&{tags}".rstrip("&"), far, "offload=off")
    assert with_device == without
    check(with_device)


@pytest.mark.parametrize("port, far", [(VIRTIO, VHOST), (VHOST, VIRTIO)], ids=["from-virtio", "from-vhost"])
def test_between_virtio_and_vhost_nobody_sums(namespace, tmp_path, port, far):
    port, far = port.format(tmp_path / "vhost"), far.format(tmp_path / "vhost")
    left_out, without = between(port, "", far, ""), between(port, "offload=off", far, "")
    check(without)
    assert all(map(same_but_sums, left_out, without)) and len(left_out) == len(without)
    for frame, whole in zip(left_out, without):
        if udp_at(whole):
            length, is_partial = len(frame) - udp_at(frame)[1] - 8, checksum_in(frame) == sum_of_pseudo_header(frame)
            assert is_partial == (length >= SHORTEST and checksum_in(whole) != 0)


@pytest.mark.parametrize("keys", ["capture={0}", "duplicate=100", "vlan=100&duplicate=100"])
def test_who_looks_at_frames_on_their_way_has_them_with_their_sums(namespace, tmp_path, keys):
    path = tmp_path / "vhost"
    frames = between(VIRTIO.format(path), keys.format(tmp_path / "frames.pcapng"), VHOST.format(path), "")
    assert all(map(has_good_checksum, filter(udp_at, frames)))


@pytest.mark.parametrize("queues", [1, 4])
@pytest.mark.parametrize("port, far", [(VIRTIO, VHOST), (VHOST, VIRTIO)], ids=["virtio", "vhost"])
def test_who_has_heard_all_sleeps_until_there_is_more(namespace, tmp_path, port, far, queues):
    port, far = (f"{each.format(tmp_path / 'vhost')},queues={queues}" for each in (port, far))
    assert told_by_child("what_wakes", port, f"queues={queues}", far, f"queues={queues}") == ["False", "True"] * 3


def test_a_port_that_completes_nothing_is_not_asked_to(namespace):
    with pytest.raises(OSError, match="offload=on: dpdk:net_ring6 completes no checksums"):
        fastudp.Stack(f"dpdk:net_ring6?address=10.91.0.1/24&{MEMORY_OF_ONE_SIZE}&offload=on")
    with pytest.raises(OSError, match="offload=maybe: on or off is needed"):
        fastudp.Stack(f"dpdk:net_ring6?address=10.91.0.1/24&{MEMORY_OF_ONE_SIZE}&offload=maybe")
    fastudp.Stack(f"dpdk:net_ring6?address=10.91.0.1/24&{MEMORY_OF_ONE_SIZE}&offload=off").close()


if __name__ == "__main__":
    print(*{"what_passes": what_passes, "what_wakes": what_wakes}[sys.argv[1]](*sys.argv[2:]), flush=True)
    os._exit(0)
