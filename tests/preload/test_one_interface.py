"""One interface, and all that may go on there at once: programs of ours on several links, and the kernel's. Each of them works, and
ends without a trace, beside the others."""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import struct
import subprocess

import pytest
from net import FASTUDP, HOST, HOST6, PATIENCE, PEER, PEER6, SOURCE, need, until
from private_network import ip, run, sysctl
from test_programs import BLOCKING_ECHO, PYTHON
from test_together import ask_once, here

XDP = pytest.mark.parametrize("link", ["xdp:near", "xdp:near?mode=generic"], ids=["native", "generic"])
# What auto: takes on a NIC, and on a cable when it is asked to.
AUTO = "auto:near?mode=copy"

RADVD = """
interface near {
  AdvSendAdvert on;
  MinRtrAdvInterval 3;
  MaxRtrAdvInterval 4;
  prefix 2001:db8:77::/64 { AdvOnLink on; AdvAutonomous on; };
};
"""


def xdp_program():
    """The name and number of what is at the interface's XDP."""
    shown = json.loads(run("ip", "-j", "link", "show", "dev", "near"))[0].get("xdp")
    return shown and (shown["prog"]["name"], shown["prog"]["id"])


def tc_programs():
    """How many are at its tc ingress by TCX, as the kernel says."""
    prog_query, tcx_ingress = 16, 46
    bpf = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    asked = ctypes.create_string_buffer(struct.pack("IIIIQI", ctypes.CDLL(None).if_nametoindex(b"near"), tcx_ingress, 0, 0, 0, 0), 64)
    assert ctypes.CDLL(None).syscall(bpf, prog_query, asked, 64) == 0
    return struct.unpack_from("I", asked, 24)[0]


def check_attached(at_xdp, at_tc):
    """What was killed is gone in a moment."""
    def found():
        return xdp_program() is not None, tc_programs()

    with contextlib.suppress(AssertionError):
        until(lambda: found() == (at_xdp, at_tc), "")
    assert found() == (at_xdp, at_tc)
    assert not at_xdp or xdp_program()[0] == "fastudp_xdp"


def echo(port):
    return [PYTHON, "-c", BLOCKING_ECHO.replace("7000", str(port))]


class Started:
    """An echo under `fastudp run`, with its statistics."""

    def __init__(self, net, link, *command, port=7000, options=(), before=()):
        self.stats_file = net.folder / f"stats-{port}.json"
        self.program = net.start([*before, FASTUDP, "run", "--link", link, "--stats", str(self.stats_file), *options, "--",
                                  *(command or echo(port))])
        if not command:
            until(lambda: "ready\n" in self.program.output() or self.program.process.poll() is not None, self.program.output())
        self.pid = self.program.process.pid

    def said(self):
        return self.program.output().replace("ready\n", "")

    def stats(self):
        """After its end."""
        self.program.stop()
        return json.loads(self.stats_file.read_text())

    def kill(self):
        os.killpg(self.pid, signal.SIGKILL)
        self.program.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.__exit__()


def worker_of(started):
    """What `fastudp run` has started: itself, or a child."""
    children = run("sh", "-c", f"cat /proc/{started.pid}/task/*/children").split()
    return int(children[0]) if children else started.pid


# ---- One program at XDP

@XDP
def test_a_second_program_goes_by_another_link_and_is_told_who_has_xdp(net, link):
    with Started(net, link) as first:
        holder = f"another fastudp program has this interface by XDP already, python3 (process {worker_of(first)}): use packet:"
        attached = xdp_program()
        with Started(net, AUTO, port=7001) as second:
            ask_once(net.peer.command, HOST, 7001, 100, 50)
            assert second.said() == ""
            stats = second.stats()
        assert stats["link"] == "packet:near" and stats["rx"] == {"fast": 50, "kernel": 0}, stats
        assert holder in stats["reason"], stats
        with Started(net, "xdp:near", port=7001) as second:
            ask_once(net.peer.command, HOST, 7001, 100, 50)
            assert holder in second.said() and "going on with the kernel's sockets" in second.said()
            assert second.stats()["rx"] == {"fast": 0, "kernel": 50}
        with Started(net, "xdp:near", port=7001, options=["--strict"]) as second:
            assert second.program.process.wait(PATIENCE) == 1
            assert holder in second.said() and second.said().count("\n") == 1
        assert holder in re.search("^  xdp:near .*$", run(FASTUDP, "doctor", "near"), re.M)[0]
        assert xdp_program() == attached
        ask_once(net.peer.command, HOST, 7000, 100, 50)
        assert first.stats()["rx"] == {"fast": 50, "kernel": 0}


def test_whatever_name_he_has_is_said_as_text(net):
    renames = "import ctypes\nctypes.CDLL(None).prctl(15, b'\\xff\\x1b[1m\"', 0, 0, 0)\n"
    with Started(net, "xdp:near", PYTHON, "-c", renames + BLOCKING_ECHO) as first:
        first.program.says("ready\n")
        with Started(net, AUTO, port=7001) as second:
            assert f'??[1m" (process {worker_of(first)})' in second.stats()["reason"]


def test_keys_that_make_no_sense_are_no_reason_to_take_another_link(net):
    done = subprocess.run([FASTUDP, "run", "--link", "auto:near?mode=fast", "--", "true"], capture_output=True, text=True)
    assert done.returncode == 2 and "mode=fast: write zerocopy, copy or generic" in done.stderr


@XDP
def test_who_was_killed_has_a_successor_at_once(net, link):
    """A queue is busy for a while after its socket was closed."""
    for _ in range(10):
        with Started(net, link) as server:
            server.kill()
    with Started(net, link) as server:
        ask_once(net.peer.command, HOST, 7000, 100, 50)
        assert server.said() == ""
        stats = server.stats()
    assert stats["link"] == "xdp:near" and stats["rx"] == {"fast": 50, "kernel": 0}, stats


def test_a_program_of_others_at_xdp_stays_there(net):
    clang = next(filter(shutil.which, ("clang", "clang-14", "clang-15", "clang-16")), "clang")
    need(clang)
    source, program = net.folder / "pass.c", net.folder / "pass.o"
    source.write_text('__attribute__((section("xdp"))) int passes(void* c) { (void)c; return 2; }\n')
    run(clang, "-target", "bpf", "-O2", "-g", "-c", str(source), "-o", str(program))
    ip(f"link set near xdpdrv obj {program} sec xdp")
    try:
        attached = xdp_program()
        with Started(net, AUTO) as server:
            ask_once(net.peer.command, HOST, 7000, 100, 50)
            stats = server.stats()
        assert stats["link"] == "packet:near" and stats["rx"] == {"fast": 50, "kernel": 0}, stats
        assert f"another XDP program ('passes', id {attached[1]}) is attached" in stats["reason"], stats
        assert xdp_program() == attached
    finally:
        ip("link set near xdpdrv off")


# ---- All at once

class Together:
    """A name server at XDP, two programs by what auto: takes then, and beside them the kernel's: an echo, TCP, a router."""

    def __init__(self, net, link):
        self.net, self._exits = net, contextlib.ExitStack()
        self.names = Started(net, link, "dnsmasq", "-k", "--user=root", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--log-facility=-",
                             "--host-record=test.lan,1.2.3.4", port=53)
        self._exits.enter_context(self.names)
        until(lambda: "started, version" in self.names.said() and xdp_program(), f"the name server at XDP: {self.names.said()}")
        until(self.answers_names, self.names.said())
        self.second, self.third = (self._exits.enter_context(Started(net, AUTO, port=port)) for port in (7001, 7002))
        self.plain, self.tcp, self.router = (self._exits.enter_context(net.start(each)) for each in (
            echo(7003), ["socat", "TCP-LISTEN:7004,fork,reuseaddr", "EXEC:cat"], self.radvd()))
        self.plain.says("ready")
        until(lambda: ":1B5C " in open("/proc/self/net/tcp").read(), "a TCP server")

    def radvd(self):
        sysctl("net/ipv6/conf/all/forwarding", 1)
        (self.net.folder / "radvd.conf").write_text(RADVD)
        return ["radvd", "-n", "-m", "stderr", "-C", str(self.net.folder / "radvd.conf"), "-p", str(self.net.folder / "radvd.pid")]

    def close(self):
        self._exits.close()
        sysctl("net/ipv6/conf/all/forwarding", 0)

    def answers_names(self):
        asked = ["dig", f"@{HOST}", "+short", "+notcp", "+tries=1", "+time=1", "test.lan"]
        return subprocess.run(self.net.peer.command(*asked), capture_output=True, text=True).stdout == "1.2.3.4\n"

    def check_names(self):
        for server in (HOST, HOST6):
            asked = self.net.peer.command("dig", f"@{server}", "+short", "+notcp", "+tries=1", "+time=5", *["test.lan"] * 20)
            assert run(*asked) == "1.2.3.4\n" * 20
        assert run("dig", "@127.0.0.1", "+short", "+notcp", "+tries=1", "+time=5", "test.lan") == "1.2.3.4\n"
        assert run(*self.net.peer.command("dig", f"@{HOST}", "+short", "+tcp", "+tries=1", "test.lan")) == "1.2.3.4\n"

    def check_echo(self, port):
        """By datagrams, by fragments, and from this host."""
        ask_once(self.net.peer.command, HOST, port, 100, 50)
        ask_once(self.net.peer.command, HOST, port, 60000, 5)
        ask_once(here, "127.0.0.1", port, 100, 5)
        ask_once(here, HOST, port, 100, 5)

    def check_tcp(self):
        came = self.net.peer.run("sh", "-c", f"head -c 1000000 /dev/zero | socat -t {PATIENCE} - TCP4:{HOST}:7004 | wc -c")
        assert int(came) == 1_000_000

    def check_router(self):
        """The peer asks for a router anew, and gets an address of its prefix."""
        peer = self.net.peer
        peer.run("sh", "-c", "ip -6 address flush dev far scope global dynamic; echo 1 > /proc/sys/net/ipv6/conf/far/accept_ra")
        until(lambda: "2001:db8:77:" in peer.run("ip", "-6", "address", "show", "dev", "far"), "an address by radvd")

    def check_neighbours(self):
        """From nothing, by ARP and NDP."""
        for command in (here, self.net.peer.command):
            run(*command("ip", "neighbour", "flush", "all"))
        for address in (HOST, HOST6):
            run(*self.net.peer.command("ping", "-c", "3", "-i", "0.05", "-s", "1400", address))
        for address in (PEER, PEER6):
            run("ping", "-c", "3", "-i", "0.05", address)

    def checks(self):
        return {"names": self.check_names, "second": lambda: self.check_echo(7001), "third": lambda: self.check_echo(7002),
                "plain": lambda: self.check_echo(7003), "tcp": self.check_tcp, "router": self.check_router}

    def check_all(self, but=()):
        self.check_neighbours()
        for name, check in self.checks().items():
            if name not in but:
                check()

    def check_attached(self, names=True, others=2):
        """The name server's at XDP, and at tc since it has forked for a TCP client; and each of the others' at tc."""
        check_attached(names, others + names)


@pytest.fixture
def together(net, request):
    for program in ("dnsmasq", "dig", "socat", "radvd"):
        need(program)
    with contextlib.closing(Together(net, request.param)) as made:
        yield made


TOGETHER = pytest.mark.parametrize("together", ["xdp:near", "xdp:near?mode=generic"], ids=["native", "generic"], indirect=True)


@TOGETHER
def test_all_of_them_are_served(together):
    together.check_all()
    together.check_attached()
    for started, link, fast in ((together.names, "xdp:near", 40), (together.second, "packet:near", 50), (together.third, "packet:near", 50)):
        stats = started.stats()
        assert stats["link"] == link and stats["rx"]["fast"] >= 0.9 * fast, json.dumps(stats)
    together.check_attached(names=False, others=0)


@TOGETHER
def test_the_death_of_any_is_no_others_business(together):
    """One after the other, until nothing is left; the one at XDP last but one, and it has a successor."""
    attached = xdp_program()
    together.check_all()
    together.check_attached()
    dead = []
    for name in ("second", "router", "plain", "tcp"):
        victim = getattr(together, name)
        os.killpg(victim.pid if name == "second" else victim.process.pid, signal.SIGKILL)
        dead.append(name)
        victim.__exit__()
        together.check_attached(others=1)
        together.check_all(but=dead)
        assert xdp_program() == attached
    together.names.kill()
    together.check_all(but=[*dead, "names"])
    together.check_attached(names=False, others=1)
    with Started(together.net, "xdp:near", port=7005) as successor:
        together.check_echo(7005)
        together.third.kill()
        check_attached(True, 0)
        together.check_echo(7005)
        assert successor.stats()["rx"]["fast"] >= 90
    together.check_attached(names=False, others=0)
