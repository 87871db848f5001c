#include "socket/port_table.h"

#include <cerrno>
#include <new>

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
  // Linux: one that has a program already can't join others.
  if (entry.group != nullptr && group_at(entry, where) != nullptr) return error{EADDRINUSE};
  put(entry, where);
  return {};
}

void port_table::put(port_entry& entry, endpoint_address where) {
  entry.local = where;
  if (entry.reuse_port) join_group(entry);
  link(entry);
}

void port_table::move(port_entry& entry, const endpoint_address& local, const endpoint_address* remote) {
  const bool stays = local.port != 0 && entry.local.port == local.port;
  if (stays) {
    disconnect(entry, local);
  } else {
    if (entry.local.port != 0) unbind(entry);  // one that wasn't bound keeps its program
    if (local.port != 0) put(entry, local);
  }
  if (local.port != 0 && remote != nullptr) connect(entry, local, *remote);
}

// ---- Groups

port_group* port_table::group_at(const port_entry& entry, const endpoint_address& where) const {
  for (const auto* table : {&open_, &connected_}) {
    for (port_entry* other = (*table)[where.port]; other != nullptr; other = other->next) {
      if (other != &entry && other->group != nullptr && other->local.address == where.address) return other->group;
    }
  }
  return nullptr;
}

// Without memory it has no group, and is chosen by the hash alone.
void port_table::join_group(port_entry& entry) {
  port_group* others = group_at(entry, entry.local);
  if (others != nullptr) leave_group(entry);
  if (entry.group != nullptr) return;
  entry.group = others != nullptr ? others : new (std::nothrow) port_group;
  if (entry.group != nullptr) entry.place = entry.group->size++;
}

void port_table::leave_group(port_entry& entry) {
  port_group* group = entry.group;
  if (group == nullptr) return;
  const std::uint32_t last = --group->size;
  if (last == 0) {
    delete group;
  } else if (port_entry* moved = member_at(entry, last)) {
    moved->place = entry.place;
  }
  entry.group = nullptr;
}

// The one at that place of the group that `first` is in.
port_entry* port_table::member_at(const port_entry& first, std::uint32_t place) const {
  for (const auto* table : {&open_, &connected_}) {
    for (port_entry* other = (*table)[first.local.port]; other != nullptr; other = other->next) {
      if (other->group == first.group && other->place == place) return other;
    }
  }
  return nullptr;
}

status port_table::set_program(port_entry& entry, packet_filter&& program) {
  if (entry.group == nullptr) {
    if (entry.local.port != 0 || !entry.reuse_port) return error{EINVAL};
    entry.group = new (std::nothrow) port_group;
    if (entry.group == nullptr) return error{ENOMEM};
    entry.place = entry.group->size++;
  }
  entry.group->program = std::move(program);
  return {};
}

status port_table::clear_program(port_entry& entry) {
  if (entry.group == nullptr) return error{entry.reuse_port ? ENOENT : EINVAL};
  if (entry.group->program.empty()) return error{ENOENT};
  entry.group->program = {};
  return {};
}

// ---- Binding and finding

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
  leave_group(entry);
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
  if (local.port == 0) leave_group(entry);
  entry.local = local;
  entry.remote = {};
  entry.connected = false;
  if (local.port != 0) link(entry);
}

std::uint64_t port_table::hash(const flow& where) const {
  const std::uint64_t ports_of_both = std::uint64_t{where.local.port} << 16 | where.remote.port;
  return mix(where.remote.address, mix(where.local.address, mix(ports_of_both, secret_)));
}

port_entry* port_table::find(const flow& where, const group_chooser* chooser) const {
  if (connected_[where.local.port] != nullptr) {
    if (port_entry* found = find_connected(where)) return found;
  }
  if (open_[where.local.port] == nullptr) return nullptr;
  if (port_entry* found = find_open(where, where.local.address, chooser)) return found;
  const bool is_v4 = where.local.address.is_v4();
  if (port_entry* found = is_v4 ? find_open(where, ip_address::any(ip_family::v4), chooser) : nullptr) return found;
  return find_open(where, ip_address::any(ip_family::v6), chooser);
}

port_entry* port_table::find_connected(const flow& where) const {
  port_entry* entry = hashed_[hash(where) % buckets];
  while (entry != nullptr && !(entry->local == where.local && entry->remote == where.remote))
    entry = entry->next_hashed;
  return entry;
}

port_entry* port_table::find_open(const flow& where, const ip_address& bound_to, const group_chooser* chooser) const {
  for (port_entry* entry = open_[where.local.port]; entry != nullptr; entry = entry->next) {
    if (entry->local.address != bound_to || !accepts(*entry, where)) continue;
    if (!entry->reuse_port) return entry;
    const bool has_program = chooser != nullptr && entry->group != nullptr && !entry->group->program.empty();
    port_entry* chosen = has_program ? member_at(*entry, chooser->choose(entry->group->program)) : nullptr;
    // Nobody is there, or has another peer: the hash decides.
    return chosen != nullptr && accepts(*chosen, where) ? chosen : pick_from_group(*entry, where);
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
