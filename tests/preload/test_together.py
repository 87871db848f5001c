"""What else goes on at the interface that a program of ours uses: all of it arrives, and once."""

import json
import socket

import pytest
from net import FASTUDP, HOST, HOST6, PATIENCE, PEER, Namespace, until
from private_network import kernel_counts, run
from test_programs import BLOCKING_ECHO, PYTHON

SHARED = pytest.mark.parametrize("under", ["packet", "packet-filter", "packet-plain", "packet-blocks", "xdp", "xdp-generic"], indirect=True)

SEND_SEGMENTS = """
import socket, sys
client = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
client.setsockopt(socket.IPPROTO_UDP, 103, 500)  # UDP_SEGMENT
client.settimeout(20)
data = b"".join(b"%04d" % i + b"x" * 496 for i in range(40))
for start in range(0, len(data), 10000):
    client.sendto(data[start:start + 10000], (sys.argv[1], 7000))
heard = sorted(client.recvfrom(2000)[0] for _ in range(40))
client.settimeout(0.2)
try:
    client.recvfrom(2000)
    print("one too many")
except TimeoutError:
    print(heard == [b"%04d" % i + b"x" * 496 for i in range(40)])
"""

ONCE_CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(20)
size, count = int(sys.argv[3]), int(sys.argv[4])
for i in range(count):
    data = (b"%d " % i).ljust(size, b"x")
    client.sendto(data, (sys.argv[1], int(sys.argv[2])))
    assert client.recvfrom(70000)[0] == data
client.settimeout(0.2)
try:
    print("twice", client.recvfrom(70000)[0][:20])
except TimeoutError:
    print("once")
"""


def ask_once(where, address, port, size, count):
    assert run(*where(PYTHON, "-c", ONCE_CLIENT, address, str(port), str(size), str(count))) == "once\n"


def here(*command):
    return list(command)


@SHARED
def test_everything_at_once(under):
    """ping, TCP, a plain UDP service, three programs of ours, clients on this host, fragments."""
    peer = under.net.peer.command
    plain = BLOCKING_ECHO.replace("7000", "7003")
    servers = [under.start(PYTHON, "-c", BLOCKING_ECHO.replace("7000", str(port))) for port in (7000, 7001, 7002)]
    servers.append(under.net.start([PYTHON, "-c", plain]))
    try:
        for server in servers:
            server.says("ready")
        for port in (7000, 7001, 7002, 7003):
            ask_once(peer, HOST, port, 100, 50)
            ask_once(peer, HOST, port, 60000, 5)
            ask_once(here, "127.0.0.1", port, 100, 5)
            ask_once(here, HOST, port, 100, 5)
        run(*peer("ping", "-c", "5", "-i", "0.05", "-s", "1400", HOST))
        listener = socket.create_server((HOST, 7000))
        listener.settimeout(PATIENCE)
        sender = under.net.start(peer("sh", "-c", f"head -c 1000000 /dev/zero | socat -u - TCP4:{HOST}:7000"))
        connection, _ = listener.accept()
        received = 0
        while piece := connection.recv(65536):
            received += len(piece)
        assert received == 1000000
        assert sender.process.wait(PATIENCE) == 0
        listener.close(), connection.close()
    finally:
        for server in servers:
            server.stop()
            server.__exit__()


@SHARED
@pytest.mark.parametrize("address", [HOST, HOST6])
def test_a_kernel_peer_that_sends_segments(under, address):
    """UDP_SEGMENT with checksum offload: one super-packet on the cable, forty datagrams for the program."""
    with under.start(PYTHON, "-c", BLOCKING_ECHO.replace("AF_INET", "AF_INET6")) as server:
        server.says("ready")
        assert run(*under.net.peer.command(PYTHON, "-c", SEND_SEGMENTS, address)) == "True\n"
        server.stop()


@SHARED
def test_what_only_passes_through_this_host_is_not_touched(under):
    """Forwarding: datagrams for a third host, to the very port that a program of ours has here."""
    net = under.net
    third = Namespace()
    try:
        run("ip", "link", "add", "side", "type", "veth", "peer", "name", "third", "netns", str(third.pid))
        run("ip", "address", "add", "10.78.0.1/24", "dev", "side")
        run("ip", "link", "set", "side", "up")
        third.run("ip", "address", "add", "10.78.0.2/24", "dev", "third")
        third.run("ip", "link", "set", "third", "up")
        third.run("ip", "route", "add", "default", "via", "10.78.0.1")
        net.peer.run("ip", "route", "add", "10.78.0.0/24", "via", HOST)
        open("/proc/sys/net/ipv4/ip_forward", "w").write("1")
        with under.start(PYTHON, "-c", BLOCKING_ECHO) as ours, net.start(third.command(PYTHON, "-c", BLOCKING_ECHO)) as other:
            ours.says("ready")
            other.says("ready")
            before = kernel_counts()
            ask_once(net.peer.command, "10.78.0.2", 7000, 100, 50)
            ask_once(net.peer.command, HOST, 7000, 100, 50)
            after = kernel_counts()
            assert after["Icmp.OutMsgs"] == before["Icmp.OutMsgs"]
            assert after["Ip.ForwDatagrams"] - before["Ip.ForwDatagrams"] >= 100
            ours.stop()
        assert under.stats()["rx"]["fast"] >= 48
    finally:
        run("ip", "link", "delete", "side")
        third.close()


def test_address_route_and_neighbour_may_change_under_traffic(net):
    """The program goes on: an address more, the old one gone, a neighbour that the kernel forgets."""
    with net.start([FASTUDP, "run", "--link", "packet:near", "--stats", str(net.folder / "s.json"), "--", PYTHON, "-c",
                    BLOCKING_ECHO]) as server:
        server.says("ready")
        ask_once(net.peer.command, HOST, 7000, 100, 20)
        run("ip", "address", "add", "10.77.0.50/25", "dev", "near")
        ask_once(net.peer.command, "10.77.0.50", 7000, 100, 20)
        run("ip", "neighbour", "flush", "dev", "near")
        ask_once(net.peer.command, HOST, 7000, 100, 20)
        run("ip", "address", "del", f"{HOST}/24", "dev", "near")
        until(lambda: HOST not in run("ip", "address", "show", "dev", "near"), "the address is gone")
        ask_once(net.peer.command, "10.77.0.50", 7000, 100, 20)
        server.stop()


def test_refused(net):
    """A closed port's ICMP error reaches a connected socket of a program of ours, once."""
    client = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.connect(("%s", 9))
s.send(b"x")
for _ in range(2):
    try:
        s.settimeout(1)
        s.recv(10)
    except ConnectionRefusedError:
        print("refused")
    except TimeoutError:
        print("nothing")
""" % PEER
    assert run(FASTUDP, "run", "--link", "packet:near", "--", PYTHON, "-c", client) == "refused\nnothing\n"


TAGGED = """
import socket, struct, sys
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("far", 0))
own, to = raw.getsockname()[4], bytes.fromhex(sys.argv[2].replace(":", ""))
inner = struct.pack("!HHHH", 9, 7000, 14, 0) + b"tagged"
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(inner), 0, 0x4000, 64, 17, 0, socket.inet_aton(sys.argv[3]),
                 socket.inet_aton(sys.argv[1]))
ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
for tag in (b"\\x81\\x00\\x00\\x05", b"\\x88\\xa8\\x00\\x05"):
    raw.send(to + own + tag + b"\\x08\\x00" + ip + inner)
plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
plain.settimeout(20)
plain.sendto(b"plain", (sys.argv[1], 7000))
print(plain.recv(100).decode())
"""

LISTENER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
print("ready", flush=True)
data, peer = server.recvfrom(100)
server.sendto(b"first was " + data, peer)
"""


@pytest.mark.parametrize("under", ["kernel", "packet", "packet-filter", "packet-plain", "packet-blocks", "packet-own", "xdp-own"],
                         indirect=True)
def test_a_frame_of_another_vlan_is_nobodys(under):
    with under.start(PYTHON, "-c", LISTENER) as server:
        server.says("ready")
        under.ready()
        if under.name in ("packet-own", "xdp-own"):  # the peer has to know its MAC address
            run(*under.net.peer.command("ping", "-c1", "-W5", under.address))
        known = json.loads(run(*under.net.peer.command("ip", "-json", "neighbour", "show", under.address)))
        mac = known[0]["lladdr"]
        assert run(*under.net.peer.command(PYTHON, "-c", TAGGED, under.address, mac, PEER)) == "first was plain\n"


# Its first datagram gives a conversation a socket of its own on the same port, with an option that only the kernel honours;
# the other listener is bound before that or afterwards.
CONVERSATIONS = """
import select, socket, sys
def listen():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("", 7000))
    return made
first = listen()
print("ready", flush=True)
data, peer = first.recvfrom(2000)
first.connect(peer)
listener = listen() if sys.argv[1] == "before" else None
first.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
listener = listener or listen()
first.send(data)
while True:
    for each in select.select([first, listener], [], [])[0]:
        data, peer = each.recvfrom(2000)
        each.sendto(b"wrong" if each is listener else data, peer)
"""


@pytest.mark.parametrize("under", ["kernel", "packet", "packet-filter"], indirect=True)
@pytest.mark.parametrize("order", ["before", "afterwards"])
def test_a_conversation_that_is_the_kernels_keeps_its_datagrams(under, order):
    """The socket that listens on the same port would claim them."""
    with under.start(PYTHON, "-c", CONVERSATIONS, order) as server:
        server.says("ready")
        ask_once(under.net.peer.command, HOST, 7000, 100, 50)
        server.stop()
