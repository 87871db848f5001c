"""dpdk: between programs, and with hugepages, where these can be had. What passes on its ports is tested with those of other links."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys

import fastudp
import private_network
import pytest
from echo import BLOCKING_ECHO
from namespaces import PATIENCE, Namespace, until
from own_address import DPDK

BUILD = DPDK.parent.parent
HUGEPAGES = pathlib.Path("/proc/sys/vm/nr_hugepages")
SERVER, CLIENT = "10.91.0.1", "10.91.0.2"
COUNT = 500

pytestmark = pytest.mark.skipif(not DPDK.exists(), reason="fastudp-dpdk.so isn't built: it needs libdpdk")

ASK = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(1)
for i in range(int(sys.argv[3])):
    data = (b"%d " % i).ljust(i * 7 % 1400 + 8, b"x")
    for attempt in range(20):  # the port is there before both ends have found each other
        client.sendto(data, (sys.argv[1], int(sys.argv[2])))
        try:
            while client.recvfrom(2000)[0] != data: continue
            break
        except TimeoutError:
            continue
    else:
        sys.exit("no answer to %d" % i)
"""


def memif(role, socket, address):
    return f"dpdk:net_memif0,role={role},socket={socket},socket-abstract=no?address={address}/24"


@contextlib.contextmanager
def running(*command):
    """A program that says when it is ready; ended when that is over."""
    with subprocess.Popen([str(each) for each in command], stdout=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.terminate()


def run(*command):
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, timeout=3 * PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def namespace():
    private_network.enter()


@pytest.fixture
def hugepages():
    before = int(HUGEPAGES.read_text())
    try:
        HUGEPAGES.write_text(f"{before + 64}\n")
    except OSError as error:
        pytest.skip(f"no hugepages can be had: {error}")
    try:
        free = int(re.search(r"HugePages_Free: +(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
        if free < 64:
            pytest.skip(f"no more than {free} hugepages can be had")
        yield
    finally:
        HUGEPAGES.write_text(f"{before}\n")


def both_ways(tmp_path):
    """The C API's echo in one process, ours in this one's child, of which each has a DPDK of its own."""
    socket = tmp_path / "memif"
    with running(BUILD / "examples" / "echo", memif("server", socket, SERVER), 7):
        until(socket.exists, "the server's socket")
        return run(sys.executable, "-c", THROUGH_THE_API, memif("client", socket, CLIENT), SERVER, COUNT)


THROUGH_THE_API = """
import sys
import fastudp
with fastudp.Stack(sys.argv[1]) as stack:
    opened = stack.socket()
    opened.bind((sys.argv[1].split("address=")[1].split("/")[0], 0))
    for i in range(int(sys.argv[3])):
        data = (b"%d " % i).ljust(i * 131 % 3000, b"x")  # some in fragments
        for attempt in range(20):
            opened.sendto(data, (sys.argv[2], 7))
            while (got := opened.wait(timeout=1)) and opened.recvfrom(4000)[0] != data:
                continue  # an answer to an earlier attempt
            if got:
                break
        else:
            sys.exit("no answer to %d" % i)
    print({line.split()[1] for line in open("/proc/self/smaps") if line.startswith("KernelPageSize:")})
"""


def test_two_processes_reach_each_other_by_shared_memory(namespace, tmp_path):
    assert both_ways(tmp_path) == "{'4'}\n"


def test_hugepages_are_used_where_they_are_free(namespace, hugepages, tmp_path):
    assert "'2048'" in both_ways(tmp_path)


def test_unmodified_programs_reach_each_other_by_shared_memory(namespace, tmp_path):
    def under(name, role, address):
        return [BUILD / "cli" / "fastudp", "run", "--link", memif(role, tmp_path / "memif", address), "--stats",
                tmp_path / f"{name}.json", "--"]

    with running(*under("server", "server", SERVER), "/usr/bin/python3", "-c", BLOCKING_ECHO) as server:
        assert server.stdout.readline() == "ready\n"
        run(*under("client", "client", CLIENT), "/usr/bin/python3", "-c", ASK, SERVER, 7000, COUNT)
    until((tmp_path / "server.json").exists, "the server's stats")
    for name in ("server", "client"):
        stats = json.loads((tmp_path / f"{name}.json").read_text())
        for way in ("rx", "tx"):
            assert stats[way]["fast"] >= COUNT and stats[way]["kernel"] == 0, stats


@contextlib.contextmanager
def cable_to_kernel():
    """near is here, far with the kernel's address in the namespace that this gives."""
    with contextlib.closing(Namespace()) as peer:
        private_network.ip(f"link add near type veth peer name far netns {peer.pid}", "link set near up")
        peer.run("ip", "address", "add", f"{CLIENT}/24", "dev", "far")
        peer.run("ip", "link", "set", "far", "up")
        try:
            yield peer
        finally:
            private_network.ip("link delete near")


@pytest.mark.parametrize("driver", ["net_af_packet", "net_af_xdp", "net_pcap"])
def test_a_kernel_over_a_cable_is_answered(namespace, driver):
    ask = f"import socket as s; c = s.socket(s.AF_INET, s.SOCK_DGRAM); c.settimeout(20); c.sendto(b'hello', ('{SERVER}', 7)); print(c.recv(9))"
    with cable_to_kernel() as peer, fastudp.Stack(f"dpdk:{driver}8,iface=near?address={SERVER}/24&announce=off") as stack:
        opened = stack.socket()
        opened.bind((SERVER, 7))
        opened.fileno()  # from now on a thread answers
        until(lambda: subprocess.run(peer.command("ping", "-c1", "-W1", SERVER), capture_output=True).returncode == 0, "an answer")
        # The checksum is what veth leaves to hardware that isn't there.
        with subprocess.Popen(peer.command("/usr/bin/python3", "-c", ask), stdout=subprocess.PIPE, text=True) as client:
            assert opened.wait(timeout=20)
            opened.sendto(*opened.recvfrom(100)[:2])
            assert client.communicate()[0] == "b'hello'\n"
        opened.close()


def test_virtio_is_answered_by_vhost(namespace, tmp_path):
    path = tmp_path / "vhost"
    with (fastudp.Stack(f"dpdk:net_vhost0,iface={path}?address={SERVER}/24&announce=off") as ours,
          fastudp.Stack(f"dpdk:net_virtio_user0,path={path}?address={CLIENT}/24&announce=off") as theirs):
        server, client = ours.socket(), theirs.socket()
        server.bind((SERVER, 7))
        client.bind((CLIENT, 7))
        server.fileno(), client.fileno()

        def arrives():
            client.sendto(b"hello", (SERVER, 7))
            return server.wait(timeout=1)

        until(arrives, "a datagram")
        assert server.recvfrom(9)[0] == b"hello"
        server.close(), client.close()


AGAIN = """
import sys
import fastudp
for _ in range(12):
    with fastudp.Stack(sys.argv[1]) as ours, fastudp.Stack(sys.argv[2]) as theirs:
        server, client = ours.socket(), theirs.socket()
        server.bind((sys.argv[3], 7))
        for _ in range(4000):
            client.sendto(b"hello", (sys.argv[3], 7))
            ours.wait(0.005), ours.poll(), theirs.wait(0.001), theirs.poll()
            if server.poll() & fastudp.READABLE:
                break
        else:
            sys.exit("no datagram came")
"""


def test_virtio_may_be_closed_and_opened_again(namespace, tmp_path):
    # With hugepages virtio tells vhost of new memory, and both in one process may wait for each other.
    path, keys = tmp_path / "vhost", "announce=off&eal=--no-huge,-m,512,--no-shconf"
    run(sys.executable, "-c", AGAIN, f"dpdk:net_vhost0,iface={path}?address={SERVER}/24&{keys}",
        f"dpdk:net_virtio_user0,path={path}?address={CLIENT}/24&{keys}", SERVER)


def test_a_child_is_refused_what_is_its_parents(namespace):
    with fastudp.Stack("dpdk:net_ring0?address=10.91.0.1/24&announce=off") as stack:
        opened = stack.socket()
        opened.bind(("10.91.0.1", 7))
        child = os.fork()
        if child == 0:
            try:
                opened.recvfrom(10, flags=fastudp.DONTWAIT)
            except PermissionError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        opened.sendto(b"to myself", ("10.91.0.1", 7))
        assert opened.recvfrom(10)[0] == b"to myself"
