// Round trips between two hosts.

#include "traffic.h"

#include <string.h>

enum { payload = 100 };

struct traffic {
  fastudp_msg messages[largest_burst];
  char data[largest_burst][payload];
  int burst, calls;
};

// Each step is one call, which must do all of the burst.
static int whole(struct traffic* traffic, int result) {
  ++traffic->calls;
  return result == traffic->burst;
}

static void point_at_data(struct traffic* traffic) {
  for (int i = 0; i < traffic->burst; ++i) {
    traffic->messages[i].data = traffic->data[i];
    traffic->messages[i].size = payload;
  }
}

static int copied(struct traffic* t, struct hosts* hosts, const fastudp_addr* to) {
  const size_t count = (size_t)t->burst;
  point_at_data(t);
  for (size_t i = 0; i < count; ++i) t->messages[i].peer = *to;
  return whole(t, fastudp_send(hosts->client.socket, t->messages, count, FASTUDP_DONTWAIT)) &&
         whole(t, fastudp_recv(hosts->server.socket, t->messages, count, FASTUDP_DONTWAIT)) &&
         whole(t, fastudp_send(hosts->server.socket, t->messages, count, FASTUDP_DONTWAIT)) &&
         whole(t, fastudp_recv(hosts->client.socket, t->messages, count, FASTUDP_DONTWAIT));
}

static int borrowed(struct traffic* t, struct hosts* hosts, const fastudp_addr* to) {
  const size_t count = (size_t)t->burst;
  for (size_t i = 0; i < count; ++i) t->messages[i].size = payload;
  if (!whole(t, fastudp_alloc(hosts->client.socket, t->messages, count))) return 0;
  for (size_t i = 0; i < count; ++i) {
    memset(t->messages[i].data, (int)i, payload);
    t->messages[i].peer = *to;
  }
  return whole(t, fastudp_submit(hosts->client.socket, t->messages, count, FASTUDP_DONTWAIT)) &&
         whole(t, fastudp_borrow(hosts->server.socket, t->messages, count, FASTUDP_DONTWAIT)) &&
         whole(t, fastudp_submit(hosts->server.socket, t->messages, count, FASTUDP_DONTWAIT)) &&
         whole(t, fastudp_borrow(hosts->client.socket, t->messages, count, FASTUDP_DONTWAIT)) &&
         whole(t, fastudp_release(t->messages, count));
}

int round_trips(struct hosts* hosts, int count, int burst, int zero_copy) {
  static struct traffic traffic;
  memset(&traffic, 0, sizeof traffic);
  traffic.burst = burst;
  const fastudp_addr to = server_address();
  for (int done = 0; done < count; done += burst) {
    const int fine = zero_copy ? borrowed(&traffic, hosts, &to) : copied(&traffic, hosts, &to);
    if (!fine) return -1;
  }
  return traffic.calls;
}
