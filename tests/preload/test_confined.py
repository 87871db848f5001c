"""Programs that give up rights before they have a UDP socket: their user, their root directory, their system calls. They keep
the fast path, and stay as confined as they wanted to be."""

import pytest
from net import HOST, PATIENCE
from private_network import run
from test_processes import SERVE, SHARED, check_service, end
from test_programs import ECHO_CLIENT, PYTHON

SIGSYS_STATUSES = (-31, 128 + 31)

BECOMES_NOBODY = SERVE + """
import os, socket
CALL
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
print("ready", flush=True)
serve(server)
"""

CALLS = {
    "setuid": "os.setgid(65534); os.setuid(65534)",
    "seteuid": "os.seteuid(65534)",
    "setreuid": "os.setreuid(65534, 65534)",
    "setresuid": "os.setresuid(65534, 65534, 65534)",
    "chroot": "import encodings.idna; os.mkdir('root'); os.chroot('root'); os.chdir('/')",
}

# Only what it needs itself on the kernel's sockets is allowed, and anything else kills.
CONFINED = r"""
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(number) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void confine(int by_number) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), ALLOW(SYS_socket), ALLOW(SYS_bind),
      ALLOW(SYS_recvfrom), ALLOW(SYS_sendto), ALLOW(SYS_close), ALLOW(SYS_write), ALLOW(SYS_exit_group),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (by_number ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
                : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
    _exit(9);
}

// Each round opens a socket of its own, on the next port.
static void serve(int port) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(server, (struct sockaddr*)&where, sizeof where) != 0) _exit(8);
  char said[] = "ready 7000\n";
  said[9] += port - 7000;
  (void)!write(1, said, sizeof said - 1);
  for (int i = 0; i < 50; ++i) {
    char data[2000];
    socklen_t size = sizeof where;
    const ssize_t got = recvfrom(server, data, sizeof data, 0, (struct sockaddr*)&where, &size);
    if (got < 0 || sendto(server, data, got, 0, (struct sockaddr*)&where, size) != got) _exit(7);
  }
  close(server);
}

int main(int count, char** words) {
  (void)count;
  confine(strcmp(words[1], "seccomp") == 0);
  for (int port = 7000; port < 7003; ++port) serve(port);
  if (strcmp(words[2], "opens") == 0) open("/dev/null", O_RDONLY);
  if (strcmp(words[2], "copies") == 0) fcntl(1, F_DUPFD, 10);
  if (strcmp(words[2], "forks") == 0) fork();
  if (strcmp(words[2], "executes") == 0) mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (strcmp(words[2], "connects") == 0) connect(socket(AF_INET, SOCK_STREAM, 0), NULL, 0);
  _exit(5);
}
"""


@SHARED
@pytest.mark.parametrize("call", CALLS)
def test_gives_up_before_its_first_socket(under, call):
    with under.start(PYTHON, "-c", BECOMES_NOBODY.replace("CALL", CALLS[call]), cwd=under.net.folder) as server:
        server.says("ready")
        check_service(under)
        end(server)
    under.check(50)


@pytest.fixture(scope="module")
def confined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("confined")
    (folder / "confined.c").write_text(CONFINED)
    run("cc", "-O1", "-o", str(folder / "confined"), str(folder / "confined.c"))
    return str(folder / "confined")


@SHARED
@pytest.mark.parametrize("way", ["prctl", "seccomp"])
@pytest.mark.parametrize("then", ["exits", "opens", "copies", "connects", "forks", "executes"])
def test_confines_itself_by_seccomp(under, confined, way, then):
    """What it opens afterwards is fast, and what it forbade stays forbidden."""
    with under.start(confined, way, then) as server:
        for port in (7000, 7001, 7002):
            server.says(f"ready {port}")
            assert run(*under.net.peer.command(PYTHON, "-c", ECHO_CLIENT, HOST, str(port), "50")) == "50\n"
        status = server.process.wait(PATIENCE)
        assert status == 5 if then == "exits" else status in SIGSYS_STATUSES
    under.check(150)
