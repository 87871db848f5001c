"""Unmodified programs with UDP_CORK and MSG_MORE on an interface that the kernel keeps: all pieces of a datagram go one
way, whichever that is."""

import pytest
from net import PEER, PEER6
from private_network import run
from test_segments import RECEIVER, fast, python, stats

SENDER = """
import socket, sys
to, pieces, name = (sys.argv[1], 2000), [int(n) for n in sys.argv[2].split(",")], sys.argv[3]
s = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM)
if name != "unresolved": s.sendto(b"first", (to[0], 9))
data, at = bytes(range(251)) * 300, 0
if name == "cork": s.setsockopt(socket.IPPROTO_UDP, 1, 1)
for n in pieces:
    assert s.sendto(data[at:at + n], 0 if name == "cork" else socket.MSG_MORE, to) == n
    at += n
if name == "hand over": s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)
if name == "cork": s.setsockopt(socket.IPPROTO_UDP, 1, 0)
else: assert s.send(b"") == 0
"""


@pytest.mark.parametrize("to", [PEER, PEER6])
@pytest.mark.parametrize("name, pieces, fast_ones", [("cork", "500,400,100", 1), ("more", "500,400,100", 1),
                                                     ("cork", "1000,1000,1000", 0), ("more", "2000,100", 0),
                                                     ("unresolved", "100,200", 0), ("hand over", "100,200", 0)])
def test_pieces_arrive_as_one(net, to, name, pieces, fast_ones):
    total = sum(int(n) for n in pieces.split(","))
    if name == "unresolved":
        run("ip", "neighbour", "flush", "dev", "near")
    with net.start(net.peer.command(*python(RECEIVER, to, "plain", total))) as receiver:
        receiver.says("bound")
        run(*fast(net, python(SENDER, to, pieces, name)))
        receiver.says(f"received {total} []\nintact")
    tx = stats(net)["tx"]
    first = 0 if name == "unresolved" else 1
    assert tx["fast"] in range(fast_ones, fast_ones + first + 1) and tx["fast"] + tx["kernel"] == 1 + first, tx
