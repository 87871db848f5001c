// Two hosts in one process, joined by an in-memory hub: no interface, no privileges, no thread.
//
//   two_hosts

#include <errno.h>
#include <fastudp.h>
#include <stdio.h>
#include <string.h>

struct host {
  const char* name;
  fastudp_stack* stack;
  fastudp_socket* socket;
};

static int fail(const char* what, int64_t error, const char* why) {
  fprintf(stderr, "two_hosts: %s: %s\n", what, why[0] ? why : strerror((int)-error));
  return 1;
}

static int open_host(struct host* host, const char* name, const char* uri, uint16_t port) {
  char why[200] = "";
  host->name = name;
  int error = fastudp_stack_open(&host->stack, uri, NULL, why, sizeof why);
  if (error < 0) return fail(uri, error, why);

  error = fastudp_socket_open(host->stack, FASTUDP_IPV4, &host->socket);
  if (error < 0) return fail("socket", error, why);

  fastudp_addr any = {.family = FASTUDP_IPV4, .port = port};
  error = fastudp_socket_bind(host->socket, &any);
  return error < 0 ? fail("bind", error, why) : 0;
}

static void close_host(struct host* host) {
  fastudp_socket_close(host->socket);
  fastudp_stack_close(host->stack);
}

// A host works while it is called: the sender must be polled too, since it asks for the other's MAC address first.
static int64_t receive(struct host* host, struct host* other, char* text, size_t size, fastudp_addr* from) {
  int64_t length;
  do {
    fastudp_stack_poll(other->stack, 0);
    length = fastudp_recvfrom(host->socket, text, size - 1, FASTUDP_DONTWAIT, from);
  } while (length == -EAGAIN);
  if (length >= 0) text[length] = '\0';
  return length;
}

static int tell(struct host* from, struct host* to, const fastudp_addr* address, const char* text, fastudp_addr* seen) {
  int64_t sent = fastudp_sendto(from->socket, text, strlen(text), 0, address);
  if (sent < 0) return fail("send", sent, "");

  char heard[100], sender[32];
  int64_t length = receive(to, from, heard, sizeof heard, seen);
  if (length < 0) return fail("receive", length, "");

  fastudp_addr_format(seen, sender, sizeof sender);
  printf("%s hears from %s: %s\n", to->name, sender, heard);
  return 0;
}

static int talk(struct host* alice, struct host* bob) {
  fastudp_addr address, seen;
  fastudp_addr_parse("10.0.0.2:7", &address);
  int status = tell(alice, bob, &address, "hello, bob", &seen);
  return status ? status : tell(bob, alice, &seen, "hello, alice", &address);
}

int main(void) {
  struct host alice = {0}, bob = {0};
  int status = open_host(&alice, "alice", "mem:lan?address=10.0.0.1/24", 0);
  if (!status) status = open_host(&bob, "bob", "mem:lan?address=10.0.0.2/24", 7);
  if (!status) status = talk(&alice, &bob);
  close_host(&bob);
  close_host(&alice);
  return status;
}
