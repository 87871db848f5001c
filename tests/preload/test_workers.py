"""Several processes of one program on one port: each of them is fast, a conversation is always one worker's, nothing comes
twice, nothing is lost, and a worker that is killed makes nobody deaf."""

import json
import os
import re
import signal

import pytest
from net import HOST, HOST6, PATIENCE, until
from private_network import kernel_counts, run
from test_programs import PYTHON

WORKERS = 4

# Each answers with its process id. A worker's share is told at the end by who asked.
SERVE = f"""
import os, signal, socket, sys
FAMILY = socket.AF_INET6 if "--v6" in sys.argv else socket.AF_INET
WORKERS = {WORKERS}
def make(shared=False):
    server = socket.socket(FAMILY, socket.SOCK_DGRAM)
    if shared: server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(("", 7000))
    return server
def serve(server):
    try: server.recvfrom(0, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError: pass
    os.write(1, b"worker ready %d\\n" % os.getpid())  # at once: others write there, too
    while True:
        data, peer = server.recvfrom(65535)
        server.sendto(data + b" %d" % os.getpid(), peer)
def drop_rights():
    os.setgid(65534)
    os.setuid(65534)
def end(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    os._exit(0)
def spawn(work):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
    return child
def wait_for_the_end(respawn=None):
    signal.signal(signal.SIGTERM, end)
    while True:
        try: os.wait()
        except ChildProcessError: signal.pause()
        if respawn: spawn(respawn)
"""

ONE_SOCKET = SERVE + """
server = make()
for _ in range(WORKERS): spawn(lambda: serve(server))
wait_for_the_end()
"""

WITHOUT_RIGHTS = SERVE + """
server = make()
drop_rights()
for _ in range(WORKERS): spawn(lambda: serve(server))
wait_for_the_end()
"""

PARENT_SERVES_TOO = SERVE + """
server = make()
for _ in range(WORKERS - 1): spawn(lambda: serve(server))
signal.signal(signal.SIGTERM, end)
serve(server)
"""

OPENED_BY_PARENT = SERVE + """
servers = [make(shared=True) for _ in range(WORKERS)]
for server in servers: spawn(lambda: serve(server))
wait_for_the_end()
"""

GIVEN_AWAY_BY_PARENT = SERVE + """
servers = [make(shared=True) for _ in range(WORKERS)]
def keep(own):
    for each in servers:
        if each is not own: each.close()
    serve(own)
for server in servers: spawn(lambda: keep(server))
for server in servers: server.close()
wait_for_the_end()
"""

OPENED_BY_CHILDREN = SERVE + """
first = socket.socket(FAMILY, socket.SOCK_DGRAM)
for _ in range(WORKERS): spawn(lambda: serve(make(shared=True)))
wait_for_the_end()
"""

OPENED_BY_CHILDREN_WITHOUT_RIGHTS = SERVE + """
first = socket.socket(FAMILY, socket.SOCK_DGRAM)
drop_rights()
for _ in range(WORKERS): spawn(lambda: serve(make(shared=True)))
wait_for_the_end()
"""

SELECTING = ONE_SOCKET.replace("    while True:\n        data, peer = server", "    import select\n    server.setblocking(False)\n"
                               "    poll = select.epoll()\n    poll.register(server)\n    while True:\n        poll.poll()\n"
                               "        try: data, peer = server").replace("server.recvfrom(65535)\n        server.sendto",
                               "server.recvfrom(65535)\n        except BlockingIOError: continue\n        server.sendto")

# The set of descriptors is the parent's, as libevent's and asyncio's may be.
SELECTING_TOGETHER = SELECTING.replace("    poll = select.epoll()\n    poll.register(server)\n", "").replace(
    "for _ in range", "import select\npoll = select.epoll()\npoll.register(server)\nfor _ in range")

RESPAWNING = SERVE + """
server = make()
for _ in range(WORKERS): spawn(lambda: serve(server))
wait_for_the_end(lambda: serve(server))
"""

# Many conversations, each a socket of its own. Every datagram is repeated until it is answered, and no answer may come
# twice; says as JSON which workers each conversation had, and how many datagrams it took.
CLIENT = """
import json, select, socket, sys, time
address, conversations, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pause = float(sys.argv[4]) if len(sys.argv) > 4 else 0
family = socket.AF_INET6 if ":" in address else socket.AF_INET
clients = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(conversations)]
for client in clients: client.connect((address, 7000))
workers, sent, heard = [[] for _ in clients], 0, set()
def hear(client, limit):
    if not select.select([client], [], [], limit)[0]: return None
    data, worker = client.recv(100).rsplit(b" ", 1)
    assert data not in heard, f"twice: {data}"
    heard.add(data)
    return data, int(worker)
for i in range(rounds):
    for number, client in enumerate(clients):
        for attempt in range(20):
            said = b"%d %d %d" % (number, i, attempt)
            sent += 1
            try: client.send(said)
            except ConnectionRefusedError: continue
            found = hear(client, 0.25)
            while found is not None and found[0] != said: found = hear(client, 0.25)  # an earlier one that was late
            if found is not None: break
        else:
            raise SystemExit(f"deaf: {number} at {i}")
        workers[number].append(found[1])
    print("round", i, flush=True)
    if pause: time.sleep(pause)
for client in clients: assert hear(client, 0) is None
print()
print(json.dumps({"workers": workers, "sent": sent}))
"""

SHARED_LINKS = ["packet", "xdp", "xdp-generic"]
SHARED = pytest.mark.parametrize("under", SHARED_LINKS, indirect=True)


def client(under, conversations, rounds, pause=0, address=HOST):
    return under.net.peer.command(PYTHON, "-c", CLIENT, address, str(conversations), str(rounds), str(pause))


class Asked:
    """What a client says of its conversations while the block runs, and what the kernel has seen of them."""

    def __init__(self, under, conversations=40, rounds=10, pause=0, address=HOST):
        self.under, self.rounds, self.conversations = under, rounds, conversations
        self.command = client(under, conversations, rounds, pause, address)

    def __enter__(self):
        self.before = kernel_counts()
        self.program = self.under.net.start(self.command)
        return self

    def says_round(self, number):
        self.program.says(f"round {number}\n")

    def __exit__(self, kind, *_):
        if kind is None:
            assert self.program.process.wait(PATIENCE) == 0, self.program.output()
            said = json.loads(self.program.output().rsplit("\n\n", 1)[1])
            self.workers, self.sent = said["workers"], said["sent"]
            self.by_kernel = kernel_counts()["Udp.InDatagrams"] - self.before["Udp.InDatagrams"]
        self.program.__exit__()

    def check_fast(self, losses=0):
        """Each datagram that the kernel had would be one that the fast path didn't."""
        assert self.sent <= self.conversations * self.rounds + losses, self.sent
        assert self.by_kernel <= 0.05 * self.sent, (self.by_kernel, self.sent)

    def check_spread(self, workers=WORKERS):
        assert all(len(set(each)) == 1 for each in self.workers), self.workers
        assert len({each[0] for each in self.workers}) == workers, self.workers


def wait_for_port():
    """Processes that were killed take their time to end."""
    until(lambda: not re.search(":(1B58|14B4) ", open("/proc/self/net/udp").read() + open("/proc/self/net/udp6").read()),
          "the end of those that had the port 7000 or 5300")


def start(under, source, *arguments, workers=WORKERS):
    wait_for_port()
    program = under.start(PYTHON, "-c", source, *arguments)
    until(lambda: program.output().count("worker ready") >= workers or program.process.poll() is not None, program.output())
    return program


def end(program):
    until(lambda: program.process.poll() is not None or program.process.send_signal(signal.SIGTERM), "its end")


def pids(program):
    return [int(line.split()[2]) for line in program.output().splitlines() if line.startswith("worker ready")]


WAYS = {"one socket": ONE_SOCKET, "without rights": WITHOUT_RIGHTS, "parent too": PARENT_SERVES_TOO, "epoll": SELECTING,
        "one epoll": SELECTING_TOGETHER,
        "reuseport, by parent": OPENED_BY_PARENT, "reuseport, given away": GIVEN_AWAY_BY_PARENT,
        "reuseport, by children": OPENED_BY_CHILDREN, "reuseport, without rights": OPENED_BY_CHILDREN_WITHOUT_RIGHTS}


@pytest.mark.parametrize("under", ["kernel", *SHARED_LINKS, "packet-plain"], indirect=True)
@pytest.mark.parametrize("source", WAYS.values(), ids=WAYS.keys())
def test_workers(under, source):
    is_fast = under.name != "kernel"
    with start(under, source) as server:
        with Asked(under) as asked:
            pass
        if is_fast:
            asked.check_fast()
            asked.check_spread()
        end(server)
    if is_fast:
        under.check(400)


@SHARED
def test_workers_over_ipv6(under):
    with start(under, ONE_SOCKET, "--v6") as server:
        for address in (HOST6, HOST):
            with Asked(under, address=address) as asked:
                pass
            asked.check_spread()
            assert asked.sent == 400
        end(server)
    under.check(800)


@SHARED
def test_more_workers_than_ends_of_the_link(under):
    """What is left to the kernel is counted, and nobody is deaf."""
    with start(under, ONE_SOCKET.replace("range(WORKERS)", "range(12)"), workers=12) as server:
        with Asked(under) as asked:
            pass
        assert asked.sent <= 420
        end(server)
    assert under.stats()["kernel_by"]["forked"] > 0


@SHARED
@pytest.mark.parametrize("source, respawns", [(ONE_SOCKET, False), (RESPAWNING, True), (OPENED_BY_PARENT, False),
                                              (OPENED_BY_CHILDREN, False)],
                         ids=["one socket", "respawned", "reuseport, by parent", "reuseport, by children"])
def test_a_worker_is_killed(under, source, respawns):
    """The client goes on: who had the dead one has another, and nobody else has."""
    with start(under, source) as server:
        with Asked(under, rounds=30, pause=0.02) as asked:
            asked.says_round(9)
            victim = pids(server)[1]
            os.kill(victim, signal.SIGKILL)
        asked.check_fast(losses=2 * 40)
        for each in asked.workers:
            # One that is new takes a share of what the others have.
            assert len(set(each)) <= 1 + (each[0] == victim) + respawns, each
        assert not any(victim in each[12:] for each in asked.workers)
        end(server)


@SHARED
def test_workers_are_killed_again_and_again(under):
    """What a dead worker had of the link is given to its successor."""
    with start(under, RESPAWNING) as server:
        for round_ in range(12):
            victim = pids(server)[-1]
            os.kill(victim, signal.SIGKILL)
            until(lambda: len(pids(server)) == WORKERS + 1 + round_, server.output())
        with Asked(under) as asked:
            pass
        asked.check_fast()
        asked.check_spread()
        end(server)


@SHARED
def test_workers_are_killed_until_one_is_left(under):
    """Whichever of them had the link's first end, the last has all that comes."""
    with start(under, PARENT_SERVES_TOO) as server:
        workers = pids(server)
        with Asked(under, rounds=40, pause=0.02) as asked:
            for round_, victim in zip((4, 14, 24), workers):
                asked.says_round(round_)
                os.kill(victim, signal.SIGKILL)
        asked.check_fast(losses=3 * 40)
        assert {each[-1] for each in asked.workers} == {workers[-1]}, asked.workers
        os.kill(workers[-1], signal.SIGKILL)


@SHARED
def test_the_parent_is_killed_and_its_workers_go_on(under):
    with start(under, ONE_SOCKET) as server:
        parent = int(open(f"/proc/{pids(server)[0]}/stat").read().rsplit(")", 1)[1].split()[1])
        with Asked(under, rounds=30, pause=0.02) as asked:
            asked.says_round(9)
            os.kill(parent, signal.SIGKILL)
        asked.check_fast(losses=40)
        asked.check_spread()
        for pid in pids(server):
            os.kill(pid, signal.SIGTERM)


@SHARED
def test_of_workers_that_are_all_killed_nothing_is_left(under):
    """No packet socket; and whoever has the port next, without us, gets what comes for it."""
    for _ in range(3):
        with start(under, ONE_SOCKET) as server, under.net.start(client(under, 40, 100)) as asked:
            asked.says("round 1\n")
            os.killpg(server.process.pid, signal.SIGKILL)
    until(lambda: len(open("/proc/self/net/packet").readlines()) == 1, "an end of all packet sockets")
    wait_for_port()
    with under.net.start([PYTHON, "-c", ONE_SOCKET]) as plain:
        plain.says("worker ready")
        with Asked(under) as asked:
            pass
        assert asked.by_kernel == asked.sent == 400
        end(plain)


REPLACES_ITSELF = SERVE + """
server = make()
def replace():
    import select
    select.select([server], [], [])
    os.execv(sys.executable, [sys.executable, "-c", "print('replaced', flush=True); import time; time.sleep(1000)"])
for _ in range(WORKERS - 1): spawn(lambda: serve(server))
print("to be replaced is", spawn(replace), flush=True)
wait_for_the_end()
"""


@SHARED
def test_a_worker_that_execs_leaves_its_share_to_the_others(under):
    with start(under, REPLACES_ITSELF, workers=WORKERS - 1) as server:
        with Asked(under, rounds=20) as asked:
            pass
        server.says("replaced")
        assert asked.sent <= 20 * 40 + 40
        asked.check_fast(losses=40)
        end(server)


# Who opened the link, and has looked at the socket, is another program from then on.
PARENT_REPLACES_ITSELF = SERVE + """
server = make()
def look():
    try: server.recvfrom(0, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError: pass
look()
for _ in range(WORKERS): spawn(lambda: serve(server))
if "--looks" in sys.argv: look()
os.execv("/bin/sleep", ["sleep", "1000"])
"""


@SHARED
@pytest.mark.parametrize("options", [[], ["--looks"]], ids=["before", "again"])
def test_a_parent_that_execs_leaves_all_to_its_workers(under, options):
    with start(under, PARENT_REPLACES_ITSELF, *options) as server:
        with Asked(under) as asked:
            pass
        asked.check_fast(losses=40)
        asked.check_spread()
        os.killpg(server.process.pid, signal.SIGTERM)


# The parent receives, and each answer is a child's that never receives.
CHILD_FOR_EACH = SERVE + """
import socketserver
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        data, server = self.request
        server.sendto(data + b" %d" % os.getppid(), self.client_address)
signal.signal(signal.SIGTERM, end)
with socketserver.ForkingUDPServer(("", 7000), Answer) as server:
    os.write(1, b"worker ready %d\\n" % os.getpid())
    server.serve_forever()
"""


@SHARED
def test_a_child_for_each_datagram(under):
    with start(under, CHILD_FOR_EACH, workers=1) as server:
        with Asked(under) as asked:
            pass
        asked.check_fast()
        asked.check_spread(workers=1)
        end(server)
    under.check(400, ["rx"])


# As socat and inetd do: the child receives, the parent waits for it.
CHILD_RECEIVES_EACH = SERVE + """
import select
server = make()
signal.signal(signal.SIGTERM, end)
os.write(1, b"worker ready %d\\n" % os.getpid())
while True:
    select.select([server], [], [])
    child = os.fork()
    if child == 0:
        data, peer = server.recvfrom(65535)
        server.sendto(data + b" %d" % os.getppid(), peer)
        os._exit(0)
    os.waitpid(child, 0)
"""


@SHARED
def test_a_child_receives_each_datagram(under):
    """After a few the kernel has all: a stack that is made anew for each would take longer than that."""
    with start(under, CHILD_RECEIVES_EACH, workers=1) as server:
        with Asked(under, conversations=10) as asked:
            pass
        assert asked.sent <= 110
        assert asked.by_kernel >= 80
        end(server)
    assert under.stats()["kernel_by"]["forked"] > 0


NSD_CONFIGURATION = """
server:
  server-count: 2
  reuseport: {reuseport}
  ip-address: {host}
  port: 5300
  username: nobody
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/nsd.pid"
  logfile: "{folder}/nsd.log"
  xfrdfile: "{folder}/xfrd"
  zonelistfile: "{folder}/zones"
  cookie-secret-file: ""
remote-control:
  control-enable: no
zone:
  name: test.
  zonefile: test.zone
"""

ZONE = ("@ 3600 IN SOA ns.test. admin.test. 1 3600 900 604800 3600\n@ IN NS ns.test.\nns IN A 10.77.0.1\n"
        + "".join(f"host{i} IN A 10.1.0.{i}\n" for i in range(100)))


@SHARED
@pytest.mark.parametrize("reuseport", ["no", "yes"])
def test_nsd(under, reuseport):
    """Opens its sockets as root, becomes nobody, then forks its servers."""
    folder = under.net.folder
    folder.chmod(0o777)
    (folder / "nsd.conf").write_text(NSD_CONFIGURATION.format(reuseport=reuseport, host=HOST, folder=folder))
    (folder / "test.zone").write_text(ZONE)
    queries = folder / "queries"
    queries.write_text("".join(f"host{i}.test A\n" for i in range(100)))
    wait_for_port()
    with under.start("nsd", "-d", "-c", str(folder / "nsd.conf")) as server:
        asked = ["dig", f"@{HOST}", "-p", "5300", "+short", "+tries=20", "+time=1", "host7.test"]
        until(lambda: run(*under.net.peer.command(*asked)) == "10.1.0.7\n", server.output())
        before = kernel_counts()
        said = run(*under.net.peer.command("dnsperf", "-s", HOST, "-p", "5300", "-d", str(queries), "-n", "50", "-c", "40", "-q",
                                           "40", "-t", "2"))
        after = kernel_counts()
        assert "Queries completed:    5000 (100.00%)" in said, said
        assert "NOERROR 5000" in said, said
        assert after["Udp.InDatagrams"] - before["Udp.InDatagrams"] <= 250
        end(server)
    under.check(5000)
