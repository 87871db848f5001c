"""Stamps, filters and losses of a socket with two halves: what came by the link and what came through the kernel."""

import json

from net import PATIENCE
from test_programs import PYTHON

SERVER = r"""
import ctypes, json, socket, struct, sys, time

SOL, TX, RX, SOFTWARE, OPT_ID, TSONLY = 1, 2, 8, 16, 128, 2048
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.settimeout(15)
# What doesn't begin with y is refused, of the rest six bytes stay.
steps = [(0x30, 0, 0, 8), (0x15, 0, 1, ord("y")), (6, 0, 0, 14), (6, 0, 0, 0)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *s) for s in steps), 32)
server.setsockopt(SOL, 26, struct.pack("@HP", 4, ctypes.addressof(code)))
if sys.argv[1] == "counts": server.setsockopt(SOL, 40, 1)
server.setsockopt(SOL, 37, TX | RX | SOFTWARE | OPT_ID | TSONLY)
server.bind(("0.0.0.0", 7000))
print("ready", flush=True)
seen, lost, wrong, here = [], 0, 0, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.bind(("127.0.0.1", 7001))
while len(seen) < 40:
    data, control, flags, peer = server.recvmsg(100, 200)
    seen.append(data.decode())
    stamps = [struct.unpack_from("=qq", what) for level, kind, what in control if kind == 37]
    wrong += [abs(s + f / 1e9 - time.time()) < 10 for s, f in stamps] != [True]
    lost = max([lost] + [struct.unpack("=I", what)[0] for level, kind, what in control if kind == 40])
    server.sendto(b"yes, thank you", peer)
    here.sendto(b"no", ("127.0.0.1", 7000))
    here.sendto(b"yes from here", ("127.0.0.1", 7000)) if len(seen) % 2 == 0 and len(seen) < 20 else None
numbers = []
server.setblocking(False)
while True:
    try: data, control, flags, peer = server.recvmsg(100, 200, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    except BlockingIOError: break
    numbers += [struct.unpack_from("=I", what, 12)[0] for level, kind, what in control if level == 0]
print(json.dumps({"seen": sorted(set(seen)), "numbers": sorted(numbers), "wrong": wrong, "lost": lost}), flush=True)
"""

CLIENT = r"""
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(10)
client.connect((sys.argv[1], 7000))
for _ in range(100):
    client.send(b"no")
    client.send(b"yes from there")
    try: client.recv(100)
    except (ConnectionRefusedError, TimeoutError): break
"""


def test_both_halves_agree(under):
    """In one numbering, with one filter, and the losses of both together."""
    counts = "counts" if under.name != "packet-filter" else "doesn't"  # that would leave it to the kernel
    with under.start("/usr/bin/python3", "-c", SERVER, counts) as server:
        server.says("ready")
        under.ready()
        with under.net.start(under.peers("/usr/bin/python3", "-c", CLIENT, under.address)):
            server.says("wrong")
            server.process.wait(PATIENCE)
            found = json.loads(server.output().partition("ready\n")[2])
    assert found["seen"] == ["yes fr"]
    assert found["numbers"] == list(range(40))
    assert found["wrong"] == 0
    assert found["lost"] >= 20 or counts != "counts"
    if under.name.startswith("packet"):
        stats = under.stats()
        assert stats["rx"]["fast"] >= 20 and stats["tx"]["fast"] >= 20, stats


SHUT = r"""
import socket
for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", 7000))
    try: s.shutdown(how)
    except OSError as e: print(e.errno, end=" ")
    for flags in (socket.MSG_ERRQUEUE, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT, socket.MSG_DONTWAIT):
        try: print(s.recvmsg(10, 100, flags), end=" ")
        except OSError as e: print(e.errno, end=" ")
    s.close()
"""


def test_a_socket_that_is_shut_has_no_more_reports_than_others(under):
    with under.start(PYTHON, "-c", SHUT) as program:
        program.process.wait(PATIENCE)
        assert program.output() == 3 * "107 11 11 11 ", program.output()
