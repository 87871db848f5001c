"""Linux's own programs talk to our stack as to any host."""

import contextlib
import json
import socket
import struct
import subprocess
import threading

import pytest
from conftest import KERNEL, OURS
from private_network import run

import private_network


@pytest.mark.parametrize("size", [0, 1, 7, 56, 57, 1000, 1471, 1472, 1473, 4000, 20000])
def test_ping_of_any_size_is_answered(cable, size):
    out = run("ping", "-n", "-c", "5", "-i", "0.01", "-s", str(size), OURS)
    assert "5 received, 0% packet loss" in out
    assert "wrong data" not in out


@pytest.mark.parametrize("pattern", ["00", "ff", "a55a", "0123456789abcdef"])
def test_ping_gets_its_pattern_back(cable, pattern):
    out = run("ping", "-n", "-c", "3", "-i", "0.01", "-s", "1472", "-M", "do", "-p", pattern, OURS)
    assert "3 received, 0% packet loss" in out and "wrong data" not in out


def test_flood_ping_loses_nothing(cable):
    out = run("ping", "-n", "-q", "-f", "-c", "3000", OURS)
    assert "3000 received, 0% packet loss" in out


def test_ping_to_the_broadcast_address_is_not_answered(cable):
    done = subprocess.run(["ping", "-n", "-b", "-c", "1", "-W", "0.2", "10.77.0.255"], capture_output=True, text=True,
                          timeout=30)
    assert "0 received" in done.stdout


@pytest.mark.parametrize("size", [1, 1472, 8000])
def test_socat_gets_its_text_back(cable, size):
    with cable.echo(7):
        assert run("socat", "-b", "65536", "-t", "0.5", "-", f"UDP4:{OURS}:7", input="x" * size) == "x" * size


def test_socat_answers_our_socket(cable):
    server = subprocess.Popen(["socat", f"UDP4-RECVFROM:9,bind={KERNEL},fork", "EXEC:cat"])
    try:
        client = cable.bound(1000)
        client.connect((KERNEL, 9))
        client.settimeout(0.2)
        for _ in range(100):  # until the server listens: before, the kernel refuses
            with contextlib.suppress(OSError):
                client.send(b"are you there?")
                if client.recv() == b"are you there?":
                    break
        client.settimeout(20)
        while True:
            client.send(b"hello")
            if client.recv() == b"hello":
                break
    finally:
        server.terminate()
        server.wait()


def dns_answer(question, _):
    """The smallest name server: every name has the address 192.0.2.7."""
    ident, = struct.unpack_from("!H", question)
    end = question.index(b"\0", 12) + 5
    header = struct.pack("!6H", ident, 0x8580, 1, 1, 0, 0)
    answer = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, bytes([192, 0, 2, 7]))
    return header + question[12:end] + answer


def test_dig_asks_a_name_server_on_our_stack(cable):
    with cable.serve(53, dns_answer):
        out = run("dig", f"@{OURS}", "www.example.test", "A", "+short", "+tries=3", "+time=5", "+noedns")
    assert out.strip() == "192.0.2.7"


class Relay:
    """Carries datagrams between a client of our stack and a server beyond it, as a NAT would."""

    def __init__(self, cable, port):
        self.cable, self.port, self.behind = cable, port, {}
        self.stopped = threading.Event()

    def __enter__(self):
        self.front = self.cable.bound(self.port)
        self.thread = threading.Thread(target=self.work)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def beyond(self, client):
        if client not in self.behind:
            self.behind[client] = self.cable.bound(0)
            self.behind[client].connect((KERNEL, self.port))
        return self.behind[client]

    def work(self):
        while not self.stopped.is_set():
            if not self.behind:
                self.front.wait(timeout=0.02)
            with contextlib.suppress(BlockingIOError):
                for message in self.front.recv_burst(64, 65535, flags=socket.MSG_DONTWAIT):
                    self.beyond(message.peer).send(message.data)
            for client, opened in list(self.behind.items()):
                with contextlib.suppress(OSError):
                    answers = opened.recv_burst(64, 65535, flags=socket.MSG_DONTWAIT)
                    self.front.send_burst([(m.data, client) for m in answers])


@contextlib.contextmanager
def tcp_to_our_address_goes_to_the_kernel(cable):
    """So that a program whose control connection is TCP, which we don't speak, can be pointed at us."""
    private_network.sysctl(f"net/ipv4/conf/{cable.device}/accept_local", 1)
    private_network.ip(f"rule add pref 1 ipproto udp to {OURS} lookup main", "rule add pref 2 lookup local",
                       "rule del pref 0", f"route add local {OURS} dev lo table local")
    try:
        yield
    finally:
        private_network.ip(f"route del local {OURS} dev lo table local", "rule add pref 0 lookup local",
                           "rule del pref 2", "rule del pref 1")


@pytest.mark.parametrize("direction", [[], ["--reverse"]], ids=["to us", "from us"])
def test_iperf3_sends_udp_through_our_stack_without_a_loss(cable, direction):
    server = subprocess.Popen(["iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE, text=True)
    try:
        next(line for line in server.stdout if "listening" in line)
        with tcp_to_our_address_goes_to_the_kernel(cable), Relay(cable, 5201):
            out = json.loads(run("iperf3", "-c", OURS, "-u", "-b", "500K", "-l", "500", "-n", "50000", "--json",
                                 *direction))  # all of it fits into the queues on its way, however slow we are
        total = out["end"]["sum"]
        assert total["packets"] >= 100 and total["lost_packets"] == 0
        assert cable.stack.stats().rx_datagrams >= 100
    finally:
        server.kill()
        server.wait()


def test_capture_is_a_file_that_tshark_opens(make_cable, tmp_path):
    path = tmp_path / "seen.pcapng"
    cable = make_cable(f"announce=off&capture={path}")
    run("ping", "-n", "-c", "2", "-i", "0.01", OURS)
    cable.close()
    out = run("tshark", "-n", "-r", str(path), "-Y", "icmp", "-T", "fields", "-e", "icmp.type", "-e", "ip.src")
    assert out.split() == ["8", KERNEL, "0", OURS] * 2


def test_address_of_ours_is_announced_to_the_kernel(make_cable):
    cable = make_cable("announce=on")
    private_network.ip(f"neighbour replace {OURS} lladdr 02:00:00:00:00:99 dev {cable.device} nud stale")
    with cable.echo(7), cable.kernel_socket() as client:
        while cable.neighbour()[0] != cable.stack.info().mac:
            cable.stack.wait(0.1)
        client.sendto(b"hello", (OURS, 7))
        assert client.recv(100) == b"hello"


def test_we_are_one_hop_away_and_answer_with_a_ttl_of_64(cable):
    assert "ttl=64" in run("ping", "-n", "-c", "1", "-t", "1", OURS)
