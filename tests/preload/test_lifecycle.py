"""Stacks that come and go, by the thousand: opened and closed in one process, and ended by SIGKILL under traffic. Each time the
next one can be opened at once, and in the end nothing is left of any."""

import os
import pathlib
import re

import bpf_objects
import fastudp
import net as topology
import pytest
from net import HOST, PATIENCE, until
from private_network import run
from test_programs import BLOCKING_ECHO, PYTHON

OPENINGS = int(os.environ.get("FASTUDP_OPENINGS", "40"))  # 1000 take three minutes
KILLINGS = int(os.environ.get("FASTUDP_KILLINGS", "20"))  # 200 take two
LINKS = pytest.mark.parametrize("link", ["packet", "xdp"])
PRELOAD = str(topology.BUILD / "bindings/preload/libfastudp-preload.so")


def bpf_held_by(process):
    """Programs, maps and links that the process has descriptors of, by kind and number."""
    held = set()
    for each in pathlib.Path(f"/proc/{process}/fdinfo").iterdir():
        try:
            text = each.read_text()
        except OSError:
            continue  # closed since it was listed
        held |= {(kind, int(number)) for kind, number in re.findall(r"^(link|prog|map)_id:\s+(\d+)$", text, re.M)}
    return held


def memory_of(process="self"):
    """Pages in use and huge ones, in kB."""
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return [int(re.search(rf"^{name}:\s+(\d+) kB", status, re.M)[1]) for name in ("VmRSS", "HugetlbPages")]


def sockets():
    """Of those that see frames, in this network namespace."""
    return len(pathlib.Path("/proc/self/net/packet").read_text().splitlines()), run("ss", "--xdp", "-H").count("\n")


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def nothing_is_left_of(held):
    assert {kind for kind, _ in held} == {"link", "prog", "map"}, held
    until(lambda: not any(bpf_objects.exists(*each) for each in held), "the end of what was held")


@LINKS
def test_a_stack_is_opened_and_closed_again_and_again(net, link):
    held, before = set(), None
    for _ in range(OPENINGS):
        with fastudp.Stack(f"{link}:near") as stack:
            server = stack.socket()
            server.bind((HOST, 7000))
            held |= bpf_held_by("self")
        # By the first one libraries come, which stay.
        before = before or (descriptors(), sockets(), memory_of())
    until(lambda: sockets() == before[1], "closed sockets")
    assert descriptors() == before[0]
    memory, huge = memory_of()
    assert memory < before[2][0] + 4096 and huge == 0, (before[2], memory, huge)
    nothing_is_left_of(held)


FLOOD = """
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try: sender.sendto(b"x", (sys.argv[1], 7000))
    except OSError: pass
"""


@LINKS
def test_a_program_is_killed_under_traffic_again_and_again(net, link):
    held, before = set(), sockets()
    environment = {**os.environ, "LD_PRELOAD": PRELOAD, "FASTUDP_LINK": f"{link}:near"}
    with net.start(net.peer.command(PYTHON, "-c", FLOOD, HOST)):
        for _ in range(KILLINGS):
            with net.start([PYTHON, "-c", BLOCKING_ECHO], env=environment) as server:
                server.says("ready")
                own = bpf_held_by(server.process.pid)
                held |= own
                assert server.output().strip() == "ready" and own, server.output()
                assert memory_of(server.process.pid)[1] == 0
                server.process.kill()
                server.process.wait(PATIENCE)
    until(lambda: sockets() == before, "closed sockets")
    nothing_is_left_of(held)
