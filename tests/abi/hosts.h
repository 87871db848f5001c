// What the tests of the C API share: two hosts on an in-memory hub of their own, and addresses as text.
#pragma once

// CMocka wants these before it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fastudp.h>

enum { client_port = 5000, server_port = 7, millisecond = 1000000 };

struct host {
  fastudp_stack* stack;
  fastudp_socket* socket;
};

// 10.0.0.1 and 10.0.0.2, which know each other's MAC address. The client's socket is bound to client_port, the
// server's to server_port; neither is connected.
struct hosts {
  struct host client, server;
  char hub[32];  // "mem:NAME"
};

// Setups and the teardown for CMocka: time that stands still, or the real one.
int open_still_hosts(void** state);
int open_live_hosts(void** state);
int close_hosts(void** state);

#define still_test(name) cmocka_unit_test_setup_teardown(name, open_still_hosts, close_hosts)
#define live_test(name) cmocka_unit_test_setup_teardown(name, open_live_hosts, close_hosts)

// The address that the text says; the text is right.
fastudp_addr at(const char* text);
fastudp_addr client_address(void);
fastudp_addr server_address(void);
void assert_address(const fastudp_addr* address, const char* text);

// A hub name that no other test has, as a URI, with `rest` after it.
const char* fresh_uri(const char* rest);
fastudp_stack* open_stack(const char* uri, int hand_clock);
fastudp_socket* open_socket(fastudp_stack* stack, const char* bound);  // null: unbound
void learn(fastudp_stack* stack, const char* address, fastudp_stack* neighbour);

// Polls until the stack finds nothing more.
void deliver(fastudp_stack* stack);
// Sends from the client to the server, and has it delivered.
void send_text(struct hosts* hosts, const char* text);
// The next datagram at the server is this one.
void expect_text(struct hosts* hosts, const char* text);
void expect_nothing(fastudp_socket* socket);

void set_receive_timeout(fastudp_socket* socket, int64_t nanoseconds);
int64_t monotonic(void);
fastudp_stack_stats stats_of(fastudp_stack* stack);
