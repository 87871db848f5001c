#include "socket/udp_layer.h"

namespace fastudp {

status udp_layer::open(stack& below) {
  below_ = &below;
  return ports_.open(below.random().next());
}

// Frames of the link are for packets in flight. When they run short, what waits for a slow program is copied out, so
// that nothing is lost that SO_RCVBUF has room for.
packet* udp_layer::keep(packet* datagram) {
  if (datagram->home != &below_->frames() || !below_->frames_are_scarce()) return datagram;
  packet* copy = below_->store().copy(*datagram);
  if (copy == nullptr) return datagram;
  release(datagram);
  return copy;
}

void udp_layer::deliver(std::span<arrival> arrivals, time_point) {
  ++burst_;
  for (arrival& each : arrivals) {
    if (each.group) {
      each.taken = deliver_to_group(each);
      continue;
    }
    port_entry* found = ports_.find(each.where);
    if (found == nullptr) continue;
    each.taken = true;
    found->owner->accept(keep(each.datagram));
  }
}

// The next after `previous` that the datagram is for.
port_entry* udp_layer::next_of_group(const arrival& datagram, const port_entry* previous) const {
  const ip_address& group = datagram.where.local.address;
  port_entry* entry = ports_.find_next(datagram.where, previous);
  while (entry != nullptr && group.is_multicast() && !entry->owner->hears(group, datagram.where.remote.address)) {
    entry = ports_.find_next(datagram.where, entry);
  }
  return entry;
}

// Each socket has a copy of its own; the last gets the original.
bool udp_layer::deliver_to_group(const arrival& datagram) {
  port_entry* entry = next_of_group(datagram, nullptr);
  if (entry == nullptr) return false;
  while (port_entry* next = next_of_group(datagram, entry)) {
    if (packet* copy = below_->store().copy(*datagram.datagram)) {
      entry->owner->accept(copy);
    } else {
      count_.dropped(drop::no_memory);
    }
    entry = next;
  }
  entry->owner->accept(keep(datagram.datagram));
  return true;
}

void udp_layer::forget_member(udp_socket& member) {
  udp_socket** at = &members_;
  while (*at != nullptr && *at != &member) at = &(*at)->next_member;
  if (*at != nullptr) *at = member.next_member;
}

status udp_layer::listen(udp_socket& member, const ip_address& group, time_point now) {
  forget_member(member);
  if (!member.groups().empty()) {
    member.next_member = members_;
    members_ = &member;
  }
  source_filter all;
  for (udp_socket* each = members_; each != nullptr; each = each->next_member) {
    if (const source_filter* one = each->groups().find(group)) all.widen(*one);
  }
  return below_->groups().set(group, all, now);
}

bool udp_layer::report(const icmp_report& what) {
  port_entry* found = ports_.find(what.about);
  if (found == nullptr) return false;
  found->owner->report(what);
  return true;
}

}  // namespace fastudp
