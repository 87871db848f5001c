"""Two hosts with a cable between them, and programs on either: one namespace for the programs under test, which is this
process's own, and one for their peer. Both are gone with this process."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import private_network
from echo import BLOCKING_ECHO  # for those who import us
from namespaces import PATIENCE, Namespace, need, until  # the latter for those who import us
from private_network import run

BUILD, SOURCE = (pathlib.Path(os.environ[name]) for name in ("FASTUDP_BUILD_DIR", "FASTUDP_SOURCE_DIR"))
FASTUDP = str(BUILD / "cli" / "fastudp")
HOST, PEER, OWN, TAP_OWN, TAP_KERNEL = "10.77.0.1", "10.77.0.2", "10.77.0.9", "10.88.0.2", "10.88.0.1"
HOST6, PEER6 = "fd00:77::1", "fd00:77::2"

# How the programs under test are run: the link, and the address at which they are reached.
LINKS = {
    "kernel": (None, HOST),
    "host": ("host:", HOST),
    "packet": ("packet:near", HOST),
    "packet-filter": ("packet:near?steer=off", HOST),
    "packet-plain": ("packet:near?ring=off", HOST),
    "packet-blocks": ("packet:near?ring=v3", HOST),
    "packet-own": (f"packet:near?address={OWN}/24", OWN),
    "xdp": ("xdp:near", HOST),
    "xdp-generic": ("xdp:near?mode=generic", HOST),
    "xdp-own": (f"xdp:near?address={OWN}/24", OWN),
    "tap": (f"tap:fast0?address={TAP_OWN}/24", TAP_OWN),
}
if (BUILD / "abi" / "fastudp-dpdk.so").exists():
    LINKS["dpdk"] = (f"dpdk:net_tap0,iface=fast0?address={TAP_OWN}/24", TAP_OWN)
# With these the peer is this host's kernel, at the other end of the program's interface.
TAPS = [link for link in ("tap", "dpdk") if link in LINKS]


def udp_ports(namespace="self", table="udp"):
    return {port for port, _, _ in private_network.udp_sockets(namespace, table)}


def link_local_address():
    shown = json.loads(run("ip", "-json", "-6", "address", "show", "dev", "near", "scope", "link"))
    return next(each["local"] for link in shown for each in link.get("addr_info", []) if "local" in each)


class Net:
    """The cable: `near` is here, `far` with the peer."""

    def __init__(self):
        private_network.enter()
        self._exits = contextlib.ExitStack()
        self.folder = pathlib.Path(self._exits.enter_context(tempfile.TemporaryDirectory()))
        self.peer = self._exits.enter_context(contextlib.closing(Namespace()))
        run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(self.peer.pid))
        private_network.sysctl("net/ipv6/conf/near/accept_dad", 0)
        run("ip", "address", "add", f"{HOST}/24", "broadcast", "+", "dev", "near")
        run("ip", "address", "add", f"{HOST6}/64", "dev", "near", "nodad")
        run("ip", "link", "set", "near", "up")
        self.peer.run("ip", "address", "add", f"{PEER}/24", "broadcast", "+", "dev", "far")
        self.peer.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/far/accept_dad")
        self.peer.run("ip", "address", "add", f"{PEER6}/64", "dev", "far", "nodad")
        self.peer.run("ip", "link", "set", "far", "up")
        for command in (["ping", "-c1", "-W1", PEER], ["ping", "-c1", "-W1", PEER6],
                        self.peer.command("ping", "-c1", "-W1", f"{link_local_address()}%far")):
            until(lambda: subprocess.run(command, capture_output=True).returncode == 0, "the cable")

    def close(self):
        self._exits.close()
        subprocess.run(["ip", "link", "delete", "near"], capture_output=True)

    def start(self, command, **settings):
        return Program(command, **settings)


class Program:
    """A program in the background, with what it has written; ended by its process id."""

    def __init__(self, command, **settings):
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True,
                                        **settings)

    def output(self):
        # The program writes at the file's position, which it shares with us: that isn't moved.
        log = self._log.fileno()
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")

    def says(self, text):
        until(lambda: text in self.output() or self.process.poll() is not None, f"{text!r} in {self.output()!r}")
        assert text in self.output(), self.output()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # and whatever it has left in its session
        self.process.wait(PATIENCE)
        self._log.close()


class Under:
    """Programs under test, on one link, and what came of it."""

    def __init__(self, net, link, strict=False):
        self.net, self.name = net, link
        self.uri, self.address = LINKS[link]
        self.stats_file = net.folder / f"stats-{time.monotonic_ns()}.json"
        self.options = ["--strict"] if strict else []  # of fastudp run
        self.peer_address = TAP_KERNEL if link in TAPS else PEER

    def command(self, *command):
        if self.uri is None:
            return list(command)
        return [FASTUDP, "run", "--link", self.uri, "--stats", str(self.stats_file), *self.options, "--", *command]

    def start(self, *command, **settings):
        return Program(self.command(*command), **settings)

    def peers(self, *command):
        """The command as the peer runs it: of a TAP interface the kernel's end is here."""
        return list(command) if self.name in TAPS else self.net.peer.command(*command)

    def ready(self):
        """With a TAP interface there is no peer before the program has made it."""
        if self.name in TAPS:
            until(lambda: subprocess.run(["ip", "link", "show", "fast0"], capture_output=True).returncode == 0, "fast0")
            subprocess.run(["ip", "address", "add", f"{TAP_KERNEL}/24", "dev", "fast0"], capture_output=True)

    def stats(self):
        until(self.stats_file.exists, "the stats file")
        return json.loads(self.stats_file.read_text())

    def check(self, least, direction=("rx", "tx")):
        """So many datagrams at least, and where they went: nearly all the fast way, or none."""
        if self.uri is None:
            return None
        stats = self.stats()
        for way in direction:
            fast, kernel = stats[way]["fast"], stats[way]["kernel"]
            assert fast + kernel >= least, stats
            if self.name == "host":
                assert fast == 0, stats
            else:
                assert fast >= 0.95 * (fast + kernel), stats
        return stats


@contextlib.contextmanager
def network():
    net = Net()
    try:
        yield net
    finally:
        net.close()
