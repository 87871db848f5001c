"""Name servers, and who asks them."""

import contextlib
import re

from daemons import Client, Daemon
from net import PEER

NAMES = 500


class NameServer(Daemon):
    """All of them know n0.test.lan, n1.test.lan and so on, and nothing else."""
    programs = ("dig", "dnsperf")
    ports = (53,)

    def answers(self):
        asked = [["n7.test.lan"], ["n8.test.lan", "TXT"], ["missing.test.lan"], ["-x", "10.1.0.9"], ["n9.test.lan", "+bufsize=512"]]
        return [facts_of(self.ask(*dig(self.under.address), *each)) for each in asked]

    def load(self):
        queries = self.file("queries", "".join(f"n{i}.test.lan A\n" for i in range(NAMES)))
        assert completed(self.ask(*dnsperf(self.under.address, queries))) == (NAMES, {"NOERROR": NAMES})


def dig(address):
    return ["dig", f"@{address}", "+notcp", "+tries=1", "+time=5", "+nocookie", "+noedns"]


def facts_of(text):
    """What dig was told: status, flags and records, in order, without times and ids."""
    status = re.search(r"status: (\w+)", text).group(1)
    flags = re.search(r"flags: ([\w ]*)", text).group(1)
    return status, flags, sorted(line for line in text.splitlines() if line and not line.startswith(";"))


def dnsperf(address, queries, *more):
    return ["dnsperf", "-s", address, "-d", queries, "-n", "1", "-c", "2", "-q", "50", *more]


def completed(text):
    number = int(re.search(r"Queries completed:\s+(\d+)", text).group(1))
    codes = re.search(r"Response codes:\s+(.*)", text).group(1)
    return number, {code: int(count) for code, count in re.findall(r"(\w+) (\d+)", codes)}


def records(form):
    return "".join(form.format(i=i, low=i % 250, high=i // 250) for i in range(NAMES))


class Dnsmasq(NameServer):
    programs = ("dnsmasq", *NameServer.programs)
    pid_file = "dnsmasq.pid"

    def command(self):
        """As /etc/init.d/dnsmasq."""
        self.file("conf", "no-resolv\nno-hosts\n" + records("host-record=n{i}.test.lan,10.1.{high}.{low}\n") +
                  "txt-record=n8.test.lan,hello\nlocal=/test.lan/\n")
        more = self.folder / "more"
        more.mkdir()
        return ["dnsmasq", "-x", f"{self.folder}/{self.pid_file}", "-u", "dnsmasq", "-C", f"{self.folder}/conf",
                "-7", f"{more},.dpkg-dist,.dpkg-old,.dpkg-new", "--local-service"]


class Unbound(NameServer):
    programs = ("unbound", *NameServer.programs)
    is_notifying = True

    def command(self):
        data = records('local-data: "n{i}.test.lan. A 10.1.{high}.{low}"\nlocal-data-ptr: "10.1.{high}.{low} n{i}.test.lan"\n')
        conf = self.file("conf", f"""
server:
  interface: 0.0.0.0
  access-control: 10.0.0.0/8 allow
  num-threads: 2
  chroot: ""
  directory: "{self.folder}"
  pidfile: "{self.folder}/pid"
  use-syslog: no
  local-zone: "test.lan." static
  local-zone: "1.10.in-addr.arpa." static
  local-data: 'n8.test.lan. TXT "hello"'
{data}
remote-control:
  control-enable: no
""")
        return ["unbound", "-d", "-p", "-c", conf]


class Nsd(NameServer):
    programs = ("nsd", *NameServer.programs)
    is_notifying = True
    servers = "server-count: 1"

    def command(self):
        self.file("zone", "$ORIGIN test.lan.\n@ 60 SOA n0 n0 1 60 60 60 60\n@ 60 NS n0\nn8 60 TXT hello\n" +
                  records("n{i} 60 A 10.1.{high}.{low}\n"))
        conf = self.file("conf", f"""
server:
  {self.servers}
  ip-address: {self.under.address}
  username: nsd
  pidfile: ""
  zonesdir: "{self.folder}"
  zonelistfile: "{self.folder}/zones.list"
  xfrdfile: "{self.folder}/xfrd.state"
  xfrdir: "{self.folder}"
  logfile: "{self.folder}/log"
remote-control:
  control-enable: no
zone:
  name: "test.lan"
  zonefile: "zone"
""")
        self.folder.chmod(0o777)
        return ["nsd", "-d", "-P", "", "-c", conf]


class NsdWithTwoServers(Nsd):
    servers = "server-count: 2\n  reuseport: yes"


class Resolved(Client):
    """Somebody to ask: dnsmasq at the peer's."""

    @contextlib.contextmanager
    def peer(self):
        conf = self.file("conf", "no-resolv\nno-hosts\n" + records("host-record=n{i}.test.lan,10.1.{high}.{low}\n") +
                         "txt-record=n8.test.lan,hello\nlocal=/test.lan/\n")
        with self.net.start(self.net.peer.command("dnsmasq", "-k", "-x", "", "-u", "root", "-C", conf, "--log-facility=-")) as server:
            server.says("started")
            yield


class Dig(Resolved):
    programs = ("dnsmasq", "dig")

    def answers(self):
        names = [f"n{i}.test.lan" for i in range(NAMES // 2)]
        return self.call(*dig(PEER), "+short", *names)


class Dnsperf(Resolved):
    programs = ("dnsmasq", "dnsperf")

    def answers(self):
        queries = self.file("queries", "".join(f"n{i}.test.lan A\n" for i in range(NAMES)))
        return completed(self.call(*dnsperf(PEER, queries, "-T", "2")))
