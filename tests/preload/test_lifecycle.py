"""Stacks that come and go by the thousand in one process: each time the next one can be opened at once, and in the end nothing is
left of any. How programs are killed is in test_processes.py."""

import os
import pathlib
import re

import bpf_objects
import fastudp
import pytest
from net import HOST, until
from private_network import run

OPENINGS = int(os.environ.get("FASTUDP_OPENINGS", "40"))  # 1000 take three minutes


def memory():
    """Pages in use and huge ones, in kB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return [int(re.search(rf"^{name}:\s+(\d+) kB", status, re.M)[1]) for name in ("VmRSS", "HugetlbPages")]


def sockets():
    """Of those that see frames, in this network namespace."""
    return len(pathlib.Path("/proc/self/net/packet").read_text().splitlines()), run("ss", "--xdp", "-H").count("\n")


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("link", ["packet", "xdp"])
def test_a_stack_is_opened_and_closed_again_and_again(net, link):
    held, before = set(), None
    for _ in range(OPENINGS):
        with fastudp.Stack(f"{link}:near") as stack:
            server = stack.socket()
            server.bind((HOST, 7000))
            held |= bpf_objects.held_by("self")
        # By the first one libraries come, which stay.
        before = before or (descriptors(), sockets(), memory())
    until(lambda: sockets() == before[1], "closed sockets")
    assert descriptors() == before[0]
    used, huge = memory()
    assert used < before[2][0] + 4096 and huge == 0, (before[2], used, huge)
    assert {kind for kind, _ in held} == {"link", "prog", "map"}, held
    until(lambda: not bpf_objects.those_left(held), "the end of what was held")
