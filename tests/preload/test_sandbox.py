"""Programs that give up rights after their start: system calls by seccomp, the file system by chroot, their user, descriptors
that they don't know, and limits on their number that are huge or small."""

import pathlib
import re
import resource

import net as topology
import pytest
from net import BUILD, HOST, PEER, SOURCE, until
from private_network import run
from test_processes import check_service, end
from test_programs import ECHO_CLIENT, PYTHON

SHARED = pytest.mark.parametrize("under", ["kernel", "packet", "packet-filter", "xdp"], indirect=True)

# Answers, after the sandbox of argument 1 has been closed; what a filter forbids kills.
SANDBOXED = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define FORBID(name) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static void forbid(struct sock_filter* all, size_t count, int by_prctl) {
  const struct sock_fprog filter = {(unsigned short)count, all};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL);  // as libseccomp asks what the kernel knows
  syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL);
  const long outcome = by_prctl ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0)
                                : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
  if (outcome != 0) puts(strerrorname_np(errno)), exit(3);
}

static void sandbox(const char* how) {
  struct sock_filter narrow[] = {LOAD(nr),    ALLOW(recvfrom), ALLOW(sendto), ALLOW(epoll_wait), ALLOW(epoll_ctl),
                                 ALLOW(poll), ALLOW(write),    ALLOW(close),  ALLOW(socket),     ALLOW(connect),
                                 ALLOW(rt_sigreturn), ALLOW(exit_group), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  struct sock_filter wide[] = {LOAD(nr), FORBID(execve), FORBID(ptrace), FORBID(mount),
                               BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  if (how[0] == 'n') forbid(narrow, sizeof narrow / sizeof *narrow, 0);
  if (how[0] == 'p') forbid(narrow, sizeof narrow / sizeof *narrow, 1);
  if (how[0] == 'w') forbid(wide, sizeof wide / sizeof *wide, 1);
}

static void answer(int server) {
  char data[2000];
  struct sockaddr_in peer;
  socklen_t size = sizeof peer;
  const ssize_t got = recvfrom(server, data, sizeof data, 0, (struct sockaddr*)&peer, &size);
  if (got >= 0) sendto(server, data, (size_t)got, 0, (struct sockaddr*)&peer, size);
}

int main(int count, char** arguments) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)}, one = where;
  one.sin_port = htons(7001);
  if (count == 3) sandbox(arguments[1]);  // before the first socket
  const int server = socket(AF_INET, SOCK_DGRAM, 0), shot = socket(AF_INET, SOCK_DGRAM, 0), set = epoll_create1(0);
  if (bind(server, (struct sockaddr*)&where, sizeof where) != 0 || bind(shot, (struct sockaddr*)&one, sizeof one) != 0) return 1;
  struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT};
  epoll_ctl(set, EPOLL_CTL_ADD, shot, &e);
  write(1, "ready\n", 6);
  for (int i = 0; i < 10; ++i) answer(server);
  epoll_wait(set, &e, 1, -1), answer(shot);
  sandbox(arguments[1]);
  write(1, "closed\n", 7);
  for (int i = 0; i < 10; ++i) answer(server);
  e.events = EPOLLIN;
  if (epoll_ctl(set, EPOLL_CTL_MOD, shot, &e) != 0) return 2;
  epoll_wait(set, &e, 1, -1), answer(shot);
  const int other = socket(AF_INET, SOCK_DGRAM, 0);
  connect(other, (struct sockaddr*)&where, sizeof where);
  close(other), close(shot);
  struct pollfd p = {server, POLLIN, 0};
  for (int i = 0; i < 10; ++i) poll(&p, 1, -1), answer(server);
  return 0;
}
"""


# Three workers, of which each closes its sandbox, or the parent has: nothing but what serving needs is allowed.
WORKERS = SANDBOXED.split("static void sandbox")[0] + r"""
#include <sys/wait.h>
#define SANDBOX_CALL(name, when, ...) CALL_##when(name)
#define CALL_always(name) ALLOW(name),
#define CALL_opening(name)
static void sandbox(void) {
  struct sock_filter all[] = {LOAD(nr),
#include "sandbox_calls.def"
                              ALLOW(clone), ALLOW(wait4), ALLOW(rt_sigreturn), ALLOW(exit_group), ALLOW(restart_syscall),
                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  forbid(all, sizeof all / sizeof *all, 0);
}
int main(int count, char** arguments) {
  const int is_before = strcmp(arguments[1], "before") == 0, server = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)}, peer;
  if (bind(server, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  if (is_before) sandbox();
  for (int i = 0; i < 3; ++i) {
    if (fork() != 0) continue;
    if (!is_before) sandbox();
    char data[2000];
    recv(server, data, 0, MSG_DONTWAIT | MSG_PEEK);
    write(1, "worker ready\n", 13);
    for (;;) {
      socklen_t size = sizeof peer;
      const ssize_t got = recvfrom(server, data, sizeof data, 0, (struct sockaddr*)&peer, &size);
      if (got == 3 && memcmp(data, "end", 3) == 0) _exit(0);
      sendto(server, data, (size_t)got, 0, (struct sockaddr*)&peer, size);
    }
  }
  int status;
  while (wait(&status) > 0) {
    if (status != 0) return 2;
  }
  return 0;
}
"""
END = ("import socket, sys\nwhile True:\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
       "    s.connect((sys.argv[1], 7000))\n    try:\n        while True: s.send(b'end')\n"
       "    except ConnectionRefusedError: break\n")


def compiled(folder, source, *options):
    text, program = folder / "program.c", folder / "program"
    text.write_text(source)
    run("cc", "-O1", "-w", "-pthread", "-o", str(program), str(text), *options)
    return str(program)


def ask(under, port, count):
    assert run(*under.net.peer.command(PYTHON, "-c", ECHO_CLIENT, HOST, str(port), str(count))) == f"{count}\n"


def run_sandboxed(under, source, how):
    """The program has answered before its sandbox was closed and after; its status, which isn't told without what it said."""
    with under.start(compiled(under.net.folder, source), how) as server:
        server.says("ready")
        ask(under, 7000, 10)
        ask(under, 7001, 1)
        server.says("closed")
        ask(under, 7000, 10)
        ask(under, 7001, 1)
        ask(under, 7000, 10)
        until(lambda: server.process.poll() is not None, "its end")
        print(server.output())
        return server.process.returncode


@SHARED
@pytest.mark.parametrize("how", ["narrow", "prctl, narrow", "wide"])
def test_a_filter_of_system_calls(under, how):
    """What it forbids isn't called; what it leaves alone stays fast. The kernel's sockets are the witness that it can be lived with."""
    assert run_sandboxed(under, SANDBOXED, how) == 0
    if under.uri is not None:
        stats = under.stats()
        most = 60 if how == "wide" else 22
        assert 20 <= stats["rx"]["fast"] + stats["tx"]["fast"] <= most + 8, stats
        assert (stats["kernel_by"]["sandbox"] == 0) == (how == "wide"), stats


@SHARED
@pytest.mark.parametrize("how", ["narrow", "prctl, narrow"])
def test_a_filter_that_the_user_extends(under, how):
    """The fast path's calls pass, so that nothing is left to the kernel; all others are judged by the program's filter."""
    under.options = ["--extend-sandbox"]
    assert run_sandboxed(under, SANDBOXED, how) == 0
    if under.uri is not None:
        stats = under.stats()
        assert stats["rx"]["fast"] + stats["tx"]["fast"] >= 60 and stats["kernel_by"]["sandbox"] == 0, stats


FORBIDDEN = SANDBOXED.replace("  return 0;\n}\n", '  execl("/bin/true", "true", (char*)0);\n  return 0;\n}\n')


@SHARED
def test_a_filter_that_is_extended_forbids_the_rest(under):
    under.options = ["--extend-sandbox"]
    assert run_sandboxed(under, FORBIDDEN, "narrow") in (-31, 128 + 31)  # SIGSYS


@SHARED
@pytest.mark.parametrize("when", ["after", "before"])
def test_workers_in_sandboxes(under, when):
    """Whoever forks first has all that a worker needs by then; after the sandbox is closed workers have the kernel's."""
    program = compiled(under.net.folder, WORKERS, "-I", str(SOURCE / "bindings/preload"))
    with under.start(program, when) as server:
        until(lambda: server.output().count("worker ready") == 3 or server.process.poll() is not None, server.output())
        for _ in range(20):
            ask(under, 7000, 5)
        with under.net.start(under.net.peer.command(PYTHON, "-c", END, HOST)):
            until(lambda: server.process.poll() is not None, "its end")
        assert server.process.returncode == 0, server.output()
    if under.name == "packet" and when == "after":
        assert under.stats()["rx"]["fast"] >= 100, under.stats()


# Marks: fastudp's calls between 1 and 2 are those that opening takes.
PHASES = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static int s;
static char d[2000];
static void mark(int n) { syscall(SYS_getpgid, n); }
static void* waits(void* n) { char mine[100]; recv(s, mine, sizeof mine, 0); return n; }
int main(int count, char** arguments) {
  struct sockaddr_in me = {.sin_family = AF_INET, .sin_port = htons(7000)}, peer = me;
  inet_pton(AF_INET, arguments[1], &peer.sin_addr);
#define SEND() sendto(s, "x", 1, 0, (struct sockaddr*)&peer, sizeof peer)
#define RECV() recv(s, d, sizeof d, 0)
  struct epoll_event e = {.events = EPOLLIN};
  fd_set in;
  const int set = epoll_create1(0);
  mark(1);
  s = socket(AF_INET, SOCK_DGRAM, 0);
  mark(2);
  bind(s, (struct sockaddr*)&me, sizeof me);
  for (int i = 0; i < 40; ++i) SEND(), RECV();
  struct pollfd p = {s, POLLIN, 0};
  FD_ZERO(&in);
  FD_SET(s, &in);
  SEND(), poll(&p, 1, -1), RECV(), SEND(), select(s + 1, &in, 0, 0, 0), RECV();
  epoll_ctl(set, EPOLL_CTL_ADD, s, &e);
  SEND(), epoll_wait(set, &e, 1, -1), RECV();
  pthread_t t[2];
  pthread_create(t, 0, waits, 0), pthread_create(t + 1, 0, waits, 0);
  SEND(), usleep(20000), SEND();
  pthread_join(t[0], 0), pthread_join(t[1], 0);
  connect(s, (struct sockaddr*)&peer, sizeof peer);
  close(s);
  s = socket(AF_INET, SOCK_DGRAM, 0);
  bind(s, (struct sockaddr*)&me, sizeof me);
  SEND(), RECV();
  if (fork() == 0) { recv(s, d, sizeof d, MSG_DONTWAIT); recv(s, d, sizeof d, MSG_DONTWAIT); _exit(0); }
  wait(0);
  recv(s, d, sizeof d, MSG_DONTWAIT);
  close(s);
  mark(3);
  return 0;
}
"""
# What the program itself calls, or its C library for it.
ITS_OWN = {"socket", "bind", "connect", "clone", "wait4", "exit_group", "clock_nanosleep", "brk", "pselect6"}
PEERS_ECHO = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 7000))\nprint('ready', flush=True)\n"
              "while True:\n    data, peer = s.recvfrom(2000)\n    s.sendto(data, peer)\n")


def calls_of(log):
    """The system calls after each mark."""
    phase, out = 0, {0: set(), 1: set(), 2: set(), 3: set()}
    for line in pathlib.Path(log).read_text().splitlines():
        if found := re.match(r"\d+ +(?:<\.\.\. )?(\w+)", line):
            if found[1] == "getpgid" and "(" in line:
                phase = int(re.search(r"getpgid\((\d+)", line)[1])
            out[phase].add(found[1])
    return out


@pytest.mark.parametrize("link", ["packet:near", "packet:near?steer=off", "packet:near?ring=off", "packet:near?ring=v3",
                                  f"packet:near?address={topology.OWN}/24", "xdp:near", f"xdp:near?address={topology.OWN}/24", "host:"])
def test_the_list_of_system_calls_is_complete(net, link):
    listed = dict(re.findall(r"^SANDBOX_CALL\((\w+), (\w+),", (SOURCE / "bindings/preload/sandbox_calls.def").read_text(), re.M))
    always = {name for name, phase in listed.items() if phase == "always"} | ITS_OWN | {"getpgid"}
    log = net.folder / "strace"
    preload = BUILD / "bindings/preload/libfastudp-preload.so"
    with net.start(net.peer.command(PYTHON, "-c", PEERS_ECHO)) as echo:
        echo.says("ready")
        run("strace", "-f", "-o", str(log), "-E", f"LD_PRELOAD={preload}", "-E", f"FASTUDP_LINK={link}",
            compiled(net.folder, PHASES), PEER)
    calls = calls_of(log)
    assert len(calls[2]) > 10
    assert calls[2] - always == set(), "system calls that nobody is told of"
    assert calls[1] - always - set(listed) == set(), "system calls at the opening that nobody is told of"


def test_the_manual_has_the_list():
    listed = re.findall(r"^SANDBOX_CALL\((\w+), (\w+),", (SOURCE / "bindings/preload/sandbox_calls.def").read_text(), re.M)
    page = (SOURCE / "packaging/man/fastudp.1").read_text()
    for phase, words in (("always", "From the first socket on:"), ("opening", "For the first socket alone:")):
        told = re.search(re.escape(words) + r"\n([^.]*)\.\n", page)[1].replace(",", " ").split()
        assert told == [name for name, when in listed if when == phase]


# The first socket is opened with all rights; the one that serves after they are gone, and after everything above 2 was closed.
LESSENED = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <grp.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
static void close_all(const char* how) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  switch (how[0]) {
    case 'f': closefrom(3); break;
    case 'r': close_range(3, ~0u, 0); break;
    case 's': syscall(SYS_close_range, 3, ~0u, 0); break;
    default: for (unsigned long fd = 3; fd < limit.rlim_cur; ++fd) close((int)fd);
  }
}
int main(int count, char** arguments) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)}, peer;
  const int first = socket(AF_INET, SOCK_DGRAM, 0);
  if (chroot(arguments[2]) != 0 || chdir("/") != 0 || setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0) return 1;
  close_all(arguments[1]);
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  if (server != first || bind(server, (struct sockaddr*)&where, sizeof where) != 0) return 2;
  write(1, "ready\n", 6);
  for (;;) {
    char data[2000];
    socklen_t size = sizeof peer;
    const ssize_t got = recvfrom(server, data, sizeof data, 0, (struct sockaddr*)&peer, &size);
    if (got >= 0) sendto(server, data, (size_t)got, 0, (struct sockaddr*)&peer, size);
  }
}
"""


@SHARED
@pytest.mark.parametrize("how", ["from", "range", "system call", "one by one"])
def test_without_files_user_or_descriptors(under, how):
    empty = under.net.folder / "empty"
    empty.mkdir()
    under.net.folder.chmod(0o755)
    with under.start(compiled(under.net.folder, LESSENED), how, str(empty)) as server:
        server.says("ready")
        check_service(under)
        end(server)
    under.check(50)


FILLS = """
import os, resource, socket, sys
all, error = [], 0
try:
    while len(all) < 2000: all.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
except OSError as e: error = e.errno
print("opened", len(all), error, resource.getrlimit(resource.RLIMIT_NOFILE), all[min(len(all), 500) - 1].fileno())
server = all[0]
del all[1:]
server.bind(("", 7000))
memory = {w[0]: int(w[1]) for w in map(str.split, open("/proc/self/status")) if w[0] in ("VmRSS:", "VmPTE:")}
print("memory", memory["VmRSS:"], memory["VmPTE:"])
print("ready", flush=True)
while True:
    data, peer = server.recvfrom(65535)
    server.sendto(data, peer)
"""
MOST = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@pytest.mark.parametrize("under", ["packet", "packet-filter"], indirect=True)
@pytest.mark.parametrize("limits", ["16:16", "16:4096", "1024:4096", f"{MOST}:{MOST}"])
def test_limits_on_descriptors(under, limits):
    """As many sockets as without us, and their numbers (of many, where ours are among them, the first 500); no memory for
    descriptors that there could be."""
    program = ["prlimit", f"--nofile={limits}", PYTHON, "-c", FILLS]
    with under.net.start(program) as plain:
        plain.says("ready")
        expected = re.findall("opened.*", plain.output())
        used = int(re.search("memory ([0-9]+)", plain.output())[1])
    with under.start(*program) as server:
        server.says("ready")
        assert re.findall("opened.*", server.output()) == expected
        rss, page_tables = map(int, re.search("memory ([0-9]+) ([0-9]+)", server.output()).groups())
        assert rss - used < 65_536 and page_tables < 4096, (rss, used, page_tables)
        check_service(under)
        end(server)
    if limits != "16:16":
        under.check(50)
