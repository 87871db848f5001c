"""Time, monitoring, cache and logs."""

import contextlib
import os
import re
import shutil
import subprocess

from daemons import Client, Daemon
from net import PEER, until, udp_ports
from private_network import run

PYTHON = "/usr/bin/python3"


class Chrony:
    """Never touches the clock (-x), is confined by seccomp (-F 1), as Debian starts it, and talks to chronyc by a socket of
    its own. Its filter forbids what the fast path needs, unless the user extends it."""
    options = ["--extend-sandbox"]

    def chronyd(self, role, text):
        place = self.folder / role
        place.mkdir()
        shutil.chown(place, "_chrony", "_chrony")
        place.chmod(0o750)
        conf = self.file(f"{role}.conf", f"{text}\npidfile {place}/pid\nbindcmdaddress {place}/socket\ncmdport 0\n")
        return ["chronyd", "-x", "-F", "1", "-f", conf]

    def chronyc(self, role, *command):
        return run(*self.chronyc_command(role, *command))

    def chronyc_command(self, role, *command):
        return ["chronyc", "-h", f"{self.folder}/{role}/socket", "-c", *command]

    def is_told_by(self, role):
        return subprocess.run(self.chronyc_command(role, "tracking"), capture_output=True).returncode == 0


NTP_CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(20)
client.connect((sys.argv[1], 123))
seen = set()
for i in range(int(sys.argv[2])):
    stamp = b"%08d" % i
    client.send(bytes([0x23, 0, 6, 0xec]) + bytes(36) + stamp)
    reply = client.recv(200)
    assert len(reply) == 48 and reply[24:32] == stamp
    seen.add((reply[0], reply[1], reply[12:16]))
print(sorted(seen))
"""


class ChronydServes(Chrony, Daemon):
    programs = ("chronyd", "chronyc")
    ports = (123,)
    pid_file = "server/pid"

    def command(self):
        return self.chronyd("server", "local stratum 8\nallow 10.0.0.0/8\n")

    def wait_until_ready(self, notices):
        super().wait_until_ready(notices)
        until(lambda: self.is_told_by("server"), f"chronyd to listen: {self.program.output()}")

    def answers(self):
        """A one-shot chronyd sees a time that isn't far from its own; another client what is in the datagrams."""
        seen = self.ask("sh", "-c", f"chronyd -Q -x -t 20 'server {self.under.address} iburst' 'pidfile {self.folder}/asked.pid' 2>&1")
        assert abs(float(re.search(r"wrong by (\S+) seconds", seen).group(1))) < 1
        return self.ask(PYTHON, "-c", NTP_CLIENT, self.under.address, "50")

    def load(self):
        self.ask(PYTHON, "-c", NTP_CLIENT, self.under.address, "400")


class ChronydAsks(Chrony, Daemon):
    """As a client it is a daemon, too: a socket for each request, opened when it is confined already."""
    programs = ("chronyd", "chronyc")
    pid_file = "client/pid"

    def command(self):
        return self.chronyd("client", f"server {self.under.peer_address} iburst minpoll -4 maxpoll -4\n")

    @contextlib.contextmanager
    def running(self):
        command = self.net.peer.command(*self.chronyd("server", "local stratum 8\nallow 10.0.0.0/8\n"), "-n")
        with self.net.start(command) as server:
            until(lambda: 123 in udp_ports(server.process.pid), f"the peer's port: {server.output()}")
            with super().running():
                yield self

    def wait_until_ready(self, notices):
        super().wait_until_ready(notices)
        until(lambda: self.is_told_by("client"), f"chronyd to listen: {self.program.output()}")

    def received(self):
        return int(self.ntpdata()[-1])

    def ntpdata(self):
        return self.chronyc("client", "ntpdata").strip().split(",")

    def answers(self):
        until(lambda: self.chronyc("client", "-n", "sources").startswith("^,*"), "a source to be selected")
        until(lambda: self.received() > 20, "answers")
        sources = self.chronyc("client", "-n", "sources").split(",")
        return sources[:4], self.stable(self.ntpdata())

    def stable(self, data):
        """Of chronyc's ntpdata what doesn't change: whom it asks, by which version, mode and stratum, what each test of the
        answers says, and whose the timestamps are."""
        addresses_and_protocol, tests, stamps = slice(0, 9), slice(24, 28), slice(28, 30)
        return data[addresses_and_protocol], data[tests], data[stamps]

    def load(self):
        wanted = self.received() + 15
        until(lambda: self.received() >= wanted, "more answers")


class Snmpd(Daemon):
    programs = ("snmpd", "snmpwalk")
    ports = (161,)
    is_notifying = True

    def command(self):
        """As snmpd.service."""
        os.environ["SNMP_PERSISTENT_DIR"] = str(self.folder)
        self.folder.chmod(0o777)
        conf = self.file("snmpd.conf", "agentaddress udp:161\nrocommunity public\nsysName test\nsysLocation here\n"
                                       "sysContact nobody\nsysServices 72\nsysDescr a test\n")
        return ["snmpd", "-LOw", "-u", "Debian-snmp", "-g", "Debian-snmp", "-I", "-smux,mteTrigger,mteTriggerConf", "-f",
                "-C", "-c", conf]

    def walk(self, *more):
        return self.ask("snmpwalk", "-v2c", "-c", "public", "-On", "-r0", "-t20", *more)

    def answers(self):
        changing = re.compile(r".*Timeticks.*\n")
        return [changing.sub("", self.walk(self.under.address, part)) for part in (".1.3.6.1.2.1.1", ".1.3.6.1.6.3.10.2.1.3")]

    def load(self):
        for _ in range(3):
            assert self.walk(self.under.address, ".1.3.6.1.2.1.1").count("\n") > 20


MEMCACHED_CLIENT = """
import socket, struct, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(20)
client.connect((sys.argv[1], 11211))
def ask(number, text):
    client.send(struct.pack("!HHHH", number, 0, 1, 0) + text)
    parts, total = {}, 1
    while len(parts) < total:
        data = client.recv(2000)
        which, part, total, _ = struct.unpack("!HHHH", data[:8])
        assert which == number
        parts[part] = data[8:]
    return b"".join(parts[i] for i in range(total))
for i in range(int(sys.argv[2])):
    key, value = b"key%d" % (i % 100), (b"%d " % i).ljust(i % 1000 + 10, b"v")
    assert ask(2 * i % 65536, b"set %s 0 0 %d\\r\\n%s\\r\\n" % (key, len(value), value)) == b"STORED\\r\\n"
    assert ask((2 * i + 1) % 65536, b"get %s\\r\\n" % key) == b"VALUE %s 0 %d\\r\\n%s\\r\\nEND\\r\\n" % (key, len(value), value)
print(ask(1, b"get missing\\r\\n"), ask(2, b"nonsense\\r\\n"))
"""


class Memcached(Daemon):
    """Four threads, each with a duplicate of the one socket."""
    programs = ("memcached", "perl")
    ports = (11211,)

    def command(self):
        """As memcached.service, whose wrapper makes the command of the configuration."""
        conf = self.file("conf", f"-m 16\n-p 11211\n-U 11211\n-u memcache\n-l 0.0.0.0\n")
        return ["/usr/share/memcached/scripts/systemd-memcached-wrapper", conf]

    def answers(self):
        return self.ask(PYTHON, "-c", MEMCACHED_CLIENT, self.under.address, "150")

    def load(self):
        self.ask(PYTHON, "-c", MEMCACHED_CLIENT, self.under.address, "300")


class Rsyslogd(Daemon):
    """What it hears it writes down, and passes on to the peer's."""
    programs = ("rsyslogd", "logger")
    ports = (514,)
    is_notifying = True
    sent = 0

    @contextlib.contextmanager
    def running(self):
        for name in ("work", "peer-work"):
            (self.folder / name).mkdir()
        conf = self.conf("peer", f'*.* action(type="omfile" file="{self.folder}/arrived" template="plain")')
        with self.net.start(self.net.peer.command("rsyslogd", "-n", "-iNONE", "-f", conf)) as other:
            until(lambda: 514 in udp_ports(other.process.pid), f"the peer's port: {other.output()}")
            with super().running():
                yield self

    def conf(self, name, rule):
        work = self.folder / f"{name}-work"
        work.mkdir(exist_ok=True)
        return self.file(f"{name}.conf", f"""
global(workDirectory="{work}")
module(load="imudp")
input(type="imudp" port="514")
template(name="plain" type="string" string="%programname%: %msg%\\n")
{rule}
""")

    def command(self):
        """As rsyslog.service."""
        conf = self.conf("own", f'*.* action(type="omfile" file="{self.folder}/written" template="plain")\n'
                                f'*.* action(type="omfwd" target="{PEER}" port="514" protocol="udp")')
        return ["rsyslogd", "-n", "-iNONE", "-f", conf]

    def lines(self, name):
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def log(self, count):
        """logger sends a datagram for each line, without waiting for anything: a burst is what a socket holds."""
        text = "".join(f"message {self.sent + i}\n" for i in range(count))
        self.ask("logger", "-n", self.under.address, "-P", "514", "-d", "-t", "test", input=text)
        self.sent += count
        for name in ("written", "arrived"):
            until(lambda: len(self.lines(name)) >= self.sent, f"{self.sent} lines in {name}, there are {len(self.lines(name))}")

    def answers(self):
        self.log(50)
        return self.lines("written"), self.lines("arrived")

    def load(self):
        for _ in range(5):
            self.log(50)
        assert self.lines("written") == [f"test: message {i}" for i in range(self.sent)]
        assert self.lines("arrived") == [f"test:  message {i}" for i in range(self.sent)]
