#pragma once
// Which socket a datagram is for, and who may bind where: Linux's rules for wildcards, connected sockets, SO_REUSEADDR
// and SO_REUSEPORT.

#include <cstdint>

#include "base/memory.h"
#include "base/random.h"
#include "base/result.h"
#include "socket/port_group.h"
#include "stack/flow.h"

namespace fastudp {

class udp_socket;

// A socket's place in the table; the socket owns it, only the table changes it.
struct port_entry {
  endpoint_address local;   // port 0: not in the table
  endpoint_address remote;  // when connected
  bool connected = false;
  bool v6_only = false;  // of a socket at IPv6's any address: not for IPv4
  bool reuse_address = false, reuse_port = false;
  udp_socket* owner = nullptr;
  // Of those that share by SO_REUSEPORT; before it is bound only when it has a program already.
  port_group* group = nullptr;
  std::uint32_t place = 0;  // in the group

  // Whether it is reached at an address of this host.
  bool covers(const ip_address& address) const;

  port_entry* next = nullptr;  // on the same port, same kind; the latest first
  port_entry* previous = nullptr;
  port_entry* next_hashed = nullptr;  // connected ones, by the whole conversation
};

class port_table {
 public:
  static constexpr std::uint16_t first_ephemeral = 32768, last_ephemeral = 60999;

  status open(std::uint64_t secret);

  // Puts the entry in the table at this address. EADDRINUSE by Linux's rules.
  status bind(port_entry& entry, endpoint_address where);
  // The same without a look at the rules: the kernel has applied them.
  void put(port_entry& entry, endpoint_address where);
  // To another place that the kernel has given it, or another peer: it stays in its group.
  void move(port_entry& entry, const endpoint_address& local, const endpoint_address* remote);
  // As bind, on a port that nobody has, picked at random; EADDRINUSE when all are taken.
  status bind_ephemeral(port_entry& entry, ip_address address, random_source& random);
  void unbind(port_entry& entry);

  // Moves a bound entry to where its new local address and remote end belong.
  void connect(port_entry& entry, endpoint_address local, endpoint_address remote);
  void disconnect(port_entry& entry, endpoint_address local);

  // The socket that gets a unicast datagram of this conversation: the connected one, else the one bound to the address,
  // else one bound to any; among several that share the port by SO_REUSEPORT the conversation's hash decides. Or null.
  // Where that group has a program and there is a datagram to run it on, it decides instead.
  port_entry* find(const flow& where, const group_chooser* chooser = nullptr) const;
  // A program that chooses among those that share the entry's address and port. EINVAL: it shares nothing; ENOMEM.
  status set_program(port_entry& entry, packet_filter&& program);
  // EINVAL: it shares nothing; ENOENT: there is no program.
  status clear_program(port_entry& entry);
  // The next after `previous` (null: the first) of all that get a datagram sent to a group.
  port_entry* find_next(const flow& where, const port_entry* previous) const;

 private:
  static constexpr std::size_t ports = 65'536, buckets = 65'536;

  bool conflicts(const port_entry& entry, endpoint_address where) const;
  port_entry* find_connected(const flow& where) const;
  port_entry* find_open(const flow& where, const ip_address& bound_to, const group_chooser* chooser) const;
  port_entry* pick_from_group(const port_entry& first, const flow& where) const;
  port_entry* member_at(const port_entry& first, std::uint32_t place) const;
  port_group* group_at(const port_entry& entry, const endpoint_address& where) const;
  void join_group(port_entry& entry);
  void leave_group(port_entry& entry);
  std::uint64_t hash(const flow& where) const;
  port_entry*& list_of(const port_entry& entry);
  void link(port_entry& entry);
  void unlink(port_entry& entry);

  shared_array<port_entry*> open_;       // by port: unconnected
  shared_array<port_entry*> connected_;  // by port
  shared_array<port_entry*> hashed_;     // connected, by conversation
  std::uint64_t secret_ = 0;
};

}  // namespace fastudp
