#include "stack/neighbours.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "packet/pool.h"

namespace fastudp {
namespace {

bool has_mac(neighbour_state state) {
  return state != neighbour_state::none && state != neighbour_state::incomplete && state != neighbour_state::failed;
}

// What Linux on x86-64 charges for a frame that waits: a buffer with its trailer, and the buffer's header.
constexpr std::uint32_t truesize(std::uint32_t length) {
  constexpr std::uint32_t header = 256, room_and_trailer = 337, smallest_buffer = 576;
  const std::uint32_t wanted = length + room_and_trailer;
  return (wanted <= smallest_buffer ? smallest_buffer : std::bit_ceil(wanted)) + header;
}

}  // namespace

neighbour_table::~neighbour_table() {
  while (neighbour* n = waiting_.front()) release(unpark(*n));
}

status neighbour_table::open(std::uint32_t entries, std::uint32_t most_parked) {
  auto made = shared_array<neighbour>::map(entries);
  if (!made) return made.failure();
  auto buckets = shared_array<bucket>::map(std::bit_ceil(std::size_t{entries}));
  if (!buckets) return buckets.failure();
  entries_ = std::move(*made);
  buckets_ = std::move(*buckets);
  secret_ = random_.next();
  most_parked_ = std::max<std::uint32_t>(most_parked, 1);
  return timers_.open(entries);
}

neighbour*& neighbour_table::bucket_of(const ip_address& address) const {
  return buckets_[mix(address, secret_) & (buckets_.size() - 1)].first;
}

neighbour* neighbour_table::find(const ip_address& address) const {
  neighbour* n = bucket_of(address);
  while (n != nullptr && n->address != address) n = n->next;
  return n;
}

neighbour* neighbour_table::create(const ip_address& address, bool for_a_sender) {
  neighbour* n = take_entry(for_a_sender);
  if (n == nullptr) return nullptr;
  neighbour*& first = bucket_of(address);
  *n = {.address = address, .due = never, .next = first};
  first = n;
  ++size_;
  return n;
}

neighbour* neighbour_table::take_entry(bool for_a_sender) {
  if (free_ == nullptr && fresh_ < entries_.size()) return &entries_[fresh_++];
  if (free_ == nullptr) {
    neighbour* oldest = least_needed(for_a_sender);
    if (oldest == nullptr) return nullptr;
    while (oldest->parked_first != nullptr) drop_oldest(*oldest, drop::neighbour_table);
    erase(*oldest);
  }
  return std::exchange(free_, free_->next);
}

// What strangers made is worth less than what our own senders asked for, and a stranger may displace nothing else.
neighbour* neighbour_table::least_needed(bool for_a_sender) const {
  if (!strangers_.empty() || !for_a_sender) return strangers_.front();
  return !idle_.empty() ? idle_.front() : incomplete_.front();
}

// Nobody remembers an entry that is stale or failed: `changed` was called when it became so.
void neighbour_table::erase(neighbour& n) {
  enter(n, neighbour_state::none, never);
  neighbour** at = &bucket_of(n.address);
  while (*at != &n) at = &(*at)->next;
  *at = n.next;
  n.next = std::exchange(free_, &n);
  --size_;
}

neighbour_table::order_list* neighbour_table::order_of(const neighbour& n) {
  switch (n.state) {
    case neighbour_state::incomplete:
      return &incomplete_;
    case neighbour_state::stale:
    case neighbour_state::failed:
      return n.wanted ? &idle_ : &strangers_;
    default:
      return nullptr;
  }
}

void neighbour_table::enter(neighbour& n, neighbour_state state, time_point due) {
  if (order_list* left = order_of(n)) left->remove(n);
  n.state = state;
  n.solicitations = 0;
  timers_.set(n, due);
  if (order_list* joined = order_of(n)) joined->push_back(n);
}

// RFC 4861 6.3.2: uniformly between half and one and a half times the base.
void neighbour_table::enter_reachable(neighbour& n, time_point now) {
  const auto spread = static_cast<duration>(random_.below(static_cast<std::uint32_t>(base_reachable / millisecond)));
  enter(n, neighbour_state::reachable, now + base_reachable / 2 + spread * millisecond);
}

void neighbour_table::enter_and_solicit(neighbour& n, neighbour_state state, time_point now) {
  enter(n, state, now);
  solicit(n, now);
}

void neighbour_table::solicit(neighbour& n, time_point now) {
  ++n.solicitations;
  n.asked = true;
  timers_.set(n, now + retransmit);
  events_.solicit(n.address, n.state == neighbour_state::probe ? &n.mac : nullptr);
}

neighbour* neighbour_table::use(const ip_address& address, time_point now) {
  neighbour* n = find(address);
  if (n == nullptr) n = create(address, true);
  if (n == nullptr) return nullptr;
  switch (n->state) {
    case neighbour_state::none:
    case neighbour_state::failed:
      enter_and_solicit(*n, neighbour_state::incomplete, now);
      break;
    case neighbour_state::stale:
      enter(*n, neighbour_state::delay, now + delay_before_probe);
      break;
    default:
      break;
  }
  n->wanted = true;
  return n;
}

// Null when nothing is parked.
packet* neighbour_table::unpark(neighbour& n) {
  packet* frame = n.parked_first;
  if (frame == nullptr) return nullptr;
  n.parked_first = std::exchange(frame->next, nullptr);
  n.parked_bytes -= frame->charge;
  --parked_;
  if (n.parked_first == nullptr) waiting_.remove(n);
  return frame;
}

void neighbour_table::drop_oldest(neighbour& n, drop why) {
  count_.dropped(why);
  release(unpark(n));
}

void neighbour_table::park(neighbour& n, packet* frame) {
  frame->next = nullptr;
  frame->charge = truesize(frame->length);
  while (n.parked_first != nullptr && n.parked_bytes + frame->charge > most_parked_bytes) {
    drop_oldest(n, drop::neighbour_queue);
  }
  if (parked_ >= most_parked_ && !waiting_.empty()) {
    drop_oldest(n.parked_first != nullptr ? n : *waiting_.front(), drop::neighbour_queue);
  }
  if (n.parked_first == nullptr) waiting_.push_back(n);
  (n.parked_first == nullptr ? n.parked_first : n.parked_last->next) = frame;
  n.parked_last = frame;
  n.parked_bytes += frame->charge;
  ++parked_;
}

// As a chain of its own: who handles the packets may use this neighbour again.
packet* neighbour_table::unpark_all(neighbour& n) {
  packet* first = nullptr;
  for (packet** end = &first; packet* frame = unpark(n); end = &frame->next) *end = frame;
  return first;
}

void neighbour_table::release_parked(neighbour& n) {
  const mac_address to = n.mac;
  packet* next = unpark_all(n);
  while (packet* frame = next) {
    next = std::exchange(frame->next, nullptr);
    events_.release_parked(frame, to);
  }
}

void neighbour_table::give_up(packet* parked) {
  while (packet* frame = parked) {
    parked = std::exchange(frame->next, nullptr);
    events_.unreachable(frame);
  }
}

// RFC 826 for what is learnt, RFC 4861 7.2.5 and Linux's arp_process for how far it is believed.
void neighbour_table::heard(const ip_address& address, const mac_address& mac, heard_as how, time_point now) {
  neighbour* n = find(address);
  if (n == nullptr && how == heard_as::request_to_us) n = create(address, false);
  if (n == nullptr || n->state == neighbour_state::permanent) return;
  // What failed and isn't wanted any more is not brought back by hearsay.
  if (n->state == neighbour_state::failed && how != heard_as::request_to_us) return;
  const bool is_new = n->state == neighbour_state::none;
  const bool known = has_mac(n->state), differs = !known || n->mac != mac;
  // Of several answers the first counts: it comes from the host that is there, a second from one that wants to be.
  if (known && differs && now - n->changed < lock_time) return;
  // A reply that nobody asked for doesn't prove that the neighbour hears us.
  const bool proof = how == heard_as::solicited_reply && std::exchange(n->asked, false);
  if (differs) n->mac = mac, n->changed = now;
  if (proof) {
    enter_reachable(*n, now);
  } else if (differs) {
    enter(*n, neighbour_state::stale, never);
  }
  if (differs && !is_new) events_.changed();  // a new one no sender can remember
  release_parked(*n);
}

void neighbour_table::confirm(const ip_address& address, time_point now) {
  neighbour* n = find(address);
  if (n == nullptr || !has_mac(n->state) || n->state == neighbour_state::permanent) return;
  if (n->state != neighbour_state::reachable) return enter_reachable(*n, now);
  timers_.set(*n, std::max(n->due, now + base_reachable / 2));
}

status neighbour_table::set(const ip_address& address, const mac_address& mac, neighbour_state state) {
  neighbour* n = find(address);
  if (n == nullptr) n = create(address, true);
  if (n == nullptr) return error{ENOSPC};
  n->mac = mac;
  enter(*n, state, never);
  events_.changed();
  release_parked(*n);
  return {};
}

status neighbour_table::remove(const ip_address& address) {
  neighbour* n = find(address);
  if (n == nullptr) return error{ENOENT};
  packet* parked = unpark_all(*n);
  erase(*n);
  events_.changed();
  give_up(parked);
  return {};
}

void neighbour_table::remove_all() {
  for (std::uint32_t i = 0; i < fresh_; ++i) {
    if (entries_[i].state != neighbour_state::none) (void)remove(entries_[i].address);
  }
}

void neighbour_table::fail(neighbour& n, time_point now) {
  const bool known = has_mac(n.state);
  n.asked = false;
  enter(n, neighbour_state::failed, now + failed_for);
  if (known) events_.changed();
  give_up(unpark_all(n));
}

// One entry whose time has come.
void neighbour_table::run(neighbour& n, time_point now) {
  switch (n.state) {
    case neighbour_state::incomplete:
    case neighbour_state::probe:
      return n.solicitations < most_solicitations ? solicit(n, now) : fail(n, now);
    case neighbour_state::delay:
      return enter_and_solicit(n, neighbour_state::probe, now);
    case neighbour_state::reachable:
      enter(n, neighbour_state::stale, never);
      return events_.changed();  // the next sender starts watching it
    default:
      return erase(n);  // failed, long ago
  }
}

void neighbour_table::advance(time_point now) {
  while (timers_.deadline() <= now) run(*timers_.earliest(), now);
}

}  // namespace fastudp
