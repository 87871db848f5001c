#include "stack/reassembly.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

namespace fastudp {
namespace {

constexpr std::uint32_t longest_header = 128, longest_datagram = 65'535;
// The payload begins behind room for the longest header, which is known only when the first fragment has come.
constexpr std::uint32_t payload_at = default_headroom + longest_header;

constexpr std::uint8_t not_capable = 0, congestion_experienced = 3, ecn_bits = 3;
constexpr std::uint8_t bit_of(std::uint8_t codepoint) { return static_cast<std::uint8_t>(1 << codepoint); }

// RFC 3168 5.3: a datagram whose fragments disagree on whether its sender speaks ECN is not one datagram.
bool ecn_agrees(std::uint8_t seen) { return seen == bit_of(not_capable) || (seen & bit_of(not_capable)) == 0; }

void finish_ipv4(packet& whole, bool was_marked) {
  const auto ip = *mutable_view<ipv4>::parse(whole.bytes());
  ip.set<&ipv4::total_length>(u<16>::masked(whole.length));
  ip.set<&ipv4::flags>(u<3>::masked(ip.get<&ipv4::flags>() & ~ipv4::more_fragments.value()));
  ip.set<&ipv4::fragment_offset>(0);
  if (was_marked) ip.set<&ipv4::ecn>(congestion_experienced);
  ip.set<&ipv4::checksum>(0);
  ip.set<&ipv4::checksum>(checksum(ip.header()));
}

void finish_ipv6(packet& whole, bool was_marked) {
  const auto ip = *mutable_view<ipv6>::parse(whole.bytes());
  ip.set<&ipv6::payload_length>(u<16>::masked(whole.length - fixed_size<ipv6>));
  if (was_marked) ip.set<&ipv6::first>(ip.get<&ipv6::first>() | ipv6::first_word(congestion_experienced, 0));
}

}  // namespace

struct reassembly::piece {
  range where;
  bool is_last;
  std::uint8_t ecn;
  std::span<const std::byte> header, payload;
};

reassembly::~reassembly() {
  for (pending& d : pending_) {
    if (d.whole != nullptr) release(d.whole);
  }
}

std::uint32_t reassembly::datagrams() const {
  const auto under_way = [](const pending& d) { return d.whole != nullptr; };
  return static_cast<std::uint32_t>(std::ranges::count_if(pending_, under_way));
}

std::uint32_t reassembly::held() const {
  std::uint32_t out = 0;
  for (const pending& d : pending_) out += d.whole != nullptr ? d.fragment_count : 0;
  return out;
}

reassembly::pending* reassembly::find(const key& of) {
  auto* found = std::ranges::find_if(pending_, [&](const pending& d) { return d.expires != 0 && d.of == of; });
  return found != pending_.end() ? found : nullptr;
}

// A source that has its share displaces its own oldest, so that a flood from one host leaves the others their places.
reassembly::pending& reassembly::make_room(ip_address source) {
  std::size_t of_source = 0;
  pending *oldest = &pending_[0], *its_oldest = nullptr;
  for (pending& d : pending_) {
    if (d.expires < oldest->expires) oldest = &d;
    if (d.expires == 0 || d.of.source != source) continue;
    ++of_source;
    if (its_oldest == nullptr || d.expires < its_oldest->expires) its_oldest = &d;
  }
  pending& room = of_source < most_of_a_source ? *oldest : *its_oldest;
  give_up(room, drop::fragment);
  room.expires = 0;
  return room;
}

reassembly::pending* reassembly::start(const key& of, time_point now) {
  pending& d = make_room(of.source);
  packet* whole = large_.take();
  if (whole == nullptr) return nullptr;
  d = {.of = of, .expires = now + (of.source.is_v4() ? lifetime : lifetime_v6), .whole = whole, .ranges = {}};
  deadline_ = std::min(deadline_, d.expires);
  return &d;
}

void reassembly::give_up(pending& d, drop why) {
  if (d.whole == nullptr) return;
  count_.dropped(why, d.fragment_count);
  release(std::exchange(d.whole, nullptr));
}

reassembly::verdict reassembly::insert(pending& d, range r) {
  range* const begin = d.ranges.data();
  range* const end = begin + d.range_count;
  range* const next = std::find_if(begin, end, [&](const range& other) { return other.end > r.begin; });
  if (next != end && next->begin < r.end) {
    return next->begin <= r.begin && r.end <= next->end ? verdict::duplicate : verdict::refused;
  }
  const bool touches_next = next != end && next->begin == r.end;
  if (next != begin && (next - 1)->end == r.begin) {
    (next - 1)->end = touches_next ? next->end : r.end;
    if (touches_next) std::copy(next + 1, end, next), --d.range_count;
    return verdict::kept;
  }
  if (touches_next) return next->begin = r.begin, verdict::kept;
  if (d.range_count == most_ranges) return verdict::refused;
  std::copy_backward(next, end, end + 1);
  *next = r;
  ++d.range_count;
  return verdict::kept;
}

// Linux and RFC 5722 4 (with erratum 3089): what came already may come again; what overlaps otherwise, or contradicts
// the end that another piece gave, discards the datagram.
reassembly::verdict reassembly::copy_in(pending& d, const piece& p) {
  if (d.total != 0 && p.where.end > d.total) return verdict::refused;
  if (p.is_last && p.where.end < d.end()) return verdict::refused;
  if (const verdict v = insert(d, p.where); v != verdict::kept) return v;
  std::memcpy(d.whole->frame + payload_at + p.where.begin, p.payload.data(), p.payload.size());
  if (p.where.begin == 0) {
    d.header_size = static_cast<std::uint32_t>(p.header.size());
    d.first_size = p.where.end;
    std::memcpy(d.whole->frame + payload_at - d.header_size, p.header.data(), p.header.size());
  }
  const std::uint32_t uncounted = d.of.source.is_v4() ? 0 : fixed_size<ipv6>;  // IPv6's header is none of the payload
  if (d.header_size + d.end() > longest_datagram + uncounted) return verdict::refused;
  if (p.is_last) d.total = p.where.end;
  ++d.fragment_count;
  d.ecn_seen |= bit_of(p.ecn);
  return verdict::kept;
}

packet* reassembly::add(packet* fragment, time_point now) {
  const auto ip = *view<ipv4>::parse(fragment->bytes());
  const bool more = (ip.get<&ipv4::flags>() & ipv4::more_fragments) != 0;
  const std::uint32_t begin = std::uint32_t{ip.get<&ipv4::fragment_offset>()} * 8;
  if (begin == 0 && !more) return fragment;
  const auto size = static_cast<std::uint32_t>(ip.payload().size());
  const bool possible = size != 0 && (!more || size % 8 == 0) && begin + size + ip.size() <= longest_datagram;
  const key of{ip.get<&ipv4::source>(), ip.get<&ipv4::destination>(), ip.get<&ipv4::identification>(),
               static_cast<std::uint8_t>(ip.get<&ipv4::protocol>().value())};
  const piece p{{begin, begin + size}, !more, ip.get<&ipv4::ecn>(), ip.header(), ip.payload()};
  return add(fragment, of, possible ? &p : nullptr, now);
}

packet* reassembly::add(packet* fragment, const ipv6_chain& chain, time_point now) {
  const auto bytes = fragment->bytes();
  const auto ip = *view<ipv6>::parse(bytes);
  const auto header = *view<ipv6_fragment>::parse(bytes.subspan(chain.offset));
  const std::uint16_t place = header.get<&ipv6_fragment::place>();
  const std::uint32_t begin = place & ipv6_fragment::offset_bits;
  const auto size = static_cast<std::uint32_t>(header.payload().size());
  const key of{ip.get<&ipv6::source>(), ip.get<&ipv6::destination>(), header.get<&ipv6_fragment::identification>(), 0};
  // The whole datagram has what stands before the fragment header, which goes.
  bytes[chain.named_at] = static_cast<std::byte>(header.get<&ipv6_fragment::next_header>().value());
  const piece p{{begin, begin + size},
                (place & ipv6_fragment::more) == 0,
                static_cast<std::uint8_t>(ipv6::traffic_class_of(ip.get<&ipv6::first>()) & ecn_bits),
                bytes.first(chain.offset),
                header.payload()};
  return add(fragment, of, size != 0 && chain.offset <= longest_header ? &p : nullptr, now);
}

// No piece: it can't be right.
packet* reassembly::add(packet* fragment, const key& of, const piece* p, time_point now) {
  packet* whole = nullptr;
  pending* d = p != nullptr ? find(of) : nullptr;
  if (p == nullptr) {
    count_.dropped(drop::fragment);
  } else if (d == nullptr && (d = start(of, now)) == nullptr) {
    count_.dropped(drop::no_memory);
  } else {
    whole = take_piece(*d, *p);
  }
  release(fragment);
  return whole;
}

packet* reassembly::take_piece(pending& d, const piece& p) {
  const verdict v = d.whole != nullptr ? copy_in(d, p) : verdict::refused;
  if (v != verdict::kept) count_.dropped(drop::fragment);
  if (v == verdict::refused) give_up(d, drop::fragment);
  return v == verdict::kept && d.is_complete() ? finish(d) : nullptr;
}

packet* reassembly::finish(pending& d) {
  d.expires = 0;
  if (!ecn_agrees(d.ecn_seen)) return give_up(d, drop::fragment), nullptr;
  packet* whole = std::exchange(d.whole, nullptr);
  joined_ += d.fragment_count - 1;
  whole->begin = whole->network = payload_at - d.header_size;
  whole->length = d.header_size + d.total;
  const bool was_marked = (d.ecn_seen & bit_of(congestion_experienced)) != 0;
  d.of.source.is_v4() ? finish_ipv4(*whole, was_marked) : finish_ipv6(*whole, was_marked);
  return whole;
}

void reassembly::advance(time_point now) {
  if (now < deadline_) return;
  deadline_ = never;
  for (pending& d : pending_) {
    if (d.expires != 0 && d.expires <= now) expire(d, now);
    if (d.expires != 0) deadline_ = std::min(deadline_, d.expires);
  }
}

// RFC 1122 3.3.2: told only if the first fragment is there to be quoted.
void reassembly::expire(pending& d, time_point now) {
  d.expires = 0;
  if (d.whole != nullptr && d.header_size != 0) {
    d.whole->begin = d.whole->network = payload_at - d.header_size;
    d.whole->length = d.header_size + d.first_size;
    events_.timed_out(d.whole, now);
  }
  give_up(d, drop::fragment_timeout);
}

}  // namespace fastudp
