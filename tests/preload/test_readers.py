"""Programs whose reading no call of libc's shows: they get every datagram all the same, and it is said that the kernel
carries them."""

import subprocess

import pytest
from net import HOST, HOST6, until
from private_network import run, udp_sockets
from test_processes import check_service, end
from test_programs import PYTHON

# The socket is made by libc; what comes is read, and answered, past it.
RAW = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
static long raw(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 asm("r10") = d, r8 asm("r8") = e, r9 asm("r9") = f;
  long result;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}
int main(void) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)}, peer;
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(server, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  puts("ready");
  fflush(stdout);
  for (;;) {
    char data[2000];
    socklen_t size = sizeof peer;
    const long got = raw(SYS_recvfrom, server, (long)data, sizeof data, 0, (long)&peer, (long)&size);
    if (got >= 0) raw(SYS_sendto, server, (long)data, got, 0, (long)&peer, size);
  }
}
"""

URING = r"""
#include <arpa/inet.h>
#include <liburing.h>
#include <stdio.h>
#include <sys/socket.h>
static struct io_uring ring;
static int await(void) {
  struct io_uring_cqe* done;
  if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &done) != 0) return -1;
  const int result = done->res;
  io_uring_cqe_seen(&ring, done);
  return result;
}
int main(void) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)}, peer;
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(server, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  if (io_uring_queue_init(8, &ring, 0) != 0) return 2;
  puts("ready");
  fflush(stdout);
  for (;;) {
    char data[2000];
    struct iovec room = {data, sizeof data};
    struct msghdr message = {.msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = &room, .msg_iovlen = 1};
    io_uring_prep_recvmsg(io_uring_get_sqe(&ring), server, &message, 0);
    const int got = await();
    if (got < 0) continue;
    room.iov_len = (size_t)got;
    io_uring_prep_sendmsg(io_uring_get_sqe(&ring), server, &message, 0);
    await();
  }
}
"""

# One request for all datagrams, each in a buffer of a ring.
MULTISHOT = r"""
#include <arpa/inet.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
enum { buffers = 64, room = 2048 };
static struct io_uring ring;
static struct io_uring_buf_ring* given;
static char data[buffers][room];
static void give_buffer(int i) {
  io_uring_buf_ring_add(given, data[i], room, i, io_uring_buf_ring_mask(buffers), 0);
  io_uring_buf_ring_advance(given, 1);
}
int main(void) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)};
  struct msghdr shape = {.msg_namelen = sizeof where};
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(server, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  if (io_uring_queue_init(buffers, &ring, 0) != 0) return 2;
  if (posix_memalign((void**)&given, 4096, buffers * sizeof(struct io_uring_buf)) != 0) return 3;
  struct io_uring_buf_reg wanted = {.ring_addr = (unsigned long)given, .ring_entries = buffers, .bgid = 1};
  if (io_uring_register_buf_ring(&ring, &wanted, 0) != 0) return 4;
  io_uring_buf_ring_init(given);
  for (int i = 0; i < buffers; ++i) give_buffer(i);
  puts("ready");
  fflush(stdout);
  for (int is_asked = 0;;) {
    if (!is_asked) {
      struct io_uring_sqe* request = io_uring_get_sqe(&ring);
      io_uring_prep_recvmsg_multishot(request, server, &shape, 0);
      request->flags |= IOSQE_BUFFER_SELECT;
      request->buf_group = 1;
      is_asked = 1;
    }
    struct io_uring_cqe* done;
    if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &done) != 0) continue;
    is_asked = (done->flags & IORING_CQE_F_MORE) != 0;
    if (done->flags & IORING_CQE_F_BUFFER) {
      const int number = done->flags >> IORING_CQE_BUFFER_SHIFT;
      struct io_uring_recvmsg_out* out = io_uring_recvmsg_validate(data[number], done->res, &shape);
      if (out == NULL) return 5;
      sendto(server, io_uring_recvmsg_payload(out, &shape), io_uring_recvmsg_payload_length(out, done->res, &shape), 0,
             io_uring_recvmsg_name(out), out->namelen);
      give_buffer(number);
    }
    io_uring_cqe_seen(&ring, done);
  }
}
"""

# It waits by io_uring, once for each datagram or once for all, and reads by libc's calls.
POLLS = r"""
#include <arpa/inet.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
int main(void) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)}, peer;
  struct io_uring ring;
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(server, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  if (io_uring_queue_init(8, &ring, 0) != 0) return 2;
  puts("ready");
  fflush(stdout);
  for (int is_asked = 0;;) {
    if (!is_asked) io_uring_prep_poll_MANNER(io_uring_get_sqe(&ring), server, POLLIN);
    struct io_uring_cqe* done;
    if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &done) != 0) continue;
    is_asked = (done->flags & IORING_CQE_F_MORE) != 0;
    io_uring_cqe_seen(&ring, done);
    char data[2000];
    socklen_t size = sizeof peer;
    ssize_t got;
    while ((got = recvfrom(server, data, sizeof data, MSG_DONTWAIT, (struct sockaddr*)&peer, &size)) >= 0)
      sendto(server, data, (size_t)got, 0, (struct sockaddr*)&peer, size);
  }
}
"""


@pytest.mark.parametrize("under", ["kernel", "packet", "packet-filter", "packet-plain", "xdp"], indirect=True)
@pytest.mark.parametrize("source, libraries", [(RAW, []), (URING, ["-luring"]), (MULTISHOT, ["-luring"]),
                                               (POLLS.replace("MANNER", "add"), ["-luring"]),
                                               (POLLS.replace("MANNER", "multishot"), ["-luring"])],
                         ids=["system calls", "io_uring", "many by one request", "polls", "polls by one request"])
def test_a_reader_that_no_call_shows(under, source, libraries):
    text, program = under.net.folder / "reader.c", under.net.folder / "reader"
    text.write_text(source)
    run("cc", "-O1", "-o", str(program), str(text), *libraries)
    with under.start(str(program)) as server:
        server.says("ready")
        check_service(under, losses=0)
        end(server)
    if under.uri is not None:
        assert under.stats()["kernel_by"]["unseen_reader"] > 0


BEGINS_LATE = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
print("ready", flush=True)
sys.stdin.readline()
server.settimeout(20)
print("all", sorted(server.recv(100) for _ in range(200)) == sorted(b"%d" % i for i in range(200)), flush=True)
"""
MANY_AT_ONCE = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); [s.sendto(b'%d' % i, ('HOST', 7000)) for i in range(200)]"


def waits_in_kernel(port):
    return any(waiting != 0 for each, waiting, _ in udp_sockets() if each == port)


@pytest.mark.parametrize("under", ["kernel", "packet", "packet-filter", "packet-plain", "packet-blocks", "xdp", "xdp-generic"], indirect=True)
def test_who_begins_to_read_late_gets_what_came_before(under):
    with under.start(PYTHON, "-c", BEGINS_LATE, stdin=subprocess.PIPE) as server:
        server.says("ready")
        run(*under.net.peer.command(PYTHON, "-c", MANY_AT_ONCE.replace("HOST", HOST)))
        until(lambda: waits_in_kernel(7000), "the first datagram in the kernel's half")
        server.process.stdin.write(b"\n")
        server.process.stdin.flush()
        server.says("all True")
        assert server.process.wait(20) == 0
    if under.uri is not None:
        assert under.stats()["rx"] == {"fast": 0, "kernel": 200}


FIRST_BORN = """
import os, select, socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
print("ready", flush=True)
select.select([server], [], [])
child = os.fork()
if child == 0:
    while True:
        data, peer = server.recvfrom(2000)
        server.sendto(data, peer)
elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
elsewhere.bind(("", 7001))
elsewhere.setblocking(False)
try: elsewhere.recv(10)  # the stack is in use by the parent
except BlockingIOError: pass
os.waitpid(child, 0)
"""


@pytest.mark.parametrize("under", ["kernel", "packet", "packet-filter", "xdp"], indirect=True)
@pytest.mark.parametrize("address", [HOST, HOST6])
def test_a_child_receives_what_came_before_it_was_born(under, address):
    source = FIRST_BORN.replace("AF_INET", "AF_INET6") if address == HOST6 else FIRST_BORN
    with under.start(PYTHON, "-c", source) as server:
        server.says("ready")
        check_service(under, losses=0, address=address)
        end(server)
    if under.name == "packet":
        under.check(50)
