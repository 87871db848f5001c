#include "stack/arp.h"

#include <algorithm>

#include "packet/pool.h"
#include "wire/arp.h"
#include "wire/ethernet.h"

namespace fastudp {
namespace {

// RFC 5227 1.1
constexpr std::uint8_t probe_num = 3, announce_num = 2;
constexpr duration probe_wait = second, probe_min = second, probe_max = 2 * second, announce_wait = 2 * second,
                   announce_interval = 2 * second, defend_interval = 10 * second;

bool is_probe(const arp& message) {
  return message.operation == arp_operation::request && message.sender_address.is_any();
}

bool is_possible_sender(ipv4_address a) {
  return !a.is_any() && !a.is_loopback() && !a.is_multicast() && !a.is_reserved();
}

bool is_well_formed(const arp& message) {
  const bool sizes = message.hardware_type == 1 && message.protocol_type == ether_type::ipv4 &&
                     message.hardware_size == 6 && message.protocol_size == 4;
  const bool operation = message.operation == arp_operation::request || message.operation == arp_operation::reply;
  return sizes && operation && !message.sender_mac.is_group() && !message.sender_mac.is_zero() &&
         (is_possible_sender(message.sender_address) || is_probe(message));
}

duration random_between(random_source& random, duration least, duration most) {
  return least +
         static_cast<duration>(random.below(static_cast<std::uint32_t>((most - least) / microsecond))) * microsecond;
}

}  // namespace

void arp_responder::receive(packet* frame, time_point now) {
  const auto outer = *view<ethernet>::parse(frame->bytes());
  const auto inner = view<arp>::parse(outer.payload());
  const arp message = inner ? inner->value() : arp{};
  const mac_address to = outer.get<&ethernet::destination>();
  release(frame);
  if (!inner || !is_well_formed(message) || ours_.is_subnet_broadcast(message.sender_address)) {
    return count_.dropped(drop::arp_malformed);
  }
  if (message.sender_mac == mac_) return;  // our own, come back
  detect_conflict(message, now);
  if (ours_.contains(message.sender_address)) return;
  learn(message, to, now);
  if (message.operation == arp_operation::request && ours_.contains(message.target_address)) {
    send({.operation = arp_operation::reply,
          .sender_mac = mac_,
          .sender_address = message.target_address,
          .target_mac = message.sender_mac,
          .target_address = message.sender_address},
         message.sender_mac);
  }
}

// RFC 826, packet reception. No new entry is made for a sender that we couldn't talk to directly, such as the any
// address that probes come from.
void arp_responder::learn(const arp& message, const mac_address& frame_destination, time_point now) {
  const bool to_us = ours_.contains(message.target_address);
  heard_as how;
  if (message.operation == arp_operation::request) {
    how = to_us && ours_.is_on_link(message.sender_address) ? heard_as::request_to_us : heard_as::other_request;
  } else {
    how = to_us && frame_destination == mac_ ? heard_as::solicited_reply : heard_as::other_reply;
  }
  neighbours_.heard(message.sender_address, message.sender_mac, how, now);
}

void arp_responder::solicit(ipv4_address target, ipv4_address source, const mac_address* unicast_to) {
  if (source.is_any()) return;
  send({.operation = arp_operation::request, .sender_mac = mac_, .sender_address = source, .target_address = target},
       unicast_to != nullptr ? *unicast_to : broadcast_mac);
}

void arp_responder::announce(ipv4_address address) { solicit(address, address, nullptr); }

void arp_responder::send(const arp& message, const mac_address& to) {
  packet* p = out_.take_frame();
  if (p == nullptr) return count_.dropped(drop::no_memory);
  p->length = fixed_size<ethernet> + fixed_size<arp>;
  const auto outer = *store(ethernet{.destination = to, .source = mac_, .type = ether_type::arp}, p->bytes());
  store(message, outer.payload());
  out_.transmit(p);
}

arp_responder::claimed* arp_responder::find(ipv4_address address) {
  auto* const end = claims_.data() + claim_count_;
  auto* const found = std::find_if(claims_.data(), end, [&](const claimed& c) { return c.address == address; });
  return found != end ? found : nullptr;
}

void arp_responder::claim(ipv4_address address, time_point now) {
  forget(address);
  if (claim_count_ == claims_.size()) return;
  claimed& c = claims_[claim_count_++];
  c = {.address = address, .due = now + random_between(random_, 0, probe_wait)};
  deadline_ = std::min(deadline_, c.due);
}

void arp_responder::forget(ipv4_address address) {
  claimed* found = find(address);
  if (found == nullptr) return;
  std::copy(found + 1, claims_.data() + claim_count_, found);
  --claim_count_;
}

// RFC 5227 2.1.1 and 2.3: three probes, a second or two apart, then two announcements.
void arp_responder::take_step(claimed& c, time_point now) {
  ++c.step;
  if (c.step > probe_num) {
    announce(c.address);
    c.due = c.step < probe_num + announce_num ? now + announce_interval : never;
  } else {
    send({.operation = arp_operation::request, .sender_mac = mac_, .target_address = c.address}, broadcast_mac);
    c.due = now + (c.step < probe_num ? random_between(random_, probe_min, probe_max) : announce_wait);
  }
}

void arp_responder::advance(time_point now) {
  if (now < deadline_) return;
  deadline_ = never;
  for (std::size_t i = 0; i < claim_count_; ++i) {
    if (claims_[i].due <= now) take_step(claims_[i], now);
    deadline_ = std::min(deadline_, claims_[i].due);
  }
}

// RFC 5227 2.1.1 and 2.4: another host uses an address of ours, or probes for one as we do.
void arp_responder::detect_conflict(const arp& message, time_point now) {
  const bool probes = is_probe(message);
  const ipv4_address address = probes ? message.target_address : message.sender_address;
  claimed* c = find(address);
  const bool is_probing = c != nullptr && c->step <= probe_num && !c->contested;
  if (probes ? !is_probing : !ours_.contains(address)) return;
  count_.address_conflicts.add();
  if (c == nullptr || probes) return;
  if (is_probing) {
    c->contested = true;
    c->due = never;
  }
  defend(*c, now);
}

// RFC 5227 2.4 (c): one announcement, and silence for the rest of the interval, lest two hosts shout at each other for
// ever. Who had the address before us is left in peace.
void arp_responder::defend(claimed& c, time_point now) {
  if (c.contested || now < c.quiet_until) return;
  c.quiet_until = now + defend_interval;
  announce(c.address);
}

}  // namespace fastudp
