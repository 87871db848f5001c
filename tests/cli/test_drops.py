"""Losses in the statistics of a run, those of its last moment too: as many as the kernel counts itself, once, by layer."""

import contextlib
import socket
import subprocess

import pytest
from tool import Started, fastudp, stats_of

import private_network

OURS, THEIRS, OUR_MAC = "10.78.0.2", "10.78.0.1", "02:00:00:00:00:02"
MANY = 5000

# Has a socket that it never reads, and ends without closing it, as do children that have it too.
DEAF = """
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.bind((sys.argv[1], 7))
print("bound", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    if os.fork() == 0: sys.exit(0)
    os.wait()
"""


@pytest.fixture(autouse=True)
def quiet_namespace(namespace):
    private_network.sysctl("net/ipv6/conf/default/disable_ipv6", 1)


@contextlib.contextmanager
def deaf(script, stats, link, address, children=0):
    """A run of that program, between its start and its end."""
    words = ["--link", link, "--stats", stats, "--", *script(DEAF), address, str(children)]
    if address == OURS:
        words = ["--address", f"{OURS}/24", *words]
    with Started(*words, stdin=subprocess.PIPE) as started:
        assert started.line() == "bound"
        yield
        started.process.stdin.close()
        started.process.stdin = None
        assert started.end() == ([], 0)


def flood(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kernel:
        for _ in range(MANY):
            kernel.sendto(b"x", (address, 7))


def dropped_by_interface(device):
    return private_network.link_statistics(device)["tx"]["dropped"]


def dropped_by_socket(port):
    return sum(lost for each, _, lost in private_network.udp_sockets() if each == port)


def test_the_queue_of_a_tap_interface(tmp_path, script):
    private_network.ip("tuntap add fu1 mode tap", f"address add {THEIRS}/24 dev fu1", "link set fu1 up")
    with deaf(script, tmp_path / "s", f"tap:fu1?mac={OUR_MAC}", OURS):
        private_network.ip(f"neighbour replace {OURS} lladdr {OUR_MAC} dev fu1")
        before = dropped_by_interface("fu1")
        flood(OURS)
        lost = dropped_by_interface("fu1") - before
    private_network.ip("link delete fu1")
    stats = stats_of(tmp_path / "s")
    assert lost > 0 and stats["drops"]["tap_queue_full"] == lost
    assert stats["drops_by_layer"]["link"] == lost


@pytest.mark.parametrize("children", [0, 3])
def test_the_queue_of_a_kernel_socket(tmp_path, script, children):
    with deaf(script, tmp_path / "s", "host:", "127.0.0.1", children):
        flood("127.0.0.1")
        lost = dropped_by_socket(7)
    stats = stats_of(tmp_path / "s")
    assert lost > 0 and stats["drops"]["kernel_queue_full"] == lost
    assert stats["drops_by_layer"] == {"link": 0, "memory": 0, "stack": 0, "socket": lost}
    said = fastudp("doctor", "--stats", tmp_path / "s").stdout
    assert f"\nDropped, socket: {lost}\n{lost:12}  kernel_queue_full: " in said and "SO_RCVBUF" in said
