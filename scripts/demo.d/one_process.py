"""one_process.py BUILD: an echo and its client in one unmodified program, on `loop:`, which needs no rights at all: what
is left to show where no network namespace can be made. Once on the kernel's sockets, once on ours."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

COUNT = 20000
PROGRAM = f"""
import socket
server, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
server.bind(("127.0.0.1", 0))
client.connect(server.getsockname())
right = 0
for i in range({COUNT}):
    data = (b"%d " % i).ljust(i % 1400 + 8, b"x")
    client.send(data)
    server.sendto(*server.recvfrom(2000))
    right += client.recv(2000) == data
print(right)
"""


def fail(what):
    sys.exit(f"demo: FAILED: {what}")


def carried():
    """Datagrams that the kernel sent; others on this machine may have had a part in it."""
    lines = [line.split() for line in pathlib.Path("/proc/self/net/snmp").read_text().splitlines() if line.startswith("Udp:")]
    return int(lines[1][4])


def show(name, *before):
    sent, start = carried(), time.monotonic()
    done = subprocess.run([*before, "/usr/bin/python3", "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    if done.returncode != 0 or int(done.stdout) != COUNT:
        fail(f"{name}: {done.stdout}{done.stderr}")
    print(f"echo:     {name:8}{COUNT:,} of {COUNT:,} replies right in {time.monotonic() - start:.2f} s; "
          f"the kernel sent {carried() - sent:,}", end="", flush=True)


def main():
    print("demo: no network namespace can be made here, so this is an echo and its client in one program, on loop:")
    show("kernel")
    print()
    with tempfile.TemporaryDirectory() as folder:
        stats = pathlib.Path(folder, "stats.json")
        show("fastudp", f"{sys.argv[1]}/cli/fastudp", "run", "--link", "loop:", "--stats", str(stats), "--")
        told = json.loads(stats.read_text())
    print(f"; {told['tx']['fast']:,} sent fast, {told['tx']['kernel']:,} by the kernel")
    if told["tx"] != {"fast": 2 * COUNT, "kernel": 0}:
        fail("all datagrams should have taken the fast path")


main()
