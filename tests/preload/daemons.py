"""What the tests of real programs share: how one is started and followed to its end, what it holds meanwhile, and what the
kernel has seen of its datagrams."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import tempfile
import time

import pytest
from net import PATIENCE, TAPS, Under, need, until, udp_ports
from private_network import kernel_counts, run

# How long each program is under load, in rounds of its own; scripts/soak takes a minute.
LOAD_SECONDS = float(os.environ.get("FASTUDP_LOAD_SECONDS", "1"))
IS_LONG = LOAD_SECONDS >= 10

_expected, _ran = {}, set()


def expect(programs):
    """The programs that this run is about, each with its roles."""
    _expected.update(programs)


def has_run(kind):
    _ran.add(kind)


def summary():
    """How many of them did all that was asked of them; None when the run is about something else."""
    if not _expected:
        return None
    done = [name for name, kinds in _expected.items() if _ran.issuperset(kinds)]
    missing = sorted(set(_expected) - set(done))
    return f"{len(done)} of {len(_expected)} programs ran" + (f"; not: {', '.join(missing)}" if missing else "")


@dataclasses.dataclass
class Footprint:
    """What a program and its children hold."""
    descriptors: int = 0
    memory: int = 0  # bytes that are resident and its own


def family_of(pid):
    """A process and all that descend from it, itself first."""
    children = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rsplit(")", 1)[1].split()
            children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def footprint(pids):
    total = Footprint()
    for pid in pids:
        with contextlib.suppress(OSError):
            total.descriptors += len(os.listdir(f"/proc/{pid}/fd"))
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            total.memory += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))
    return total


class Notices:
    """systemd's end of the socket by which a daemon says that it is ready (sd_notify)."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self._socket.settimeout(PATIENCE)

    def wait_for(self, text):
        while text not in self._socket.recv(4096).decode().splitlines():
            pass

    def close(self):
        self._socket.close()


class Subject:
    """A program under test on one link: a class each says how it is started, and how it is used."""
    programs = ()  # what has to be installed
    ways = ("rx", "tx")  # the directions of which it has datagrams to count
    share = 0.9  # how many of the datagrams that the kernel counted have to be there on a fast link
    options = []  # of fastudp run

    def __init__(self, under, folder):
        self.under, self.net, self.folder = under, under.net, folder
        under.options = self.options
        folder.chmod(0o755)  # many change their user

    @classmethod
    def need(cls):
        for program in cls.programs:
            need(program)
        if int(pathlib.Path("/proc/self/uid_map").read_text().split()[2]) == 1:
            pytest.skip("daemons change their user, and this namespace has only one: run it as root")

    def file(self, name, text=""):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        return str(path)

    def ask(self, *command, **settings):
        """What a client has to say, run by the peer."""
        return run(*self.under.peers(*command), **settings)


class Daemon(Subject):
    """A program that serves. Debian's unit or init script has its command line."""
    ports = ()  # bound: it is ready
    is_notifying = False  # ready when it says so to systemd
    pid_file = None  # it goes into the background
    statuses = (0,)  # on SIGTERM; 143: it doesn't handle it
    memory_more = 1 << 20  # that the second half of the load may cost: caches, and allocators' moods
    bears_load = True  # one client after the other

    def command(self):
        raise NotImplementedError

    def answers(self):
        """What clients are told: the same on every link."""
        raise NotImplementedError

    def load(self):
        """One round of many requests, all of them answered."""
        raise NotImplementedError

    def witness(self):
        """What else has to be true in the end."""

    @contextlib.contextmanager
    def running(self):
        environment, notices = dict(os.environ), None
        if self.is_notifying:
            notices = Notices(self.folder)
            environment["NOTIFY_SOCKET"] = notices.path
        with self.under.start(*self.command(), env=environment, cwd=self.folder) as self.program:
            try:
                self.wait_until_ready(notices)
                yield self
                self.stop()
            finally:
                self.end_what_is_left()
                if notices is not None:
                    notices.close()

    def wait_until_ready(self, notices):
        if notices is not None:
            notices.wait_for("READY=1")
        if self.pid_file:
            until(lambda: self.pid() is not None, f"{self.pid_file}: {self.program.output()}")
        until(lambda: set(self.ports) <= udp_ports(), f"ports {self.ports}: {self.program.output()}")
        self.under.ready()

    def pid(self):
        try:
            return int((self.folder / self.pid_file).read_text())
        except (OSError, ValueError):
            return None

    def family(self):
        """The processes of the program: not those by which we started it."""
        if self.pid_file:
            return family_of(self.pid())
        return family_of(self.program.process.pid)[0 if self.under.uri is None else 1:]

    def stop(self):
        if not self.pid_file:
            ended = self.program.stop()
            assert (ended if ended >= 0 else 128 - ended) in self.statuses, (ended, self.program.output())
            return
        pids = self.family()
        os.kill(pids[0], signal.SIGTERM)
        until(lambda: not any(map(is_alive, pids)), f"the end of {pids}: {self.program.output()}")
        assert self.program.process.wait(PATIENCE) == 0, self.program.output()

    def end_what_is_left(self):
        if self.pid_file and self.pid() is not None:
            for pid in self.family():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def bear_load(self):
        """Nothing that it opened or allocated stays: the first half may warm it up, the second costs nothing."""
        self.load_for(LOAD_SECONDS / 2)
        middle = footprint(self.family())
        self.load_for(LOAD_SECONDS / 2)
        until(lambda: footprint(self.family()).descriptors <= middle.descriptors, f"no more descriptors than {middle}")
        end = footprint(self.family())
        assert end.memory <= middle.memory + self.memory_more, (middle, end)

    def load_for(self, seconds):
        limit = time.monotonic() + seconds
        self.load()
        while time.monotonic() < limit:
            self.load()


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Client(Subject):
    """A program that asks, and ends."""

    @contextlib.contextmanager
    def peer(self):
        """Whom it asks; runs with the peer."""
        raise NotImplementedError

    def answers(self):
        """What it has to say: the same on every link."""
        raise NotImplementedError

    def call(self, *command, **settings):
        return run(*self.under.command(*command), **settings)


@contextlib.contextmanager
def folder_for(kind):
    with tempfile.TemporaryDirectory(prefix=f"fastudp-{kind.__name__}-") as name:
        yield pathlib.Path(name)


@dataclasses.dataclass
class Outcome:
    told: object
    received: int  # by the kernel's own count
    sent: int


def serve(kind, net, link, is_loaded=False):
    under = Under(net, link)
    before = kernel_counts()
    with folder_for(kind) as folder:
        subject = kind(under, folder)
        with subject.running():
            told = subject.answers()
            if is_loaded and kind.bears_load:
                subject.bear_load()
        subject.witness()
    return under, outcome(told, before)


def call(kind, net, link):
    under = Under(net, link)
    with folder_for(kind) as folder:
        subject = kind(under, folder)
        with subject.peer():
            before = kernel_counts()
            told = subject.answers()
    return under, outcome(told, before)


def outcome(told, before):
    after = kernel_counts()
    return Outcome(told, *(after[name] - before[name] for name in ("Udp.InDatagrams", "Udp.OutDatagrams")))


def compare(kind, under, plain, fast):
    """The same answers; as many datagrams at least as the kernel counted for them; and hardly one of them was the kernel's."""
    assert fast.told == plain.told
    for way, there, here in (("rx", plain.received, fast.received), ("tx", plain.sent, fast.sent)):
        if way not in kind.ways:
            continue
        assert there > 0, plain
        stats = under.check(there * kind.share, [way])
        if under.name in TAPS:
            continue  # the clients' own datagrams are counted here as well
        assert here <= 0.05 * (stats[way]["fast"] + stats[way]["kernel"]) + 1, (fast, stats)
