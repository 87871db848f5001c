"""Unmodified programs with UDP_SEGMENT and UDP_GRO on an interface that the kernel keeps: what is on the wire, and which
way it went."""

import json
import socket
import struct
import sys

import pytest
from net import FASTUDP, HOST, HOST6, PEER, PEER6, need, until
from private_network import run

SENDER = """
import socket, struct, sys
to, size, step, name = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
family = socket.AF_INET6 if ":" in to else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.bind(("", 3000))
data = (bytes(range(251)) * 300)[:size]
s.sendto(b"first", (to, 9))
if name == "option":
    s.setsockopt(socket.IPPROTO_UDP, 103, step)
    sent = s.sendto(data, (to, 2000))
else:
    sent = s.sendmsg([data], [(socket.IPPROTO_UDP, 103, struct.pack("=H", step))], 0, (to, 2000))
print("sent", sent, flush=True)
"""
RECEIVER = """
import socket, struct, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 2000))
s.settimeout(20)
if sys.argv[2] == "gro": s.setsockopt(socket.IPPROTO_UDP, 104, 1)
print("bound", flush=True)
whole = b""
while len(whole) < int(sys.argv[3]):
    data, control, _, _ = s.recvmsg(70000, 100)
    print("received", len(data), [struct.unpack("=i", c[2])[0] for c in control], flush=True)
    whole += data
print("intact" if whole == (bytes(range(251)) * 300)[:len(whole)] else "mixed up", flush=True)
"""


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def fast(net, command, link="packet:near"):
    return [FASTUDP, "run", "--link", link, "--stats", str(net.folder / "stats.json"), "--", *command]


def stats(net):
    return json.loads((net.folder / "stats.json").read_text())


@pytest.mark.parametrize("to", [PEER, PEER6])
@pytest.mark.parametrize("by", ["option", "message"])
def test_segments_on_the_wire(net, to, by):
    need("tshark")
    fields = ["udp.length", "udp.checksum.status", *(["ip.checksum.status"] if to == PEER else [])]
    watch = net.peer.command("tshark", "-n", "-l", "-i", "far", "-c", "5", "-f", "udp port 2000", "-o",
                             "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields",
                             *(word for field in fields for word in ("-e", field)))
    with net.start(net.peer.command(*python(RECEIVER, to, "plain", 4500))) as receiver, net.start(watch) as watching:
        receiver.says("bound")
        watching.says("Capturing on")
        assert run(*fast(net, python(SENDER, to, 4500, 1000, by), "packet:near?segmentation=off")) == "sent 4500\n"
        receiver.says("intact")
        good = "\t1" * (len(fields) - 1)
        watching.says(f"1008{good}\n" * 4 + f"508{good}\n")
    tx = stats(net)["tx"]
    assert (tx["fast"], tx["kernel"]) in [(6, 0), (5, 1)], tx


@pytest.mark.parametrize("here", [HOST, HOST6])
@pytest.mark.parametrize("link", ["packet:near", "packet:near?steer=off", "packet:near?ring=off", "xdp:near", "xdp:near?mode=generic", "host:"])
def test_what_a_kernel_sends_in_segments_comes_as_one(net, link, here):
    with net.start(fast(net, python(RECEIVER, here, "gro", 4500), link)) as receiver:
        receiver.says("bound")
        run(*net.peer.command(*python(SENDER, here, 4500, 1000, "message")))
        receiver.says("received 4500 [1000]\nintact")
        receiver.process.wait(20)
    rx = stats(net)["rx"]
    assert (rx["fast"], rx["kernel"]) == ((0, 5) if link in ("host:", "xdp:near?mode=generic") else (5, 0)), rx


# Also where it would fit into an AF_XDP socket's chunk.
def test_generic_xdp_leaves_a_little_super_packet_to_the_kernel(net):
    with net.start(fast(net, python(RECEIVER, HOST, "plain", 1600), "xdp:near?mode=generic")) as receiver:
        receiver.says("bound")
        run(*net.peer.command(*python(SENDER, HOST, 1600, 800, "message")))
        receiver.says("received 800 []\nreceived 800 []\nintact")
        receiver.process.wait(20)
    rx = stats(net)["rx"]
    assert (rx["fast"], rx["kernel"]) == (0, 2), rx


def test_segments_that_the_kernel_has_to_send_go_to_it_whole(net):
    run("ip", "neighbour", "flush", "dev", "near")
    with net.start(net.peer.command(*python(RECEIVER, PEER, "plain", 4500))) as receiver:
        receiver.says("bound")
        run(*fast(net, python(SENDER.replace('s.sendto(b"first"', "#"), PEER, 4500, 1000, "message")))
        receiver.says("intact")
    tx = stats(net)["tx"]
    assert (tx["fast"], tx["kernel"]) == (0, 5), tx


MANY_OF_ONE_CALL = """
import ctypes, socket, struct, sys
to, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 3000))
s.sendto(b"first", (to, 9))
s.connect((to, 2000))
data = (bytes(range(251)) * 300)[:count * size]
rooms = [ctypes.create_string_buffer(data[i * size:(i + 1) * size], size) for i in range(count)]
vectors = (ctypes.c_uint64 * (2 * count))(*(word for room in rooms for word in (ctypes.addressof(room), size)))
words = 8  # of struct mmsghdr: name, its size, vectors, their number, control, its size, flags, sent
messages = (ctypes.c_uint64 * (words * count))()
for i in range(count):
    messages[words * i + 2], messages[words * i + 3] = ctypes.addressof(vectors) + 16 * i, 1
print("sent", ctypes.CDLL(None).sendmmsg(s.fileno(), messages, count, 0), flush=True)
"""


@pytest.mark.parametrize("to", [PEER, PEER6])
@pytest.mark.parametrize("link", ["packet:near", "packet:near?steer=off", "packet:near?ring=off"])
def test_equal_datagrams_of_one_call_cross_as_one(net, link, to):
    """Linux's own socket at the other end says so, which joins nothing by itself on such a cable."""
    for keys, seen in [("", ["received 40000 [1000]"]), ("segmentation=off", ["received 1000 []"] * 40)]:
        with net.start(net.peer.command(*python(RECEIVER, to, "gro", 40000))) as receiver:
            receiver.says("bound")
            where = f"{link}{'&' if '?' in link else '?'}{keys}" if keys else link
            assert run(*fast(net, python(MANY_OF_ONE_CALL, to, 40, 1000), where)) == "sent 40\n"
            receiver.says("intact")
            assert receiver.output().splitlines()[1:-1] == seen
        tx = stats(net)["tx"]
        assert (tx["fast"], tx["kernel"]) in [(41, 0), (40, 1)], tx


def test_equal_datagrams_from_one_program_of_ours_to_another(net):
    """What either end counts."""
    receiving = [FASTUDP, "run", "--link", "packet:far", "--stats", str(net.folder / "received.json"), "--",
                 *python(RECEIVER, PEER, "plain", 60000)]
    with net.start(net.peer.command(*receiving)) as receiver:
        receiver.says("bound")
        assert run(*fast(net, python(MANY_OF_ONE_CALL, PEER, 60, 1000))) == "sent 60\n"
        receiver.says("intact")
        receiver.process.wait(20)
    rx = json.loads((net.folder / "received.json").read_text())["rx"]
    assert (rx["fast"], rx["kernel"]) == (60, 0), rx


ON_WIRE, ON_WIRE6 = "10.77.0.3", "fd00:77::3"


@pytest.fixture
def wire(net):
    """A cable behind the peer's bridge, whose driver takes no super-packets, so that the kernel cuts them."""
    net.peer.run("sh", "-c", "ip link add out type veth peer name end && ethtool -K out tx-udp-segmentation off tx off >/dev/null && "
                 "ip link add bridge type bridge mcast_snooping 0 && ip link set far master bridge && ip link set out master bridge && "
                 "for each in out end bridge; do ip link set $each up; done")
    until(lambda: net.peer.run("bridge", "link").count("state forwarding") == 2, "the bridge")
    for to in (ON_WIRE, ON_WIRE6):
        run("ip", "neighbour", "add", to, "lladdr", "02:00:00:00:00:77", "dev", "near")
    with net.peer.entered():
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        opened.bind(("end", 3))
        opened.settimeout(20)
        yield opened


def frames_of(wire, count):
    """Those to port 2000, without what is another one for each socket: where identifications begin, the flow's label."""
    out, numbers, labels = [], [], set()
    while len(out) < count:
        frame = bytearray(wire.recv(70000))
        is_v4 = frame[12:14] == b"\x08\x00"
        transport = 34 if is_v4 else 54
        if frame[transport + 2:transport + 4] != struct.pack("!H", 2000):
            continue
        if is_v4:
            numbers.append(struct.unpack_from("!H", frame, 18)[0])
            frame[18:20] = frame[24:26] = bytes(2)
        else:
            labels.add(bytes(frame[15:18]))
            frame[15:18] = bytes(3)
        out.append(bytes(frame))
    is_atomic = len(numbers) == count and all(frame[20] & 0x40 for frame in out)
    assert is_atomic or [(n - numbers[0]) & 0xFFFF for n in numbers] == list(range(len(numbers)))
    assert len(labels) == (0 if numbers else 1)
    return out


@pytest.mark.parametrize("to", [ON_WIRE, ON_WIRE6])
@pytest.mark.parametrize("code, arguments", [(SENDER, (40500, 1000, "message")), (SENDER, (1001, 100, "option")),
                                             (MANY_OF_ONE_CALL, (40, 1000)), (MANY_OF_ONE_CALL, (2, 1))],
                         ids=["segments", "small", "sendmmsg", "two"])
def test_a_wire_carries_the_same_frames_with_and_without(net, wire, to, code, arguments):
    count = -(-arguments[0] // arguments[1]) if code is SENDER else arguments[0]
    seen = []
    for link in ("packet:near", "packet:near?segmentation=off"):
        run(*fast(net, python(code, to, *arguments), link))
        seen.append(frames_of(wire, count))
        assert stats(net)["tx"]["fast"] >= count
    assert seen[0] == seen[1]
