"""Languages that bring their own way to sockets: Node, Java, Python's asyncio. And a tunnel."""

import contextlib
import pathlib
import re
import subprocess

from daemons import Client, Daemon
from net import BLOCKING_ECHO, PEER, until
from private_network import run

PYTHON = "/usr/bin/python3"
PROGRAMS = pathlib.Path(__file__).parent / "programs"
NODE, THOUSAND, JAVA = str(PROGRAMS / "echo.js"), str(PROGRAMS / "thousand.py"), str(PROGRAMS / "Echo.java")

class Runtime(Daemon):
    """Says "ready"."""

    def wait_until_ready(self, notices):
        self.program.says("ready")
        self.under.ready()


class NodeServes(Runtime):
    programs = ("node",)
    statuses = (143,)
    memory_more = 16 << 20  # garbage is collected when it pleases

    def command(self):
        return ["node", "--max-old-space-size=32", NODE, "serve", "7000"]

    def answers(self):
        return self.ask("node", NODE, "ask", self.under.address, "7000", "300")

    def load(self):
        self.ask("node", NODE, "ask", self.under.address, "7000", "3000")


class Asked(Client):
    @contextlib.contextmanager
    def peer(self):
        with self.net.start(self.net.peer.command(PYTHON, "-c", BLOCKING_ECHO)) as server:
            server.says("ready")
            yield


class NodeAsks(Asked):
    programs = ("node",)

    def answers(self):
        return self.call("node", NODE, "ask", PEER, "7000", "1000")


java = ["java", "-Xmx32m", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]


class JavaServes(Runtime):
    programs = ("java", "javac")
    statuses = (143,)
    memory_more = 16 << 20
    way = "channel"

    def command(self):
        run("javac", "-d", str(self.folder), JAVA)
        return [*java, "-cp", str(self.folder), "Echo", f"serve-{self.way}", "7000"]

    def answers(self):
        return [self.ask(*java, "-cp", str(self.folder), "Echo", f"ask-{way}", self.under.address, "7000", "300")
                for way in ("channel", "socket")]

    def load(self):
        self.ask(*java, "-cp", str(self.folder), "Echo", f"ask-{self.way}", self.under.address, "7000", "3000")


class JavaServesSocket(JavaServes):
    way = "socket"


class JavaAsks(Asked):
    programs = ("java", "javac")
    way = "channel"

    def answers(self):
        run("javac", "-d", str(self.folder), JAVA)
        return self.call(*java, "-cp", str(self.folder), "Echo", f"ask-{self.way}", PEER, "7000", "500")


class JavaAsksSocket(JavaAsks):
    way = "socket"


class Asyncio(Runtime):
    """A thousand sockets in one loop."""
    statuses = (143,)

    def command(self):
        return [PYTHON, THOUSAND, "serve"]

    def answers(self):
        return self.ask(PYTHON, THOUSAND, "ask", self.under.address, "2")

    def load(self):
        self.ask(PYTHON, THOUSAND, "ask", self.under.address, "5")


class AsyncioAsks(Client):
    @contextlib.contextmanager
    def peer(self):
        with self.net.start(self.net.peer.command(PYTHON, THOUSAND, "serve")) as server:
            server.says("ready")
            yield

    def answers(self):
        return self.call(PYTHON, THOUSAND, "ask", PEER, "5")


TUNNEL_OWN, TUNNEL_PEER = "10.200.0.1", "10.200.0.2"

SEND = """
import hashlib, socket, sys
data = bytes(range(251)) * 4000
with socket.create_connection((sys.argv[1], 7000), 20) as connection:
    connection.settimeout(20)
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    heard = b""
    while piece := connection.recv(65536):
        heard += piece
print(heard.decode() == hashlib.sha256(data).hexdigest())
"""

TAKE = """
import hashlib, socket
listener = socket.create_server(("", 7000))
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    digest = hashlib.sha256()
    while piece := connection.recv(65536):
        digest.update(piece)
    connection.sendall(digest.hexdigest().encode())
    connection.close()
"""


class Openvpn(Daemon):
    """A tunnel to the peer, with a key that both have."""
    programs = ("openvpn",)
    pid_file = "own.pid"
    is_notifying = True

    def conf(self, name, own, other, remote):
        return self.file(f"{name}.conf", f"proto udp4\nport 1194\nremote {remote}\ndev tun0\ndev-type tun\nifconfig {own} {other}\n"
                                         f"secret {self.folder}/key\ncipher AES-256-CBC\nauth SHA256\nverb 3\n")

    def command(self):
        """As openvpn@.service."""
        self.conf("own", TUNNEL_OWN, TUNNEL_PEER, PEER)
        return ["openvpn", "--daemon", "ovpn-own", "--status", f"{self.folder}/status", "10", "--cd", str(self.folder),
                "--config", f"{self.folder}/own.conf", "--writepid", f"{self.folder}/own.pid", "--log", f"{self.folder}/log"]

    @contextlib.contextmanager
    def running(self):
        run("openvpn", "--genkey", "secret", f"{self.folder}/key")
        conf = self.conf("peer", TUNNEL_PEER, TUNNEL_OWN, self.under.address)
        with self.net.start(self.net.peer.command("openvpn", "--config", conf)) as other, super().running(), \
                self.net.start([PYTHON, "-c", TAKE]) as taker:
            other.says("Initialization Sequence Completed")
            taker.says("ready")
            yield self

    def answers(self):
        pinged = self.ask("ping", "-c", "20", "-i", "0.01", "-W", "20", TUNNEL_OWN)
        return re.search(r"(\d+) received", pinged).group(1), self.ask(PYTHON, "-c", SEND, TUNNEL_OWN)

    def load(self):
        assert self.ask(PYTHON, "-c", SEND, TUNNEL_OWN) == "True\n"
