"""Allocators that are preloaded as well, before us or after: they call libc's functions while they begin, and while ours
allocate."""

import ctypes.util
import os

import pytest
from net import BUILD, HOST
from private_network import run
from test_programs import ECHO_CLIENT, PYTHON
from test_sandbox import compiled

# Threads that allocate, each with a socket of its own that it opens and closes again and again, and one that all share.
PROGRAM = r"""
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
static int server;
static void* serve(void* nothing) {
  for (unsigned round = 0;; ++round) {
    struct sockaddr_in peer;
    char* data = malloc(2000 + round % 7 * 1000);
    struct iovec parts[] = {{data, 10}, {data + 10, 1990}};
    struct msghdr m = {.msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = parts, .msg_iovlen = 2};
    const ssize_t got = recvmsg(server, &m, 0);
    if (got >= 0) parts[1].iov_len = got > 10 ? (size_t)got - 10 : 0, parts[0].iov_len = got > 10 ? 10 : (size_t)got;
    if (got >= 0) sendmsg(server, &m, 0);
    free(data);
  }
  return nothing;
}
static void* churn(void* nothing) {
  for (;;) {
    void* some = malloc(100000);
    struct pollfd p[40];
    for (int i = 0; i < 40; ++i) p[i] = (struct pollfd){socket(AF_INET, SOCK_DGRAM, 0), POLLIN, 0};
    poll(p, 40, 1);
    for (int i = 0; i < 40; ++i) close(p[i].fd);
    free(some);
  }
  return nothing;
}
int main(void) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7000)};
  pthread_t thread;
  server = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(server, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  for (int i = 0; i < 8; ++i) pthread_create(&thread, NULL, i < 6 ? serve : churn, NULL);
  if (access("/proc/self/maps", R_OK) != 0) return 2;
  if (write(1, "ready\n", 6) != 6) return 3;
  pause();
}
"""


@pytest.mark.parametrize("link", ["packet:near", "packet:near?steer=off"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("name", ["jemalloc", "tcmalloc_minimal"])
def test_another_allocator(net, name, is_before, link):
    allocator = ctypes.util.find_library(name)
    assert allocator, f"{name} is not installed"
    order = [allocator, str(BUILD / "bindings/preload/libfastudp-preload.so")]
    environment = {**os.environ, "LD_PRELOAD": ":".join(order if is_before else order[::-1]), "FASTUDP_LINK": link}
    with net.start([compiled(net.folder, PROGRAM)], env=environment) as server:
        server.says("ready")
        assert allocator in open(f"/proc/{server.process.pid}/maps").read()
        assert run(*net.peer.command(PYTHON, "-c", ECHO_CLIENT, HOST, "7000", "200")) == "200\n"
        server.stop()
