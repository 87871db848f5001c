"""dpdk: between programs, and with hugepages, where these can be had. What passes on its ports is tested with those of other links."""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys

import fastudp
import private_network
import pytest
from echo import BLOCKING_ECHO
from namespaces import PATIENCE, Namespace, need, until
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


def memif(role, name, address):
    return f"dpdk:net_memif0,role={role},socket={name},socket-abstract=no?address={address}/24"


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


def free_hugepages():
    return int(re.search(r"HugePages_Free: +(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])


@pytest.fixture
def hugepages():
    before = int(HUGEPAGES.read_text())
    try:
        HUGEPAGES.write_text(f"{before + 128}\n")  # others on the machine may take some
    except OSError as error:
        pytest.skip(f"no hugepages can be had: {error}")
    try:
        if free_hugepages() < 64:
            pytest.skip(f"no more than {free_hugepages()} hugepages can be had")
        yield
    finally:
        HUGEPAGES.write_text(f"{before}\n")


def both_ways(tmp_path):
    """The C API's echo in one process, ours in this one's child, of which each has a DPDK of its own."""
    name = tmp_path / "memif"
    with running(BUILD / "examples" / "echo", memif("server", name, SERVER), 7):
        until(name.exists, "the server's socket")
        return run(sys.executable, "-c", THROUGH_THE_API, memif("client", name, CLIENT), SERVER, COUNT)


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


def test_a_program_whose_port_does_not_start_goes_on_by_the_kernel(namespace, tmp_path):
    alone = [BUILD / "cli" / "fastudp", "run", "--link", memif("client", tmp_path / "nobody", CLIENT), "--stats", tmp_path / "stats.json", "--"]
    run(*alone, "/usr/bin/python3", "-c", "import socket; socket.socket(type=socket.SOCK_DGRAM).bind(('127.0.0.1', 0))")
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert stats["link"] == "host:" and "doesn't start" in stats["reason"], stats


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


UNBOUND = """
server:
  interface: 0.0.0.0
  access-control: 10.0.0.0/8 allow
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  local-zone: "test." static
  local-data: "test. A 10.1.2.3"
"""
PAIRS = {"iperf": (["iperf", "-s", "-u"], ["iperf", "-u", "-c", SERVER, "-b", "20m", "-n", "1M"], "Server Report"),
         "unbound": (["unbound", "-d", "-c", "conf"], ["dig", "+short", "+tries=9", "+time=2", f"@{SERVER}", "test"], "10.1.2.3")}


@pytest.mark.parametrize("pair", PAIRS)
def test_servers_and_clients_of_others_reach_each_other_by_shared_memory(namespace, tmp_path, monkeypatch, pair):
    server, client, expected = PAIRS[pair]
    need(server[0]), need(client[0])
    monkeypatch.chdir(tmp_path)
    pathlib.Path("conf").write_text(UNBOUND)
    under = [[BUILD / "cli" / "fastudp", "run", "--link", memif(role, tmp_path / "memif", address), "--"]
             for role, address in (("server", SERVER), ("client", CLIENT))]
    with running(*under[0], *server):
        until((tmp_path / "memif").exists, "the server's socket")
        assert expected in run(*under[1], *client)


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


def kilobytes_in_hugepages(program):
    told = re.search(r"HugetlbPages:\s+(\d+)", pathlib.Path(f"/proc/{program.pid}/status").read_text())
    return int(told[1]) if told else 0  # it has ended, and isn't waited for


# In so few tests each that the memory suffices which net_af_xdp doesn't give back.
@pytest.mark.parametrize("tests, processes", [("unit_link_contract", 13), ("unit_link_dpdk", 1)])
def test_links_keep_their_contract_with_hugepages(hugepages, tests, processes):
    for number in range(processes):
        part = {"GTEST_FILTER": "*dpdk*", "GTEST_BRIEF": "1", "GTEST_TOTAL_SHARDS": str(processes), "GTEST_SHARD_INDEX": str(number)}
        most = 0
        until(lambda: free_hugepages() >= 64, "those of the last one, which the kernel takes back from AF_XDP when it has the time")
        with subprocess.Popen([BUILD / "tests/unit/link" / tests], env={**os.environ, **part}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as program:
            while program.poll() is None:
                most = max(most, kilobytes_in_hugepages(program))
            assert program.returncode == 0, program.stdout.read()
        assert most > 16_000, f"process {number}"


# Opens and closes the link under test in this process, with a datagram on each, and tells what it has afterwards.
ROUNDS = r"""
import contextlib, os, pathlib, re, socket, subprocess, sys
import fastudp
from namespaces import until

US, THEM = "10.91.0.1", "10.91.0.2"
link, rounds = sys.argv[1], int(sys.argv[2])

def ask(send, polled, receiver):
    for attempt in range(100):  # until both ends have found each other
        send()
        for stack in polled: stack.poll()
        if receiver.wait(timeout=0.1): return receiver.recvfrom(100)
    sys.exit("nothing arrives")

def once(lasting):
    with fastudp.Stack(f"{link}?address={US}/24&announce=off") as stack, contextlib.ExitStack() as kept:
        ours = kept.enter_context(contextlib.closing(stack.socket()))
        ours.bind((US, 7))
        if lasting is not None:
            theirs = kept.enter_context(contextlib.closing(lasting.socket()))
            theirs.bind((THEM, 7))
            ask(lambda: ours.sendto(b"hello", (THEM, 7)), [stack, lasting, stack, lasting], theirs)
        elif "net_tap" in link:
            subprocess.run(["ip", "address", "add", f"{THEM}/24", "dev", "often"], check=True)
            kernel = kept.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            ask(lambda: kernel.sendto(b"hello", (US, 7)), [stack], ours)
        else:
            ours.sendto(b"to nobody", ("239.1.2.3", 7))
            stack.poll()

def descriptors():
    return len(os.listdir("/proc/self/fd"))

def show():
    status = pathlib.Path("/proc/self/status").read_text()
    print(descriptors(), len(os.listdir("/proc/self/task")),
          pathlib.Path("/proc/self/maps").read_text().count("\n"), re.search(r"VmRSS:\s+(\d+)", status)[1])

with fastudp.Stack(f"{sys.argv[3]}?address={THEM}/24&announce=off") if len(sys.argv) > 3 else contextlib.nullcontext() as lasting:
    for i in range(5): once(lasting)
    show()
    before = descriptors()
    for i in range(rounds): once(lasting)
    until(lambda: descriptors() <= before, "the end of the last connection")
    show()
"""
MEMIF = [f"dpdk:net_memif{i},role={role},socket=often" for i, role in enumerate(("client", "server"))]


@pytest.mark.parametrize("links", [["dpdk:net_ring0"], ["dpdk:net_tap0,iface=often"], MEMIF], ids=["ring", "tap", "memif"])
def test_opening_and_closing_leaves_nothing_in_the_process(namespace, links):
    said = run(sys.executable, "-c", ROUNDS, links[0], 30, *links[1:])
    before, after = ([int(number) for number in line.split()] for line in said.splitlines())
    descriptors, threads, maps, kilobytes = (late - early for early, late in zip(before, after))
    # A server with which a client has been keeps 27 KB of DPDK's; a link that isn't closed is 20 MB.
    assert descriptors <= 0 and threads == 0 and abs(maps) <= 2 and kilobytes < 2000, said


# Sends and answers for ever, and says when there was the first answer.
TRAFFIC = r"""
import sys
import fastudp
link, own, peer = sys.argv[1:]
with fastudp.Stack(f"{link}?address={own}/24&announce=off") as stack:
    opened = stack.socket()
    opened.bind((own, 7))
    print("open", flush=True)
    has_answer = False
    while True:
        if not has_answer:
            opened.sendto(b"x" * 1000, (peer, 7))
        if not opened.wait(timeout=0.01):
            continue
        got = opened.recv_burst(64, 2000, flags=fastudp.DONTWAIT)
        opened.send_burst([(each.data, each.peer) for each in got] * 2, flags=fastudp.DONTWAIT)
        if not has_answer:
            has_answer = True
            print("answered", flush=True)
"""


@contextlib.contextmanager
def traffic(link, own, peer):
    with running(sys.executable, "-c", TRAFFIC, link, own, peer) as program:
        assert program.stdout.readline() == "open\n"
        yield program
        program.kill()


def kill_memif_in_traffic(name):
    with (traffic(f"dpdk:net_memif0,role=server,socket={name}", SERVER, CLIENT) as server,
          traffic(f"dpdk:net_memif0,role=client,socket={name}", CLIENT, SERVER) as client):
        assert server.stdout.readline() == client.stdout.readline() == "answered\n"


def kill_in_traffic_with_kernel(link, device):
    with traffic(link, SERVER, CLIENT) as program:
        subprocess.run(["ip", "address", "add", f"{CLIENT}/24", "dev", device], capture_output=True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kernel:
            kernel.settimeout(0.1)
            kernel.bind((CLIENT, 7))

            def answers():
                with contextlib.suppress(TimeoutError):
                    kernel.sendto(b"hello", (SERVER, 7))
                    return kernel.recv(2000) == b"hello"

            until(answers, "an answer")
            kernel.sendto(b"once more", (SERVER, 7))


def interfaces():
    return {each["ifname"]: set(each["flags"]) for each in json.loads(private_network.run("ip", "-json", "link"))}


def test_a_killed_program_leaves_no_interface(namespace):
    before = interfaces()
    for _ in range(5):
        kill_in_traffic_with_kernel("dpdk:net_tap0,iface=killed", "killed")
        assert interfaces() == before


def test_a_killed_program_leaves_an_interface_as_it_was(namespace):
    private_network.ip("link add killed type veth peer name other", f"address add {CLIENT}/24 dev other",
                       "link set killed up", "link set other up")
    before = interfaces()
    for _ in range(5):
        kill_in_traffic_with_kernel("dpdk:net_af_packet0,iface=killed", "other")
        assert interfaces() == before
    private_network.ip("link delete killed")


@pytest.mark.parametrize("is_file", [False, True], ids=["abstract", "file"])
def test_killed_programs_leave_no_name_in_the_way(namespace, tmp_path, is_file):
    for _ in range(5):
        kill_memif_in_traffic(f"{tmp_path}/memif,socket-abstract=no" if is_file else "killed")
        assert is_file or "killed" not in pathlib.Path("/proc/net/unix").read_text()


def test_a_server_that_lives_keeps_its_name(namespace, tmp_path):
    link = f"dpdk:net_memif0,role=server,socket={tmp_path}/memif,socket-abstract=no"
    with traffic(link, SERVER, CLIENT) as server:
        refused = subprocess.run([sys.executable, "-c", TRAFFIC, link, SERVER, CLIENT], capture_output=True, text=True)
        assert "in use" in refused.stderr
        assert server.poll() is None
        with traffic(link.replace("role=server", "role=client"), CLIENT, SERVER) as client:
            assert client.stdout.readline() == "answered\n"


def test_killed_programs_leave_no_hugepages(namespace, hugepages):
    before = free_hugepages()
    for _ in range(3):
        kill_memif_in_traffic("huge")
        until(lambda: free_hugepages() >= before, "their hugepages")


# A number that was in the program's way would be missing among its own, and be closed with them.
NUMBERS = r"""
import os, socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
first = server.fileno() + 1
os.closerange(first, 700)
files = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
print(files == list(range(first, first + 20)), flush=True)
for i in range(10_000):
    data, peer = server.recvfrom(2000)
    server.sendto(data, peer)
    if i == 100:
        print(all(os.path.sameopenfile(each, files[0]) for each in files), flush=True)
"""


def test_what_dpdk_opens_is_out_of_the_programs_way(namespace, tmp_path):
    under = [BUILD / "cli" / "fastudp", "run", "--link", memif("server", tmp_path / "memif", SERVER), "--"]
    with running(*under, "/usr/bin/python3", "-c", NUMBERS) as server:
        assert server.stdout.readline() == "True\n"
        # Whoever connects has DPDK's thread open and close descriptors.
        for _ in range(3):
            run(BUILD / "cli" / "fastudp", "run", "--link", memif("client", tmp_path / "memif", CLIENT), "--",
                "/usr/bin/python3", "-c", ASK, SERVER, 7000, 50)
        assert server.stdout.readline() == "True\n"
