"""Processes that fork, pass sockets on, change their user, are interrupted, have many threads, or are killed: never deaf,
never a datagram twice, and nothing left behind."""

import json
import os
import re
import signal
import subprocess

import bpf_objects
import net as topology
import pytest
from net import FASTUDP, HOST, PATIENCE, until
from private_network import run
from test_programs import BLOCKING_ECHO, ECHO_CLIENT, PYTHON

ROUNDS = int(os.environ.get("FASTUDP_KILL_ROUNDS", "50"))

COUNTING_CLIENT = """
import socket, sys
# Each datagram again until it is answered, since a server that is being handed over may lose one; never two answers.
client = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
answers, sent = {}, 0
for i in range(int(sys.argv[3])):
    for attempt in range(20):
        data = b"%d.%d" % (i, attempt)
        client.sendto(data, (sys.argv[1], int(sys.argv[2])))
        sent += 1
        client.settimeout(0.5)
        try:
            heard = client.recvfrom(100)[0]
            answers[heard] = answers.get(heard, 0) + 1
            break
        except TimeoutError:
            pass
    else:
        print("deaf at", i)
        break
client.settimeout(0.2)
try:
    while True:
        heard = client.recvfrom(100)[0]
        answers[heard] = answers.get(heard, 0) + 1
except TimeoutError:
    pass
print("twice" if max(answers.values(), default=0) > 1 else "once", len(answers) >= int(sys.argv[3]), sent - len(answers))
"""

SERVE = """
def serve(server):
    while True:
        data, peer = server.recvfrom(65535)
        server.sendto(data, peer)
"""

DAEMON = SERVE + """
import os, socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
print("ready", flush=True)
serve(server)
"""

PREFORKING = SERVE + """
import os, signal, socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
children = []
for _ in range(4):
    child = os.fork()
    if child == 0: serve(server)
    children.append(child)
def end(*_):
    for child in children: os.kill(child, signal.SIGKILL)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
signal.pause()
"""

# Serves by the socket whose number it is given.
HEIR = """heir = '''
import socket, sys
server = socket.socket(fileno=int(sys.argv[1]))
print("ready", flush=True)
while True:
    data, peer = server.recvfrom(65535)
    server.sendto(data, peer)
'''
"""

EXECS = HEIR + """
import os, socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
os.set_inheritable(server.fileno(), True)
os.execv(sys.executable, [sys.executable, "-c", heir, str(server.fileno())])
"""

# Children that libc makes itself, out of a fork's sight; the socket is inherited under its number.
STARTS = HEIR + """
import ctypes, os, shlex, socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
server.setblocking(False)
try: server.recv(10)  # the stack is in use
except BlockingIOError: pass
server.setblocking(True)
os.set_inheritable(server.fileno(), True)
arguments = [sys.executable, "-c", heir, str(server.fileno())]
command = "exec " + shlex.join(arguments)
libc = ctypes.CDLL(None)
libc.popen.restype, libc.pclose.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
"""
SPAWNS = STARTS + "os.waitpid(os.posix_spawn(arguments[0], arguments, os.environ), 0)\n"
SYSTEM = STARTS + "os.system(command)\n"
POPENS = STARTS + "libc.pclose(libc.popen(command.encode(), b'w'))\n"

# A child that has nothing to do with the socket, which it inherits or doesn't.
BESIDE = SERVE + """
import os, socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
os.set_inheritable(server.fileno(), sys.argv[1] == "inherited")
print("ready", flush=True)
data, peer = server.recvfrom(65535)
server.sendto(data, peer)
assert os.system("true") == 0
serve(server)
"""

PASSES = SERVE + """
import array, os, socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
here, there = socket.socketpair()
child = os.fork()
if child == 0:
    server.close()
    _, fds, _, _ = socket.recv_fds(there, 10, 1)
    print("ready", flush=True)
    serve(socket.socket(fileno=fds[0]))
socket.send_fds(here, [b"x"], [server.fileno()])
server.close()
os.waitpid(child, 0)
"""

CHANGES_USER = SERVE + """
import os, socket
first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
os.setgid(65534)
os.setuid(65534)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
print("ready", flush=True)
serve(server)
"""

THREADS = SERVE + """
import socket, threading
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
for _ in range(16): threading.Thread(target=serve, args=[server], daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""

JUMPS = r"""
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
static sigjmp_buf out;
static void jump(int number) { (void)number; siglongjmp(out, 1); }
int main(void) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)}, peer;
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(server, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  signal(SIGALRM, jump);
  const struct itimerval often = {{0, 20000}, {0, 20000}};
  setitimer(ITIMER_REAL, &often, NULL);
  puts("ready");
  fflush(stdout);
  for (;;) {
    char data[2000];
    if (sigsetjmp(out, 1) != 0) continue;
    socklen_t size = sizeof peer;
    const ssize_t got = recvfrom(server, data, sizeof data, 0, (struct sockaddr*)&peer, &size);
    sigset_t alarm, before;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm, &before);
    if (got >= 0) sendto(server, data, got, 0, (struct sockaddr*)&peer, size);
    sigprocmask(SIG_SETMASK, &before, NULL);
  }
}
"""

SHARED = pytest.mark.parametrize("under", ["kernel", "packet", "packet-filter", "xdp"], indirect=True)


def check_service(under, count=50, losses=9, address=HOST):
    said = run(*under.net.peer.command(PYTHON, "-c", COUNTING_CLIENT, address, "7000", str(count))).split()
    assert said[:2] == ["once", "True"] and int(said[2]) <= losses, said


def end(program):
    """What was left behind gets its signal when it is the only one that is left."""
    until(lambda: program.process.poll() is not None or program.process.send_signal(15), "its end")


@SHARED
@pytest.mark.parametrize("source", [PREFORKING, EXECS, SPAWNS, SYSTEM, POPENS, PASSES, CHANGES_USER, THREADS],
                         ids=["preforking", "exec", "posix_spawn", "system", "popen", "scm_rights", "setuid", "threads"])
def test_life(under, source):
    with under.start(PYTHON, "-c", source) as server:
        server.says("ready")
        check_service(under)
        end(server)


@SHARED
@pytest.mark.parametrize("fate", ["inherited", "closed"])
def test_a_command_beside_a_server(under, fate):
    """Who inherits a socket might read it, so that it is the kernel's then; one that closes on exec stays fast."""
    with under.start(PYTHON, "-c", BESIDE, fate) as server:
        server.says("ready")
        check_service(under, losses=0)
        end(server)
    if under.uri is not None and fate == "inherited":
        assert under.stats()["kernel_by"]["forked"] > 0
    elif under.uri is not None:
        under.check(50)


@pytest.mark.parametrize("under", ["packet", "packet-filter", "xdp", "xdp-generic"], indirect=True)
def test_a_daemon_keeps_the_fast_path(under):
    """fork, setsid, fork: the child takes over what its parents have opened, and `fastudp run` waits for it."""
    with under.start(PYTHON, "-c", DAEMON) as server:
        server.says("ready")
        check_service(under)
        end(server)
    under.check(50)


@pytest.mark.parametrize("under", ["packet", "packet-filter", "xdp", "xdp-generic"], indirect=True)
def test_dnsmasq_as_packaged_goes_into_the_background(under):
    command = ["dnsmasq", "--user=root", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
               f"--pid-file={under.net.folder}/pid", "--host-record=test.lan,1.2.3.4"]
    with under.start(*command) as server:
        until(lambda: (under.net.folder / "pid").exists() and (under.net.folder / "pid").read_text(), "its pid file")
        asked = ["dig", f"@{HOST}", "+short", "+notcp", "+tries=3", "+time=2", *["test.lan"] * 50]
        assert run(*under.net.peer.command(*asked)) == "1.2.3.4\n" * 50
        end(server)
    under.check(50)


@SHARED
def test_a_handler_that_jumps_out_of_a_call(under):
    source, program = under.net.folder / "jumps.c", under.net.folder / "jumps"
    source.write_text(JUMPS)
    run("cc", "-O1", "-o", str(program), str(source))
    with under.start(str(program)) as server:
        server.says("ready")
        check_service(under, 200)
        end(server)


CANCELS = r"""
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
static int server;
static volatile sig_atomic_t is_over;
static void finish(int number) { is_over = number; }
static void* serve(void* polls) {
  for (;;) {
    char data[2000];
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    struct pollfd p = {server, POLLIN, 0};
    if (polls != NULL && poll(&p, 1, -1) != 1) continue;
    const ssize_t got = recvfrom(server, data, sizeof data, polls != NULL ? MSG_DONTWAIT : 0, (struct sockaddr*)&peer, &size);
    if (got >= 0) sendto(server, data, (size_t)got, 0, (struct sockaddr*)&peer, size);
  }
  return NULL;
}
int main(void) {
  const struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)};
  pthread_t threads[8];
  server = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(server, (const struct sockaddr*)&where, sizeof where) != 0) return 1;
  for (int i = 0; i < 8; ++i) pthread_create(&threads[i], NULL, serve, i % 2 ? &server : NULL);
  signal(SIGUSR1, finish);
  puts("ready");
  fflush(stdout);
  for (int round = 0; !is_over; ++round) {
    usleep(2000);
    pthread_cancel(threads[round % 8]);
    pthread_join(threads[round % 8], NULL);
    pthread_create(&threads[round % 8], NULL, serve, round % 2 ? &server : NULL);
  }
  for (int i = 0; i < 8; ++i) pthread_cancel(threads[i]), pthread_join(threads[i], NULL);
  close(server);
  server = socket(AF_INET, SOCK_DGRAM, 0);
  printf("bound again %d\n", bind(server, (const struct sockaddr*)&where, sizeof where));
}
"""


@SHARED
def test_threads_that_are_cancelled_while_they_serve(under):
    """Each may be the one that leads, or hold a datagram that nobody else will answer then. None keeps the socket open."""
    source, program = under.net.folder / "cancels.c", under.net.folder / "cancels"
    source.write_text(CANCELS)
    run("cc", "-O1", "-pthread", "-o", str(program), str(source))
    with under.start(str(program)) as server:
        server.says("ready")
        check_service(under, 300, losses=30)
        server.process.send_signal(signal.SIGUSR1)
        server.says("bound again 0")
        until(lambda: server.process.poll() is not None, "its end")
    if under.name in ("packet", "xdp"):
        under.check(300)


def traces():
    """What a killed program could leave behind at the interface and in the kernel."""
    link = json.loads(run("ip", "-json", "-details", "link", "show", "dev", "near"))[0]
    return {"promiscuity": link["promiscuity"], "xdp": link.get("xdp"), "allmulti": link.get("allmulti"), "flags": sorted(link["flags"]),
            "neighbours": sorted((n["dst"], n.get("lladdr")) for n in json.loads(run("ip", "-json", "neighbour", "show"))),
            "addresses": run("ip", "-brief", "address", "show", "dev", "near"),
            "sockets": len(open("/proc/self/net/packet").read().splitlines()), "xdp sockets": run("ss", "--xdp", "-H").count("\n")}


@pytest.mark.parametrize("link", ["packet:near", "packet:near?steer=off", f"packet:near?address={topology.OWN}/24",
                                  "xdp:near", "xdp:near?mode=generic", f"xdp:near?address={topology.OWN}/24"],
                         ids=["packet", "packet-filter", "packet-own", "xdp", "xdp-generic", "xdp-own"])
def test_killed_under_traffic_it_leaves_nothing(net, link):
    address = topology.OWN if "address" in link else HOST
    before, held = traces(), set()
    flood = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nwhile True:\n    try: s.sendto(b'x', ('%s', 7000))\n"
             "    except OSError: pass\n" % address)
    environment = {**os.environ, "LD_PRELOAD": str(topology.BUILD / "bindings/preload/libfastudp-preload.so"),
                   "FASTUDP_LINK": link}
    with net.start(net.peer.command(PYTHON, "-c", flood)):
        for _ in range(ROUNDS):
            with net.start([PYTHON, "-c", BLOCKING_ECHO], env=environment) as server:
                server.says("ready")
                assert server.output().strip() == "ready", server.output()  # and not that the link couldn't be had
                held |= bpf_objects.held_by(server.process.pid)
                assert "HugetlbPages:\t       0 kB" in open(f"/proc/{server.process.pid}/status").read()
                server.process.kill()
                server.process.wait(PATIENCE)
    assert held
    until(lambda: not bpf_objects.those_left(held), "the end of what was held")
    until(lambda: traces() == before, f"as before: {before}, not {traces()}")


# Other descriptors beside the socket: of the kernel's, and never ready.
OTHERS = """
import ctypes, os, select, socket, struct
held = os.pipe()
others = [held[0], os.eventfd(0), (tcp := socket.create_server(("", 7001))).fileno()]
"""
BY_EPOLL = OTHERS + """
def wait(server, e=select.epoll()):
    for fd in [server.fileno(), *others]:
        try: e.register(fd, select.EPOLLIN)
        except FileExistsError: pass
    e.poll()
"""
BY_PPOLL = OTHERS + """
def wait(server):
    fds = b"".join(struct.pack("iHH", fd, select.POLLIN, 0) for fd in [server.fileno(), *others])
    ctypes.CDLL(None).ppoll(ctypes.create_string_buffer(fds, len(fds)), 4, None, bytes(128))
"""
BY_SELECT = OTHERS + "def wait(server): select.select([server, *others], [], [])\n"
BY_RECV = "def wait(server): pass\n"


@pytest.mark.parametrize("waits", [BY_RECV, BY_SELECT, BY_EPOLL, BY_PPOLL], ids=["recv", "select", "epoll", "ppoll"])
def test_an_idle_program_uses_no_processor_time(net, waits):
    source = waits + BLOCKING_ECHO.replace("    data, peer =", "    wait(server)\n    data, peer =")
    environment = {**os.environ, "LD_PRELOAD": str(topology.BUILD / "bindings/preload/libfastudp-preload.so"),
                   "FASTUDP_LINK": "packet:near"}
    with net.start([PYTHON, "-c", source], env=environment) as server:
        server.says("ready")

        def ticks():
            words = open(f"/proc/{server.process.pid}/stat").read().rsplit(")", 1)[1].split()
            return int(words[11]) + int(words[12])

        start = ticks()
        run("ping", "-c", "20", "-i", "0.1", "-q", topology.PEER)  # two seconds of other traffic
        assert ticks() - start <= 2


POLLS = r"""
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)};
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  char data[100];
  if (bind(server, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  for (int i = 0; i < 100; ++i) recv(server, data, sizeof data, MSG_DONTWAIT);
  syscall(SYS_getppid);
  for (int i = 0; i < 10000; ++i) recv(server, data, sizeof data, MSG_DONTWAIT);
  syscall(SYS_getppid);
  return 0;
}
"""


def test_an_empty_receive_makes_no_system_call(net):
    """Between the two marks; now and then the stack looks at what the host has to tell."""
    source, program = net.folder / "polls.c", net.folder / "polls"
    source.write_text(POLLS)
    run("cc", "-O1", "-o", str(program), str(source))
    log = net.folder / "strace"
    preload = topology.BUILD / "bindings/preload/libfastudp-preload.so"
    run("strace", "-o", str(log), "-E", f"LD_PRELOAD={preload}", "-E", "FASTUDP_LINK=packet:near", str(program))
    lines = log.read_text().splitlines()
    first, last = [i for i, line in enumerate(lines) if line.startswith("getppid")]
    assert last - first < 100, lines[first:first + 20]


def test_wrong_links_and_missing_rights_say_what_to_do(net):
    def fails(*arguments, before=()):
        done = subprocess.run([*before, FASTUDP, "run", *arguments, "--", "true"], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    code, said = fails("--link", "packet:nosuch")
    assert code == 2 and "no interface 'nosuch'" in said and said.count("\n") == 1
    code, said = fails("--link", "packet:near?wrong=1")
    assert code == 2 and "wrong" in said and said.count("\n") == 1
    less = ["capsh", "--drop=cap_net_raw,cap_net_admin,cap_bpf,cap_sys_admin", "--shell=/usr/bin/env", "--"]
    code, said = fails("--link", "packet:near", before=less)
    assert code == 0 and "CAP_NET_RAW" in said and "going on with the kernel's sockets" in said and said.count("\n") == 1
    code, said = fails("--strict", "--link", "packet:near", before=less)
    assert code == 1 and "CAP_NET_RAW" in said and said.count("\n") == 1
    code, said = fails("--link", "auto:near", before=less)
    assert code == 0 and "CAP_NET_RAW" in said and "going on with the kernel's sockets" in said and said.count("\n") == 1
    code, said = fails("--strict", "--link", "auto:near", before=less)
    assert code == 1 and "CAP_NET_RAW" in said


def test_what_is_advised_for_packet_gives_the_right_and_allows_preloading(net):
    done = subprocess.run(["capsh", "--drop=cap_net_raw", "--shell=/usr/bin/env", "--", FASTUDP, "run", "--strict", "--link",
                           "packet:near", "--", "true"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    advised = re.search("'(setpriv .*?)'", done.stderr).group(1).replace("USER", "nobody").split()
    looks = ("import ctypes, os, socket\nassert os.getuid() != 0\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n"
             "at_secure = 23\nassert ctypes.CDLL(None).getauxval(at_secure) == 0\n")
    run(*advised, PYTHON, "-c", looks)


def served_by(net, *command, before=()):
    """What the statistics of an echo say that has answered 50 datagrams under `fastudp run COMMAND`, and what it said."""
    stats = net.folder / "stats.json"
    with net.start([*before, FASTUDP, "run", *command, "--stats", str(stats), "--", PYTHON, "-c", BLOCKING_ECHO]) as server:
        server.says("ready")
        assert run(*net.peer.command(PYTHON, "-c", ECHO_CLIENT, HOST, "7000", "50")) == "50\n"
        said = server.output().replace("ready\n", "")
        server.stop()
    return json.loads(stats.read_text()), said


@pytest.mark.parametrize("link", ["packet:near", "auto:near"])
def test_on_a_kernel_without_tcx_filters_do_it(net, link):
    old_kernel = [PYTHON, str(topology.SOURCE / "tests/support/old_kernel.py")]
    stats, said = served_by(net, "--link", link, before=old_kernel)
    assert stats["link"] == "packet:near" and stats["rx"] == {"fast": 50, "kernel": 0} and said == ""
    assert "no TCX here: Linux 6.6 or newer has it" in stats["reason"]


@pytest.mark.parametrize("rule, name", [
    ("nft add table inet t; nft add chain inet t c '{ type filter hook input priority 0; }'; nft add rule inet t c udp dport 9 drop",
     "nftables: table t, chain c"),
    ("iptables-legacy -A OUTPUT -p udp --dport 9 -j DROP", "iptables: table filter")], ids=["nftables", "iptables"])
def test_a_firewall_keeps_auto_with_the_kernel_until_it_may_be_bypassed(net, rule, name):
    run("sh", "-c", rule)
    try:
        stats, said = served_by(net, "--link", "auto:near")
        assert stats["link"] == "host:" and stats["rx"] == {"fast": 0, "kernel": 50}
        assert name in said and "--bypass-firewall" in said and said.count("\n") == 1
        stats, said = served_by(net, "--link", "auto:near", "--bypass-firewall")
        assert stats["link"] == "packet:near" and stats["rx"] == {"fast": 50, "kernel": 0}
        stats, said = served_by(net, "--link", "packet:near")  # named: that is consent
        assert stats["link"] == "packet:near" and stats["rx"] == {"fast": 50, "kernel": 0}
    finally:
        run("sh", "-c", "nft flush ruleset; iptables-legacy -F")


def test_a_taken_port_is_refused_as_the_kernel_refuses_it(net):
    bind = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 7000))\n"
    with net.start([PYTHON, "-c", BLOCKING_ECHO]) as other:
        other.says("ready")
        done = subprocess.run([FASTUDP, "run", "--link", "packet:near", "--", PYTHON, "-c", bind], capture_output=True, text=True,
                              timeout=60)
    assert done.returncode == 1 and "Address already in use" in done.stderr
