"""What carries bytes: iperf, socat, ncat, TFTP."""

import contextlib
import hashlib
import json
import pathlib
import random
import re
import shlex
import subprocess

from daemons import Client, Daemon
from net import BLOCKING_ECHO, PEER, until, udp_ports

PYTHON = "/usr/bin/python3"
ECHOES = 300

# Each datagram is answered before the next one is sent.
ECHO_CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(20)
client.connect((sys.argv[1], int(sys.argv[2])))
for i in range(int(sys.argv[3])):
    data = b"%d " % i + b"x" * (i % 1200)
    client.send(data)
    assert client.recv(2000) == data, i
print("all came back")
"""

class EchoServer(Daemon):
    """Made of a tool: one conversation, which begins and ends with it."""
    ports = (7000,)
    from_port = 7001

    def answers(self):
        return self.converse(50)

    def converse(self, count):
        return self.ask(PYTHON, "-c", ECHO_CLIENT.replace("client.connect", f"client.bind(('', {self.from_port})); client.connect"),
                        self.under.address, "7000", str(count))

    def load(self):
        assert self.converse(ECHOES) == "all came back\n"


class EchoClient(Client):
    """Somebody who sends back."""

    @contextlib.contextmanager
    def peer(self):
        with self.net.start(self.net.peer.command(PYTHON, "-c", BLOCKING_ECHO)) as server:
            server.says("ready")
            yield


class SocatListens(EchoServer):
    programs = ("socat",)
    statuses = (143,)

    def command(self):
        return ["socat", "UDP4-LISTEN:7000", "PIPE"]


class SocatAsks(EchoClient):
    programs = ("socat",)

    def answers(self):
        data = "".join(f"{i:99}\n" for i in range(100))
        return self.call("socat", "-b", "100", "-t", "1", "-", f"UDP4:{PEER}:7000", input=data) == data


class NcatListens(EchoServer):
    programs = ("ncat",)
    statuses = (143,)

    def command(self):
        """What it receives is what it sends: a pipe without a name would do, if the shell could make one."""
        return ["sh", "-c", "mkfifo loop; exec ncat -u -l 7000 0<>loop 1>&0"]


class NcatAsks(EchoClient):
    programs = ("ncat",)

    def answers(self):
        with self.under.start("ncat", "-u", PEER, "7000", stdin=subprocess.PIPE) as client:
            for i in range(30):
                client.process.stdin.write(b"line %d\n" % i)
                client.process.stdin.flush()
                client.says(f"line {i}\n")
            client.stop()
            return client.output()


def tcp_ports():
    """Listened to, here."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in pathlib.Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]]
    listening = "0A"
    return {int(fields[1].split(":")[1], 16) for fields in lines if fields[3] == listening}


IPERF3 = ["-u", "-b", "20M", "-l", "1000", "-t", "1"]


def report(text):
    """Whether what was sent came: a machine with other work to do loses some, whoever serves."""
    end = json.loads(text)["end"]["sum"]
    return end["packets"] > 1000 and end["lost_packets"] < end["packets"] / 2


class Iperf3Serves(Daemon):
    programs = ("iperf3",)
    share = 0.5
    ways = ("rx",)
    statuses = (1,)  # its unit says so as well

    def command(self):
        """As iperf3.service."""
        return ["iperf3", "--server", "--interval", "0"]

    def wait_until_ready(self, notices):
        until(lambda: 5201 in tcp_ports(), f"its TCP port: {self.program.output()}")

    def answers(self):
        until(self.has_time_for_a_client, "a server that isn't busy")
        return report(self.said)

    def has_time_for_a_client(self):
        """The client before may be gone earlier than the server has done with it."""
        self.said = self.ask("iperf3", "-4", "-c", self.under.address, *IPERF3, "-J")
        return "the server is busy" not in self.said

    def load(self):
        assert self.answers()


class Iperf3Asks(Client):
    programs = ("iperf3",)
    ways = ("tx",)

    @contextlib.contextmanager
    def peer(self):
        with self.net.start(self.net.peer.command("iperf3", "-s", "-1", "--forceflush")) as server:
            server.says("listening")
            yield

    def answers(self):
        return report(self.call("iperf3", "-4", "-c", PEER, *IPERF3, "-J"))


IPERF2 = ["-u", "-P", "4", "-b", "4M", "-l", "1000", "-n", "300K"]


def flows(text):
    """Of the client's output: what it sent in each of the flows. How much came isn't said every time, and differs where the
    first datagrams of a flow find it not connected yet."""
    return sorted(int(sent) for sent in re.findall(r"Sent (\d+) datagrams", text))


class Iperf2Serves(Daemon):
    """It connects a socket of the same port to each flow."""
    programs = ("iperf",)
    # iperf 2.1.8 falls over its own threads at the end, and at times between two clients, on the kernel's sockets as well.
    statuses = (0, 134, 139)
    share = 0.3
    bears_load = False
    ports = (5001,)
    ways = ("rx",)

    def command(self):
        return ["iperf", "-s", "-u"]

    def answers(self):
        """What it says of each flow differs with the order of their first datagrams, and with what else the machine does, on
        any link: so only that it counted them."""
        before = self.counted()
        sent = flows(self.ask("iperf", "-c", self.under.address, *IPERF2))
        until(lambda: self.counted() > before + 100, f"iperf's reports: {self.program.output()}")
        return sent

    def counted(self):
        reports = re.findall(r"^\[ *\d+\].*?(\d+)/ *(\d+) \(", self.program.output(), re.M)
        return sum(int(total) - int(lost) for lost, total in reports)


class Iperf2Asks(Client):
    programs = ("iperf",)
    share = 0.7  # the last datagram of a flow it repeats until that is answered
    ways = ("tx",)

    @contextlib.contextmanager
    def peer(self):
        with self.net.start(self.net.peer.command("iperf", "-s", "-u")) as server:
            until(lambda: 5001 in udp_ports(server.process.pid), "iperf's port")
            yield

    def answers(self):
        return flows(self.call("iperf", "-c", PEER, *IPERF2))


class Files:
    """Files for TFTP, the same in each run, and their digests."""

    def make_files(self):
        self.served = self.folder / "served"
        self.served.mkdir()
        self.served.chmod(0o777)
        for name, size in (("small", 100), ("even", 512 * 20), ("big", 200_000)):
            path = self.served / name
            path.write_bytes(random.Random(name).randbytes(size))
            path.chmod(0o644)

    def tftpd(self):
        """As /etc/init.d/atftpd."""
        return ["atftpd", "--daemon", "--pidfile", f"{self.folder}/pid", "--port", "69", "--tftpd-timeout", "300",
                "--retry-timeout", "5", "--mcast-port", "1758", "--mcast-addr", "239.239.239.0-255", "--mcast-ttl", "1",
                "--maxthread", "100", "--verbose=5", "--logfile", f"{self.folder}/log", str(self.served)]

    @staticmethod
    def fetch(address, name, copy, *options):
        return ["atftp", *options, "--get", "-r", name, "-l", copy, address, "69"]

    def exchange(self, address):
        """The files come and one goes, by one command; their digests."""
        (self.served / "stored").touch()
        (self.served / "stored").chmod(0o666)
        steps = [self.fetch(address, name, f"{self.folder}/{name}") for name in ("small", "even")]
        steps.append(self.fetch(address, "big", f"{self.folder}/big", "--option", "blksize 1400"))
        steps.append(["atftp", "--put", "-l", f"{self.served}/big", "-r", "stored", address, "69"])
        self.carry_out("sh", "-c", " && ".join(map(shlex.join, steps)))
        whole = (self.served / "big").stat().st_size  # the last block is acknowledged before it is written
        until(lambda: (self.served / "stored").stat().st_size == whole, "the stored file")
        copies = [self.folder / name for name in ("small", "even", "big")] + [self.served / "stored"]
        return [hashlib.sha256(copy.read_bytes()).hexdigest() for copy in copies]

    def carry_out(self, *command):
        raise NotImplementedError


class Atftpd(Files, Daemon):
    programs = ("atftpd", "atftp")
    ports = (69,)
    pid_file = "pid"

    def command(self):
        self.make_files()
        return self.tftpd()

    def carry_out(self, *command):
        self.ask(*command)

    def answers(self):
        return self.exchange(self.under.address)

    def load(self):
        for _ in range(3):
            self.ask(*self.fetch(self.under.address, "big", f"{self.folder}/copy"))
            assert (self.folder / "copy").read_bytes() == (self.served / "big").read_bytes()


class Atftp(Files, Client):
    programs = ("atftpd", "atftp")

    @contextlib.contextmanager
    def peer(self):
        self.make_files()
        command = [each for each in self.tftpd() if each != "--daemon"]
        with self.net.start(self.net.peer.command(*command, "--daemon", "--no-fork")) as server:
            until(lambda: 69 in udp_ports(server.process.pid), "atftpd's port")
            yield

    def carry_out(self, *command):
        self.call(*command)

    def answers(self):
        return self.exchange(PEER)
