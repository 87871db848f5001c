/* A use of the installed library that compiles as C and as C++: one datagram between two hosts on an in-memory hub. */
#include <fastudp.h>
#include <stdio.h>
#include <string.h>

static int failed(const char* what, int result) {
  fprintf(stderr, "%s: %d\n", what, result);
  return 1;
}

static int open_host(fastudp_stack** stack, fastudp_socket** socket, const char* uri, const char* local) {
  char why[200] = "";
  fastudp_addr addr;
  int result = fastudp_stack_open(stack, uri, NULL, why, sizeof why);
  if (result < 0) return failed(why, result);
  if ((result = fastudp_socket_open(*stack, FASTUDP_IPV4, socket)) < 0) return failed("socket", result);
  if ((result = fastudp_addr_parse(local, &addr)) < 0) return failed("address", result);
  if ((result = fastudp_socket_bind(*socket, &addr)) < 0) return failed("bind", result);
  return 0;
}

static int exchange(fastudp_socket* from, fastudp_stack* near_stack, fastudp_stack* far_stack, fastudp_socket* to) {
  fastudp_addr destination;
  char text[6] = "";
  int64_t result = fastudp_socket_local_addr(to, &destination);
  int turn;
  if (result < 0) return failed("local address", (int)result);
  if ((result = fastudp_sendto(from, "hello", 5, 0, &destination)) != 5) return failed("send", (int)result);
  for (turn = 0; turn < 100; ++turn) {
    fastudp_stack_poll(far_stack, 0);
    fastudp_stack_poll(near_stack, 0);
  }
  result = fastudp_recvfrom(to, text, 5, FASTUDP_DONTWAIT, NULL);
  return result == 5 && strcmp(text, "hello") == 0 ? 0 : failed("receive", (int)result);
}

static int two_hosts(void) {
  fastudp_stack *a, *b;
  fastudp_socket *sa, *sb;
  if (open_host(&a, &sa, "mem:install?address=10.9.0.1/24&announce=off", "10.9.0.1:7000")) return 1;
  if (open_host(&b, &sb, "mem:install?address=10.9.0.2/24&announce=off", "10.9.0.2:7000")) return 1;
  if (exchange(sa, a, b, sb)) return 1;
  if (fastudp_socket_close(sa) || fastudp_socket_close(sb)) return failed("close", 0);
  if (fastudp_stack_close(a) || fastudp_stack_close(b)) return failed("close", 0);
  printf("fastudp %s: a datagram went from host to host\n", fastudp_version());
  return 0;
}
