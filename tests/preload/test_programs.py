"""Unmodified programs as servers and as clients, on every link: they answer as they do on the kernel, and nearly all of
their datagrams take the fast path. The kernel's own counters are the outside witness."""

import json
import subprocess

import pytest
from net import BLOCKING_ECHO, HOST, LINKS, PATIENCE, TAPS, need, until, udp_ports
from private_network import kernel_counts, run

PYTHON = "/usr/bin/python3"
QUERIES = 100

# A client that makes the interface itself has no peer on it before it starts.
with_peer = pytest.mark.parametrize("under", [link for link in LINKS if link not in TAPS], indirect=True)
# An address of our own doesn't speak TCP, to which iperf3's server listens as well, and only one process at a time
# can use its sockets, while ncat forks.
with_tcp = pytest.mark.parametrize("under", [link for link in LINKS if link not in (*TAPS, "packet-own", "xdp-own")], indirect=True)

ECHO_CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(20)
good = 0
for i in range(int(sys.argv[3])):
    data = (b"%d " % i).ljust(i % 1400 + 8, b"x")
    client.sendto(data, (sys.argv[1], int(sys.argv[2])))
    good += client.recvfrom(2000)[0] == data
print(good)
"""

SELECT_ECHO = """
import select, socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
server.setblocking(False)
print("ready", flush=True)
while True:
    select.select([server], [], [])
    data, peer = server.recvfrom(65535)
    server.sendto(data, peer)
"""

ASYNCIO_ECHO = """
import asyncio
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, peer):
        self.transport.sendto(data, peer)
async def main():
    loop = asyncio.get_running_loop()
    for port in range(7000, 7050):
        await loop.create_datagram_endpoint(Echo, local_addr=("0.0.0.0", port))
    print("ready", flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""

THREADS_ECHO = """
import socketserver
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        data, server = self.request
        server.sendto(data, self.client_address)
with socketserver.ThreadingUDPServer(("", 7000), Handler) as server:
    print("ready", flush=True)
    server.serve_forever()
"""


def witness(under, before, most):
    """The kernel has not carried what the program says it did itself."""
    if under.uri is not None and under.name != "host" and under.name not in TAPS:
        after = kernel_counts()
        for name in ("Udp.InDatagrams", "Udp.OutDatagrams"):
            assert after[name] - before[name] <= most, (name, before[name], after[name])


@pytest.mark.parametrize("server", [BLOCKING_ECHO, SELECT_ECHO, ASYNCIO_ECHO, THREADS_ECHO],
                         ids=["blocking", "select", "asyncio", "threads"])
def test_python_server(under, server):
    before = kernel_counts()
    with under.start(PYTHON, "-c", server) as program:
        program.says("ready")
        under.ready()
        assert run(*under.peers(PYTHON, "-c", ECHO_CLIENT, under.address, "7000", str(QUERIES))) == f"{QUERIES}\n"
        program.stop()
    under.check(QUERIES)
    witness(under, before, QUERIES * 0.05)


@with_peer
def test_python_client(under):
    with under.net.start(under.net.peer.command(PYTHON, "-c", BLOCKING_ECHO)) as server:
        server.says("ready")
        done = run(*under.command(PYTHON, "-c", ECHO_CLIENT, under.peer_address, "7000", str(QUERIES)))
        assert done == f"{QUERIES}\n"
    under.check(QUERIES)


def dnsmasq(*more):
    need("dnsmasq")
    return ["dnsmasq", "--keep-in-foreground", "--log-facility=-", "--user=root", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
            "--pid-file=", "--host-record=test.lan,1.2.3.4", *more]


def ask(address, count, *more):
    """`count` queries in one dig, which exits when all are answered."""
    return ["dig", f"@{address}", "+short", "+notcp", "+tries=2", "+time=5", *more, *(["test.lan"] * count)]


def test_dnsmasq_answers_dig(under):
    need("dig")
    before = kernel_counts()
    with under.start(*dnsmasq()) as server:
        server.says("started")
        under.ready()
        assert run(*under.peers(*ask(under.address, QUERIES))) == "1.2.3.4\n" * QUERIES
        assert server.stop() == 0
    under.check(QUERIES)
    witness(under, before, QUERIES * 0.05)


@with_peer
def test_dig_asks_dnsmasq(under):
    need("dig")
    with under.net.start(under.net.peer.command(*dnsmasq())) as server:
        server.says("started")
        assert run(*under.command(*ask(under.peer_address, QUERIES))) == "1.2.3.4\n" * QUERIES
    under.check(QUERIES)


@with_tcp
def test_socat_serves(under):
    need("socat")
    with under.start("socat", "-d", "-d", "UDP4-RECVFROM:7000,fork", "EXEC:cat") as server:
        server.says("receiving on")
        under.ready()
        for _ in range(3):  # each is a child's, which forks to run cat
            assert run(*under.peers(PYTHON, "-c", ECHO_CLIENT, under.address, "7000", "1")) == "1\n"
        server.stop()


def test_socat_echoes(under):
    """One process, which connects its socket to whom it heard first."""
    need("socat")
    before = kernel_counts()
    with under.start("socat", "-d", "-d", "UDP4-LISTEN:7000", "PIPE") as server:
        server.says("listening on")
        under.ready()
        assert run(*under.peers(PYTHON, "-c", ECHO_CLIENT, under.address, "7000", str(QUERIES))) == f"{QUERIES}\n"
        server.stop()
    under.check(QUERIES)
    witness(under, before, QUERIES * 0.05)


@with_peer
def test_socat_asks(under):
    need("socat")
    with under.net.start(under.net.peer.command(PYTHON, "-c", BLOCKING_ECHO)) as server:
        server.says("ready")
        assert run(*under.command("socat", "-t", "1", "-", f"UDP4:{under.peer_address}:7000"), input="hello") == "hello"
    under.check(1)


@with_tcp
def test_ncat_serves(under):
    need("ncat")
    with under.start("ncat", "-u", "-l", "7000", "-e", "/bin/cat") as server:
        until(lambda: 7000 in udp_ports(server.process.pid), "ncat's port")
        under.ready()
        assert run(*under.peers(PYTHON, "-c", ECHO_CLIENT, under.address, "7000", "1")) == "1\n"
        server.stop()
    # The program that it starts reads what it has looked at, by the kernel, and may count it once more.
    if under.uri is not None and under.name != "host":
        assert under.stats()["rx"]["fast"] == 1


def test_ncat_listens(under):
    need("ncat")
    with under.start("ncat", "-u", "-l", "7000", stdin=subprocess.PIPE) as server:
        until(lambda: 7000 in udp_ports(server.process.pid), "ncat's port")
        under.ready()
        talks = ("import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20); "
                 "s.sendto(b'hello', (sys.argv[1], 7000)); print(s.recv(100).decode())")
        with under.net.start(under.peers(PYTHON, "-c", talks, under.address)) as client:
            server.says("hello")
            server.process.stdin.write(b"hi there\n")
            server.process.stdin.flush()
            client.says("hi there")
        server.stop()
    under.check(1)


@with_peer
def test_ncat_asks(under):
    need("ncat")
    with under.net.start(under.net.peer.command(PYTHON, "-c", BLOCKING_ECHO)) as server:
        server.says("ready")
        with under.start("ncat", "-u", under.peer_address, "7000", stdin=subprocess.PIPE) as client:
            client.process.stdin.write(b"hello\n")
            client.process.stdin.flush()
            client.says("hello")
            client.stop()
    under.check(1)


def iperf(*more):
    need("iperf3")
    return ["iperf3", "-4", "--forceflush", *more]


def losses(text):
    end = json.loads(text)["end"]["sum"]
    return end["lost_packets"], end["packets"]


@with_tcp
def test_iperf3_serves(under):
    with under.start(*iperf("-s", "-1", "-B", HOST)) as server:
        server.says("listening")
        text = run(*under.peers(*iperf("-c", under.address, "-u", "-b", "20M", "-l", "1000", "-t", "1", "-J")))
        assert server.process.wait(PATIENCE) == 0
    lost, packets = losses(text)  # a machine with other work loses some, whoever serves
    assert packets > 1000 and lost < packets
    under.check((packets - lost) * 0.9, ["rx"])


@with_peer
def test_iperf3_asks(under):
    with under.net.start(under.net.peer.command(*iperf("-s", "-1"))) as server:
        server.says("listening")
        text = run(*under.command(*iperf("-c", under.peer_address, "-u", "-b", "20M", "-l", "1000", "-t", "1", "-J")))
    lost, packets = losses(text)
    assert packets > 1000 and lost < packets
    under.check(packets * 0.9, ["tx"])


