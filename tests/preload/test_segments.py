"""Unmodified programs with UDP_SEGMENT and UDP_GRO on an interface that the kernel keeps: what is on the wire, and which
way it went."""

import json
import sys

import pytest
from net import FASTUDP, HOST, HOST6, PEER, PEER6, need
from private_network import run

SENDER = """
import socket, struct, sys
to, size, step, name = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
family = socket.AF_INET6 if ":" in to else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
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
        assert run(*fast(net, python(SENDER, to, 4500, 1000, by))) == "sent 4500\n"
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


def test_segments_that_the_kernel_has_to_send_go_to_it_whole(net):
    run("ip", "neighbour", "flush", "dev", "near")
    with net.start(net.peer.command(*python(RECEIVER, PEER, "plain", 4500))) as receiver:
        receiver.says("bound")
        run(*fast(net, python(SENDER.replace('s.sendto(b"first"', "#"), PEER, 4500, 1000, "message")))
        receiver.says("intact")
    tx = stats(net)["tx"]
    assert (tx["fast"], tx["kernel"]) == (0, 5), tx
