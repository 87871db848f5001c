#include "socket/port_table.h"

#include <cerrno>

namespace fastudp {
namespace {

// Whether who is bound to `own` is reached at `address`. IPv6's any address stands for IPv4's as well, unless told not
// to.
bool covers(const ip_address& own, bool v6_only, const ip_address& address) {
  if (own == address) return true;
  if (!own.is_any()) return false;
  return own.is_v4() ? address.is_v4() : !(v6_only && address.is_v4());
}

bool overlap(const port_entry& a, const port_entry& b, const ip_address& b_address) {
  return covers(a.local.address, a.v6_only, b_address) || covers(b_address, b.v6_only, a.local.address);
}

bool accepts(const port_entry& entry, const flow& where) {
  if (!covers(entry.local.address, entry.v6_only, where.local.address)) return false;
  return !entry.connected || entry.remote == where.remote;
}

}  // namespace

bool port_entry::covers(const ip_address& address) const { return fastudp::covers(local.address, v6_only, address); }

status port_table::open(std::uint64_t secret) {
  secret_ = secret;
  for (auto [table, size] : {std::pair{&open_, ports}, {&connected_, ports}, {&hashed_, buckets}}) {
    auto made = shared_array<port_entry*>::map(size);
    if (!made) return made.failure();
    *table = std::move(*made);
  }
  return {};
}

bool port_table::conflicts(const port_entry& entry, endpoint_address where) const {
  for (const auto* table : {&open_, &connected_}) {
    for (const port_entry* other = (*table)[where.port]; other != nullptr; other = other->next) {
      if (other == &entry || !overlap(*other, entry, where.address)) continue;
      if (other->reuse_address && entry.reuse_address) continue;
      if (other->reuse_port && entry.reuse_port) continue;
      return true;
    }
  }
  return false;
}

status port_table::bind(port_entry& entry, endpoint_address where) {
  if (conflicts(entry, where)) return error{EADDRINUSE};
  put(entry, where);
  return {};
}

void port_table::put(port_entry& entry, endpoint_address where) {
  entry.local = where;
  link(entry);
}

status port_table::bind_ephemeral(port_entry& entry, ip_address address, random_source& random) {
  constexpr std::uint32_t count = last_ephemeral - first_ephemeral + 1;
  const std::uint32_t start = random.below(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto port = static_cast<std::uint16_t>(first_ephemeral + (start + i) % count);
    if (open_[port] != nullptr || connected_[port] != nullptr) continue;
    return bind(entry, {address, port});
  }
  return error{EADDRINUSE};
}

void port_table::unbind(port_entry& entry) {
  if (entry.local.port != 0) unlink(entry);
  entry.local = {.address = ip_address::any(entry.local.address.family())};
  entry.remote = {};
  entry.connected = false;
}

void port_table::connect(port_entry& entry, endpoint_address local, endpoint_address remote) {
  unlink(entry);
  entry.local = local;
  entry.remote = remote;
  entry.connected = true;
  link(entry);
}

void port_table::disconnect(port_entry& entry, endpoint_address local) {
  unlink(entry);
  entry.local = local;
  entry.remote = {};
  entry.connected = false;
  if (local.port != 0) link(entry);
}

std::uint64_t port_table::hash(const flow& where) const {
  const std::uint64_t ports_of_both = std::uint64_t{where.local.port} << 16 | where.remote.port;
  return mix(where.remote.address, mix(where.local.address, mix(ports_of_both, secret_)));
}

port_entry* port_table::find(const flow& where) const {
  if (connected_[where.local.port] != nullptr) {
    if (port_entry* found = find_connected(where)) return found;
  }
  if (open_[where.local.port] == nullptr) return nullptr;
  if (port_entry* found = find_open(where, where.local.address)) return found;
  const bool is_v4 = where.local.address.is_v4();
  if (port_entry* found = is_v4 ? find_open(where, ip_address::any(ip_family::v4)) : nullptr) return found;
  return find_open(where, ip_address::any(ip_family::v6));
}

port_entry* port_table::find_connected(const flow& where) const {
  port_entry* entry = hashed_[hash(where) % buckets];
  while (entry != nullptr && !(entry->local == where.local && entry->remote == where.remote))
    entry = entry->next_hashed;
  return entry;
}

port_entry* port_table::find_open(const flow& where, const ip_address& bound_to) const {
  for (port_entry* entry = open_[where.local.port]; entry != nullptr; entry = entry->next) {
    if (entry->local.address == bound_to && accepts(*entry, where))
      return entry->reuse_port ? pick_from_group(*entry, where) : entry;
  }
  return nullptr;
}

port_entry* port_table::pick_from_group(const port_entry& first, const flow& where) const {
  const auto is_member = [&](const port_entry& entry) {
    return entry.reuse_port && entry.local.address == first.local.address;
  };
  std::uint64_t members = 1;
  for (port_entry* entry = open_[first.local.port]; entry != nullptr; entry = entry->next) {
    members += entry != &first && is_member(*entry);
  }
  std::uint64_t nth = hash(where) % members;
  port_entry* entry = open_[first.local.port];
  while (!is_member(*entry) || nth-- != 0) entry = entry->next;
  return entry;
}

port_entry* port_table::find_next(const flow& where, const port_entry* previous) const {
  const bool in_connected = previous != nullptr && previous->connected;
  port_entry* entry = previous != nullptr ? previous->next : open_[where.local.port];
  if (!in_connected) {
    while (entry != nullptr && !accepts(*entry, where)) entry = entry->next;
    if (entry != nullptr) return entry;
    entry = connected_[where.local.port];
  }
  while (entry != nullptr && !accepts(*entry, where)) entry = entry->next;
  return entry;
}

port_entry*& port_table::list_of(const port_entry& entry) {
  return (entry.connected ? connected_ : open_)[entry.local.port];
}

void port_table::link(port_entry& entry) {
  port_entry*& head = list_of(entry);
  entry.previous = nullptr;
  entry.next = head;
  if (head != nullptr) head->previous = &entry;
  head = &entry;
  if (!entry.connected) return;
  port_entry*& bucket = hashed_[hash({entry.local, entry.remote}) % buckets];
  entry.next_hashed = bucket;
  bucket = &entry;
}

void port_table::unlink(port_entry& entry) {
  (entry.previous != nullptr ? entry.previous->next : list_of(entry)) = entry.next;
  if (entry.next != nullptr) entry.next->previous = entry.previous;
  if (!entry.connected) return;
  port_entry** at = &hashed_[hash({entry.local, entry.remote}) % buckets];
  while (*at != &entry) at = &(*at)->next_hashed;
  *at = entry.next_hashed;
}

}  // namespace fastudp
