// What becomes of a fragment, as one table: by what is known of its datagram and by what it is (RFC 791 3.2; RFC
// 8200 4.5; RFC 5722 4, whose rule for overlaps holds for IPv4 too, as RFC 8900 3 wishes). A test per row and family.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "support/node.h"
#include "wire/icmpv6.h"

namespace fastudp::test {
namespace {

// A UDP datagram of 33 bytes comes in [0,16) [16,32) [32,33), so that one byte of the last can be overlapped.
constexpr std::uint32_t total = 33;

struct piece {
  std::uint32_t begin, end;
  bool more = true;
  std::uint32_t identification = 1;
  unsigned source = 2;
  ip_protocol protocol = ip_protocol::udp;
};
constexpr piece first{0, 16}, middle{16, 32}, last{32, total, false};

class world {
 public:
  explicit world(ip_family family) : is_v4_(family == ip_family::v4) {
    if (!is_v4_) add_address();
    for (const unsigned n : {2u, 3u}) EXPECT_TRUE(h_.below->add_neighbour(peer(n), mac_of(n)));
    EXPECT_TRUE(socket_.bind({us(), 53}));
    const flow where{{us(), 53}, {peer(2), 9}};
    datagram_ = udp_segment(where, "twenty-five bytes to cut.");
    EXPECT_EQ(datagram_.size(), total);
  }
  ~world() {
    for (packet* p : taken_) release(p);
  }

  // What begins with `instead` isn't the datagram's.
  void hear(const piece& p, const std::string& instead = "") {
    std::string body = datagram_ + std::string(65'535, '\0');
    body = body.substr(p.begin, p.end - p.begin).replace(0, instead.size(), instead);
    const auto type = is_v4_ ? ether_type::ipv4 : ether_type::ipv6;
    const std::string packet = is_v4_ ? cut_v4(p, body) : cut_v6(p, body);
    h_.hear_frame(ethernet_frame(h_.device.info().mac, mac_of(p.source), type, packet));
  }
  void wait() { h_.run_at(h_.now + (is_v4_ ? reassembly::lifetime : reassembly::lifetime_v6)); }
  void exhaust_memory() {
    while (packet* p = h_.below->store().large().take()) taken_.push_back(p);
  }

  // What was done since the last time; what was delivered is looked at.
  std::string outcome() {
    const std::uint32_t held = h_.below->fragments().held();
    const bool is_delivered = delivered();
    const bool is_dropped = h_.drops() != dropped_;
    std::string out = is_delivered   ? "delivered"
                      : !is_dropped  ? (held != held_ ? "kept" : "nothing happens")
                      : held < held_ ? "all dropped"
                                     : "dropped";
    for (std::size_t i = 0; i < drop_reasons; ++i) {
      const std::uint64_t n = h_.count.drops[i].get() - drops_[i];
      if (n != 0) out += std::string(", ") + std::to_string(n) + " " + drop_name(i);
      drops_[i] += n;
    }
    for (const std::string& frame : h_.device.take_sent()) out += ", told " + message(frame);
    held_ = held;
    dropped_ = h_.drops();
    return out;
  }
  bool delivered() {
    const auto got = receive(socket_);
    EXPECT_EQ(got.value_or("twenty-five bytes to cut."), "twenty-five bytes to cut.");
    return got.has_value();
  }
  std::uint32_t held() const { return h_.below->fragments().held(); }
  std::uint32_t datagrams() const { return h_.below->fragments().datagrams(); }

 private:
  void add_address() { EXPECT_TRUE(h_.below->add_address({us(), 64}, h_.now)); }
  ip_address us() const { return is_v4_ ? ip("10.0.0.1") : ip("fd00::1"); }
  ip_address peer(unsigned n) const {
    ip_address out = us();
    out.bytes[15] = static_cast<std::uint8_t>(n);
    return out;
  }

  std::string cut_v4(const piece& p, const std::string& body) const {
    return ip_packet({.identification = static_cast<std::uint16_t>(p.identification),
                      .flags = p.more ? ipv4::more_fragments : u<3>(0),
                      .fragment_offset = u<13>::masked(p.begin / 8),
                      .protocol = p.protocol,
                      .source = peer(p.source).ipv4(),
                      .destination = us().ipv4()},
                     body);
  }
  std::string cut_v6(const piece& p, const std::string& body) const {
    const ipv6_fragment header{.next_header = p.protocol,
                               .place = static_cast<std::uint16_t>(p.begin | (p.more ? ipv6_fragment::more : 0)),
                               .identification = p.identification};
    return ipv6_packet(peer(p.source), us(), ip_protocol::fragment, packet_of(header, body));
  }

  std::string message(const std::string& frame) const {
    const std::string_view packet = std::string_view(frame).substr(fixed_size<ethernet>);
    if (is_v4_) {
      const auto m = view<icmpv4>::parse(octets(packet.substr(fixed_size<ipv4>)));
      return m->get<&icmpv4::type>() == icmpv4_type::time_exceeded && m->get<&icmpv4::code>() == 1 ? "time exceeded"
                                                                                                   : "?";
    }
    const auto m = view<icmpv6>::parse(octets(packet.substr(fixed_size<ipv6>)));
    const std::uint32_t code = m->get<&icmpv6::code>(), rest = m->get<&icmpv6::rest>();
    if (m->get<&icmpv6::type>() == icmpv6_type::time_exceeded && code == 1) return "time exceeded";
    if (m->get<&icmpv6::type>() != icmpv6_type::parameter_problem) return "?";
    return "problem " + std::to_string(code) + " at " + std::to_string(rest);
  }

  const bool is_v4_;
  node h_{1};
  udp_socket socket_{h_.sockets, is_v4_ ? ip_family::v4 : ip_family::v6};
  std::string datagram_;
  std::vector<packet*> taken_;
  std::array<std::uint64_t, drop_reasons> drops_{};
  std::uint64_t dropped_ = 0;
  std::uint32_t held_ = 0;
};

// What is known of the datagram when something happens.
enum class known { nothing, its_first, its_middle, its_last, hole, abandoned };
constexpr const char* known_names[] = {"nothing", "first", "middle", "last", "first and last", "abandoned"};

void bring_to(known wanted, world& w) {
  if (wanted == known::its_first || wanted == known::hole || wanted == known::abandoned) w.hear(first);
  if (wanted == known::its_middle) w.hear(middle);
  if (wanted == known::its_last || wanted == known::hole) w.hear(last);
  if (wanted == known::abandoned) w.hear({8, 24});
  w.outcome();
}

struct event {
  const char* name;
  void (*happen)(world&);
};

const event first_comes{"first", [](world& w) { w.hear(first); }};
const event middle_comes{"middle", [](world& w) { w.hear(middle); }};
const event last_comes{"last", [](world& w) { w.hear(last); }};
const event part_of_first{"a part of the first", [](world& w) { w.hear({0, 8}); }};
const event over_first{"overlaps first and middle", [](world& w) { w.hear({8, 24}); }};
const event over_last{"overlaps the last's byte", [](world& w) { w.hear({24, total, false}); }};
const event other_end{"says another end", [](world& w) { w.hear({40, 48, false}); }};
const event beyond_end{"beyond the end", [](world& w) { w.hear({40, 48}); }};
const event other_source{"of another source", [](world& w) { w.hear({16, 32, true, 1, 3}); }};
const event other_number{"of another number", [](world& w) { w.hear({16, 32, true, 2}); }};
const event other_protocol{"of another protocol", [](world& w) { w.hear({16, 32, true, 1, 2, ip_protocol::tcp}); }};
// An extension header of eight bytes more than the piece has; IPv4 knows no such thing.
const event headless{"first, header cut short", [](world& w) {
                       w.hear({0, 16, true, 3, 2, ip_protocol::destination_options}, std::string(1, '\x11') + '\2');
                     }};
const event tiny{"of 5 bytes, not the last", [](world& w) { w.hear({16, 21}); }};
const event empty{"empty", [](world& w) { w.hear({16, 16}); }};
const event too_far{"beyond 65,535", [](world& w) { w.hear({65'528, 65'544}); }};
const event time_out{"its time is over", [](world& w) { w.wait(); }};
const event no_memory{"middle, no memory left", [](world& w) {
                        w.exhaust_memory();
                        w.hear(middle);
                      }};
const event flood{"16 other datagrams", [](world& w) {
                    for (std::uint32_t i = 0; i < reassembly::most_of_a_source; ++i) w.hear({16, 32, true, 100 + i});
                  }};

struct fate {
  const char* outcome;
  std::uint32_t fragments, datagrams;  // under way then
  bool completes;                      // when first, middle and last come then
};
struct row {
  known before;
  const event& what;
  fate v4, v6;  // the same unless it is given

  row(known known_before, const event& happens, const fate& both) : row(known_before, happens, both, both) {}
  row(known known_before, const event& happens, const fate& four, const fate& six)
      : before(known_before), what(happens), v4(four), v6(six) {}
};

const row rows[] = {
    {known::nothing, first_comes, {"kept", 1, 1, true}},
    {known::nothing, middle_comes, {"kept", 1, 1, true}},
    {known::nothing, last_comes, {"kept", 1, 1, true}},
    {known::nothing, part_of_first, {"kept", 1, 1, false}},
    {known::nothing, over_first, {"kept", 1, 1, false}},
    {known::nothing, over_last, {"kept", 1, 1, false}},
    {known::nothing, other_end, {"kept", 1, 1, false}},
    {known::nothing, beyond_end, {"kept", 1, 1, false}},
    {known::nothing, other_source, {"kept", 1, 1, true}},
    {known::nothing, other_number, {"kept", 1, 1, true}},
    {known::nothing, other_protocol, {"kept", 1, 1, true}},
    {known::nothing, headless, {"kept", 1, 1, true}, {"dropped, 1 fragment, told problem 3 at 0", 0, 0, true}},
    {known::nothing,
     tiny,
     {"dropped, 1 fragment", 0, 0, true},
     {"dropped, 1 fragment, told problem 0 at 4", 0, 0, true}},
    {known::nothing, empty, {"dropped, 1 fragment", 0, 0, true}},
    {known::nothing,
     too_far,
     {"dropped, 1 fragment", 0, 0, true},
     {"dropped, 1 fragment, told problem 0 at 42", 0, 0, true}},
    {known::nothing, time_out, {"nothing happens", 0, 0, true}},
    {known::nothing, no_memory, {"dropped, 1 no_memory", 0, 0, false}},
    {known::nothing, flood, {"kept", 16, 16, true}},

    {known::its_first, first_comes, {"dropped, 1 fragment", 1, 1, true}},
    {known::its_first, middle_comes, {"kept", 2, 1, true}},
    {known::its_first, last_comes, {"kept", 2, 1, true}},
    {known::its_first, part_of_first, {"dropped, 1 fragment", 1, 1, true}},
    {known::its_first, over_first, {"all dropped, 2 fragment", 0, 0, false}},
    {known::its_first, over_last, {"kept", 2, 1, false}},
    {known::its_first, other_end, {"kept", 2, 1, false}},
    {known::its_first, beyond_end, {"kept", 2, 1, false}},
    {known::its_first, other_source, {"kept", 2, 2, true}},
    {known::its_first, other_number, {"kept", 2, 2, true}},
    {known::its_first, other_protocol, {"kept", 2, 2, true}, {"kept", 2, 1, true}},
    {known::its_first, headless, {"kept", 2, 2, true}, {"dropped, 1 fragment, told problem 3 at 0", 1, 1, true}},
    {known::its_first,
     tiny,
     {"dropped, 1 fragment", 1, 1, true},
     {"dropped, 1 fragment, told problem 0 at 4", 1, 1, true}},
    {known::its_first, empty, {"dropped, 1 fragment", 1, 1, true}},
    {known::its_first,
     too_far,
     {"dropped, 1 fragment", 1, 1, true},
     {"dropped, 1 fragment, told problem 0 at 42", 1, 1, true}},
    {known::its_first, time_out, {"all dropped, 1 fragment_timeout, told time exceeded", 0, 0, true}},
    {known::its_first, no_memory, {"kept", 2, 1, true}},
    {known::its_first, flood, {"dropped, 1 fragment", 16, 16, true}},

    {known::its_middle, first_comes, {"kept", 2, 1, true}},
    {known::its_middle, middle_comes, {"dropped, 1 fragment", 1, 1, true}},
    {known::its_middle, last_comes, {"kept", 2, 1, true}},
    {known::its_middle, part_of_first, {"kept", 2, 1, false}},
    {known::its_middle, over_first, {"all dropped, 2 fragment", 0, 0, false}},
    {known::its_middle, over_last, {"all dropped, 2 fragment", 0, 0, false}},
    {known::its_middle, other_end, {"kept", 2, 1, false}},
    {known::its_middle, beyond_end, {"kept", 2, 1, false}},
    {known::its_middle, other_source, {"kept", 2, 2, true}},
    {known::its_middle, other_number, {"kept", 2, 2, true}},
    {known::its_middle, other_protocol, {"kept", 2, 2, true}, {"dropped, 1 fragment", 1, 1, true}},
    {known::its_middle, headless, {"kept", 2, 2, true}, {"dropped, 1 fragment, told problem 3 at 0", 1, 1, true}},
    {known::its_middle,
     tiny,
     {"dropped, 1 fragment", 1, 1, true},
     {"dropped, 1 fragment, told problem 0 at 4", 1, 1, true}},
    {known::its_middle, empty, {"dropped, 1 fragment", 1, 1, true}},
    {known::its_middle,
     too_far,
     {"dropped, 1 fragment", 1, 1, true},
     {"dropped, 1 fragment, told problem 0 at 42", 1, 1, true}},
    {known::its_middle, time_out, {"all dropped, 1 fragment_timeout", 0, 0, true}},
    {known::its_middle, no_memory, {"dropped, 1 fragment", 1, 1, true}},
    {known::its_middle, flood, {"dropped, 1 fragment", 16, 16, true}},

    {known::its_last, first_comes, {"kept", 2, 1, true}},
    {known::its_last, middle_comes, {"kept", 2, 1, true}},
    {known::its_last, last_comes, {"dropped, 1 fragment", 1, 1, true}},
    {known::its_last, part_of_first, {"kept", 2, 1, false}},
    {known::its_last, over_first, {"kept", 2, 1, false}},
    {known::its_last, over_last, {"all dropped, 2 fragment", 0, 0, false}},
    {known::its_last, other_end, {"all dropped, 2 fragment", 0, 0, false}},
    {known::its_last, beyond_end, {"all dropped, 2 fragment", 0, 0, false}},
    {known::its_last, other_source, {"kept", 2, 2, true}},
    {known::its_last, other_number, {"kept", 2, 2, true}},
    {known::its_last, other_protocol, {"kept", 2, 2, true}, {"kept", 2, 1, true}},
    {known::its_last, headless, {"kept", 2, 2, true}, {"dropped, 1 fragment, told problem 3 at 0", 1, 1, true}},
    {known::its_last,
     tiny,
     {"dropped, 1 fragment", 1, 1, true},
     {"dropped, 1 fragment, told problem 0 at 4", 1, 1, true}},
    {known::its_last, empty, {"dropped, 1 fragment", 1, 1, true}},
    {known::its_last,
     too_far,
     {"dropped, 1 fragment", 1, 1, true},
     {"dropped, 1 fragment, told problem 0 at 42", 1, 1, true}},
    {known::its_last, time_out, {"all dropped, 1 fragment_timeout", 0, 0, true}},
    {known::its_last, no_memory, {"kept", 2, 1, true}},
    {known::its_last, flood, {"dropped, 1 fragment", 16, 16, true}},

    {known::hole, first_comes, {"dropped, 1 fragment", 2, 1, true}},
    {known::hole, middle_comes, {"delivered", 0, 0, true}},
    {known::hole, last_comes, {"dropped, 1 fragment", 2, 1, true}},
    {known::hole, part_of_first, {"dropped, 1 fragment", 2, 1, true}},
    {known::hole, over_first, {"all dropped, 3 fragment", 0, 0, false}},
    {known::hole, over_last, {"all dropped, 3 fragment", 0, 0, false}},
    {known::hole, other_end, {"all dropped, 3 fragment", 0, 0, false}},
    {known::hole, beyond_end, {"all dropped, 3 fragment", 0, 0, false}},
    {known::hole, other_source, {"kept", 3, 2, true}},
    {known::hole, other_number, {"kept", 3, 2, true}},
    {known::hole, other_protocol, {"kept", 3, 2, true}, {"delivered", 0, 0, true}},
    {known::hole, headless, {"kept", 3, 2, true}, {"dropped, 1 fragment, told problem 3 at 0", 2, 1, true}},
    {known::hole, tiny, {"dropped, 1 fragment", 2, 1, true}, {"dropped, 1 fragment, told problem 0 at 4", 2, 1, true}},
    {known::hole, empty, {"dropped, 1 fragment", 2, 1, true}},
    {known::hole,
     too_far,
     {"dropped, 1 fragment", 2, 1, true},
     {"dropped, 1 fragment, told problem 0 at 42", 2, 1, true}},
    {known::hole, time_out, {"all dropped, 2 fragment_timeout, told time exceeded", 0, 0, true}},
    {known::hole, no_memory, {"delivered", 0, 0, true}},
    {known::hole, flood, {"dropped, 2 fragment", 16, 16, true}},

    {known::abandoned, first_comes, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned, middle_comes, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned, last_comes, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned, part_of_first, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned, over_first, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned, over_last, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned, other_end, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned, beyond_end, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned, other_source, {"kept", 1, 1, false}},
    {known::abandoned, other_number, {"kept", 1, 1, false}},
    {known::abandoned, other_protocol, {"kept", 1, 1, false}, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned, headless, {"kept", 1, 1, false}, {"dropped, 1 fragment, told problem 3 at 0", 0, 0, false}},
    {known::abandoned,
     tiny,
     {"dropped, 1 fragment", 0, 0, false},
     {"dropped, 1 fragment, told problem 0 at 4", 0, 0, false}},
    {known::abandoned, empty, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned,
     too_far,
     {"dropped, 1 fragment", 0, 0, false},
     {"dropped, 1 fragment, told problem 0 at 42", 0, 0, false}},
    {known::abandoned, time_out, {"nothing happens", 0, 0, true}},
    {known::abandoned, no_memory, {"dropped, 1 fragment", 0, 0, false}},
    {known::abandoned, flood, {"kept", 16, 16, true}},
};

class reassembly_states : public testing::TestWithParam<std::tuple<row, ip_family>> {};

TEST_P(reassembly_states, row) {
  const auto& [r, family] = GetParam();
  const bool is_v4 = family == ip_family::v4;
  const fate& then = is_v4 ? r.v4 : r.v6;
  const char* before = known_names[static_cast<std::size_t>(r.before)];
  std::printf("| %s | %-14s | %-25s | %-51s | %2u of %2u | %-9s |\n", is_v4 ? "IPv4" : "IPv6", before, r.what.name,
              then.outcome, then.fragments, then.datagrams, then.completes ? "completes" : "");
  world w(family);
  bring_to(r.before, w);
  r.what.happen(w);
  EXPECT_EQ(w.outcome(), then.outcome);
  EXPECT_EQ(w.datagrams(), then.datagrams);
  EXPECT_EQ(w.held(), then.fragments);
  bool completes = false;
  for (const piece& p : {first, middle, last}) {
    w.hear(p);
    completes |= w.delivered();
  }
  EXPECT_EQ(completes, then.completes);
}

INSTANTIATE_TEST_SUITE_P(table, reassembly_states,
                         testing::Combine(testing::ValuesIn(rows), testing::Values(ip_family::v4, ip_family::v6)));

}  // namespace
}  // namespace fastudp::test
