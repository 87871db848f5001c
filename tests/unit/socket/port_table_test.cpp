// Who may bind where, which socket a datagram is for. The kernel's own sockets say what is right, where they can.

#include "socket/port_table.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using test::ip;

class table : public testing::Test {
 protected:
  table() { EXPECT_TRUE(ports_.open(0x5ec2e7)); }
  ~table() override {
    for (port_entry& each : entries_) ports_.unbind(each);  // as sockets do at their end
  }

  static endpoint_address at(const char* address, std::uint16_t port) { return {ip(address), port}; }
  static flow to(endpoint_address local, endpoint_address remote = at("10.0.0.9", 999)) { return {local, remote}; }

  port_entry& bound(endpoint_address where, bool reuse_address = false, bool reuse_port = false) {
    port_entry& made = fresh(reuse_address, reuse_port);
    EXPECT_TRUE(ports_.bind(made, where));
    return made;
  }
  port_entry& connected(endpoint_address local, endpoint_address remote) {
    port_entry& made = bound({local.address, local.port}, true);
    ports_.connect(made, local, remote);
    return made;
  }
  port_entry& fresh(bool reuse_address = false, bool reuse_port = false) {
    port_entry& made = entries_.emplace_back();
    made.reuse_address = reuse_address;
    made.reuse_port = reuse_port;
    return made;
  }
  // All that a datagram to a group reaches, in the order of delivery.
  std::vector<port_entry*> all(const flow& where) const {
    std::vector<port_entry*> out;
    for (port_entry* e = nullptr; (e = ports_.find_next(where, e)) != nullptr;) out.push_back(e);
    return out;
  }

  port_table ports_;
  std::deque<port_entry> entries_;  // they don't move
  random_source random_{7};
};

// ---- Who may bind

struct claim {
  const char* address;
  bool reuse_address, reuse_port;
};

std::vector<claim> claims() {
  std::vector<claim> out;
  for (const char* address : {"0.0.0.0", "127.0.0.1", "127.0.0.2"}) {
    for (int flags = 0; flags < 4; ++flags) out.push_back({address, (flags & 1) != 0, (flags & 2) != 0});
  }
  return out;
}

std::string text(const claim& c) {
  return std::string(c.address) + (c.reuse_address ? " REUSEADDR" : "") + (c.reuse_port ? " REUSEPORT" : "");
}

// A kernel socket that holds its port while it lives.
class kernel_socket {
 public:
  explicit kernel_socket(const claim& c) : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    if (c.reuse_address) ::setsockopt(socket_.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (c.reuse_port) ::setsockopt(socket_.number(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    address_.sin_family = AF_INET;
    ::inet_pton(AF_INET, c.address, &address_.sin_addr);
  }
  // errno or 0.
  int bind(std::uint16_t port) {
    address_.sin_port = htons(port);
    return ::bind(socket_.number(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_) == 0 ? 0 : errno;
  }
  std::uint16_t port() const {
    sockaddr_in own{};
    socklen_t size = sizeof own;
    ::getsockname(socket_.number(), reinterpret_cast<sockaddr*>(&own), &size);
    return ntohs(own.sin_port);
  }

 private:
  descriptor socket_;
  sockaddr_in address_{};
};

TEST_F(table, agrees_with_the_kernel_on_who_may_share_a_port) {
  for (const claim& first : claims()) {
    for (const claim& second : claims()) {
      kernel_socket one(first), two(second);
      ASSERT_EQ(one.bind(0), 0);
      const std::uint16_t port = one.port();
      port_entry& ours = fresh(first.reuse_address, first.reuse_port);
      port_entry& other = fresh(second.reuse_address, second.reuse_port);
      ASSERT_TRUE(ports_.bind(ours, at(first.address, port)));
      EXPECT_EQ(ports_.bind(other, at(second.address, port)).code(), two.bind(port))
          << text(first) << ", then " << text(second);
      ports_.unbind(other);
      ports_.unbind(ours);
    }
  }
}

TEST_F(table, agrees_with_the_kernel_on_who_may_join_two_that_share) {
  for (const claim& third : claims()) {
    for (const claim& shared : {claim{"0.0.0.0", true, false}, {"127.0.0.1", false, true}, {"127.0.0.1", true, true}}) {
      kernel_socket one(shared), two(shared), three(third);
      ASSERT_EQ(one.bind(0), 0);
      const std::uint16_t port = one.port();
      ASSERT_EQ(two.bind(port), 0);
      port_entry& a = bound(at(shared.address, port), shared.reuse_address, shared.reuse_port);
      port_entry& b = bound(at(shared.address, port), shared.reuse_address, shared.reuse_port);
      port_entry& c = fresh(third.reuse_address, third.reuse_port);
      EXPECT_EQ(ports_.bind(c, at(third.address, port)).code(), three.bind(port))
          << text(shared) << " twice, then " << text(third);
      for (port_entry* e : {&a, &b, &c}) ports_.unbind(*e);
    }
  }
}

TEST_F(table, an_unbound_port_is_free_again) {
  port_entry& first = bound(at("0.0.0.0", 53));
  EXPECT_EQ(ports_.bind(fresh(), at("10.0.0.1", 53)).code(), EADDRINUSE);
  ports_.unbind(first);
  EXPECT_EQ(first.local.port, 0);
  EXPECT_TRUE(ports_.bind(fresh(), at("10.0.0.1", 53)));
}

TEST_F(table, a_refused_entry_is_in_no_list) {
  bound(at("0.0.0.0", 53));
  port_entry& refused = fresh();
  EXPECT_FALSE(ports_.bind(refused, at("0.0.0.0", 53)));
  EXPECT_EQ(refused.local.port, 0);
  ports_.unbind(refused);  // does nothing
  EXPECT_EQ(all(to(at("10.0.0.1", 53))).size(), 1u);
}

TEST_F(table, a_connected_socket_holds_its_port_as_well) {
  port_entry& c = connected(at("10.0.0.1", 53), at("10.0.0.9", 999));
  c.reuse_address = false;
  EXPECT_EQ(ports_.bind(fresh(), at("10.0.0.1", 53)).code(), EADDRINUSE);
  EXPECT_EQ(ports_.bind(fresh(), at("0.0.0.0", 53)).code(), EADDRINUSE);
  EXPECT_TRUE(ports_.bind(fresh(), at("10.0.0.2", 53)));
}

// ---- Ports that nobody asked for

TEST_F(table, gives_every_ephemeral_port_once_and_then_none) {
  constexpr std::size_t count = port_table::last_ephemeral - port_table::first_ephemeral + 1;
  static_assert(count == 28'232);
  std::set<std::uint16_t> given;
  for (std::size_t i = 0; i < count; ++i) {
    port_entry& e = fresh();
    ASSERT_TRUE(ports_.bind_ephemeral(e, {}, random_)) << i;
    given.insert(e.local.port);
  }
  EXPECT_EQ(given.size(), count);
  EXPECT_EQ(*given.begin(), 32'768);
  EXPECT_EQ(*given.rbegin(), 60'999);
  EXPECT_EQ(ports_.bind_ephemeral(fresh(), {}, random_).code(), EADDRINUSE);
  ports_.unbind(entries_[1234]);
  port_entry& last = fresh();
  EXPECT_TRUE(ports_.bind_ephemeral(last, {}, random_));
  EXPECT_EQ(std::ranges::count(entries_, last.local.port, [](const port_entry& e) { return e.local.port; }), 1);
}

TEST_F(table, ephemeral_ports_are_not_given_in_order) {
  std::set<int> steps;
  int last = 0;
  for (int i = 0; i < 100; ++i) {
    port_entry& e = fresh();
    ASSERT_TRUE(ports_.bind_ephemeral(e, {}, random_));
    steps.insert(e.local.port - last);
    last = e.local.port;
  }
  EXPECT_GT(steps.size(), 90u);
}

// ---- Which socket a datagram is for

TEST_F(table, finds_nobody_where_nobody_is) {
  bound(at("10.0.0.1", 53));
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 54))), nullptr);
  EXPECT_EQ(ports_.find(to(at("10.0.0.2", 53))), nullptr);
}

TEST_F(table, the_most_specific_gets_it) {
  port_entry& any = bound(at("0.0.0.0", 53), true);
  port_entry& address = bound(at("10.0.0.1", 53), true);
  port_entry& peer = connected(at("10.0.0.1", 53), at("10.0.0.9", 999));
  port_entry& later_any = bound(at("0.0.0.0", 53), true);
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53))), &peer);
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53), at("10.0.0.9", 998))), &address);
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53), at("10.0.0.8", 999))), &address);
  EXPECT_EQ(ports_.find(to(at("10.0.0.2", 53))), &later_any);
  ports_.unbind(later_any);
  EXPECT_EQ(ports_.find(to(at("10.0.0.2", 53))), &any);
}

TEST_F(table, of_equals_the_latest_gets_it) {
  port_entry& first = bound(at("10.0.0.1", 53), true);
  port_entry& second = bound(at("10.0.0.1", 53), true);
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53))), &second);
  ports_.unbind(second);
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53))), &first);
}

TEST_F(table, of_connected_equals_the_latest_gets_it) {
  port_entry& first = connected(at("10.0.0.1", 53), at("10.0.0.9", 999));
  port_entry& second = connected(at("10.0.0.1", 53), at("10.0.0.9", 999));
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53))), &second);
  ports_.unbind(second);
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53))), &first);
}

TEST_F(table, a_stranger_finds_no_connected_socket) {
  connected(at("10.0.0.1", 53), at("10.0.0.9", 999));
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53), at("10.0.0.9", 1000))), nullptr);
}

TEST_F(table, a_group_shares_by_conversation) {
  std::map<port_entry*, int> share;
  for (int i = 0; i < 4; ++i) share[&bound(at("10.0.0.1", 53), false, true)] = 0;
  constexpr int conversations = 4000;
  for (int i = 0; i < conversations; ++i) {
    const flow where = to(at("10.0.0.1", 53), {ipv4_address::from_number(0x0a000100u + static_cast<unsigned>(i) / 8),
                                               static_cast<std::uint16_t>(1000 + i % 8)});
    port_entry* chosen = ports_.find(where);
    ASSERT_NE(chosen, nullptr);
    ++share[chosen];
    for (int again = 0; again < 3; ++again) ASSERT_EQ(ports_.find(where), chosen);
  }
  ASSERT_EQ(share.size(), 4u);
  for (const auto& [entry, count] : share) {
    EXPECT_GT(count, conversations / 4 - 150);  // five standard deviations
    EXPECT_LT(count, conversations / 4 + 150);
  }
}

TEST_F(table, another_secret_shares_in_another_way) {
  port_table other;
  ASSERT_TRUE(other.open(0x07e2));
  std::vector<port_entry*> here, there;
  for (int i = 0; i < 4; ++i) {
    here.push_back(&bound(at("10.0.0.1", 53), false, true));
    there.push_back(&fresh(false, true));
    ASSERT_TRUE(other.bind(*there.back(), at("10.0.0.1", 53)));
  }
  int same = 0;
  for (std::uint16_t port = 1; port <= 1000; ++port) {
    const flow where = to(at("10.0.0.1", 53), at("10.0.0.9", port));
    const auto nth = [&](const std::vector<port_entry*>& group, port_entry* e) {
      return std::ranges::find(group, e) - group.begin();
    };
    same += nth(here, ports_.find(where)) == nth(there, other.find(where));
  }
  EXPECT_LT(same, 400);  // a quarter by chance
}

TEST_F(table, groups_of_different_addresses_are_apart) {
  port_entry& any = bound(at("0.0.0.0", 53), false, true);
  port_entry& address = bound(at("10.0.0.1", 53), false, true);
  for (std::uint16_t port = 1; port < 100; ++port) {
    EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53), at("10.0.0.9", port))), &address);
    EXPECT_EQ(ports_.find(to(at("10.0.0.2", 53), at("10.0.0.9", port))), &any);
  }
}

TEST_F(table, a_connected_member_of_a_group_gets_its_peer_alone) {
  port_entry& one = bound(at("10.0.0.1", 53), false, true);
  port_entry& two = bound(at("10.0.0.1", 53), false, true);
  ports_.connect(two, at("10.0.0.1", 53), at("10.0.0.9", 7));
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53), at("10.0.0.9", 7))), &two);
  for (std::uint16_t port = 8; port < 100; ++port) {
    EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53), at("10.0.0.9", port))), &one);
  }
}

TEST_F(table, a_group_address_reaches_every_socket_that_matches) {
  const char* group = "10.0.0.255";
  port_entry& any = bound(at("0.0.0.0", 53), true);
  port_entry& exact = bound(at(group, 53), true);
  port_entry& peer = connected(at(group, 53), at("10.0.0.9", 999));
  bound(at("10.0.0.1", 53), true);
  bound(at("0.0.0.0", 54), true);
  connected(at("10.0.0.1", 53), at("10.0.0.9", 999));
  connected(at(group, 53), at("10.0.0.8", 999));
  EXPECT_THAT(all(to(at(group, 53))), testing::UnorderedElementsAre(&any, &exact, &peer));
  EXPECT_THAT(all(to(at(group, 53), at("10.0.0.7", 1))), testing::UnorderedElementsAre(&any, &exact));
  EXPECT_THAT(all(to(at(group, 55))), testing::IsEmpty());
}

// ---- Connecting moves an entry

TEST_F(table, connecting_and_disconnecting_moves_the_entry) {
  port_entry& e = bound(at("0.0.0.0", 53));
  ports_.connect(e, at("10.0.0.1", 53), at("10.0.0.9", 999));
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53), at("10.0.0.9", 998))), nullptr);
  ports_.connect(e, at("10.0.0.1", 53), at("10.0.0.9", 998));
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53), at("10.0.0.9", 998))), &e);
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53), at("10.0.0.9", 999))), nullptr);
  ports_.disconnect(e, at("0.0.0.0", 53));
  EXPECT_EQ(ports_.find(to(at("10.0.0.2", 53), at("10.0.0.7", 1))), &e);
  EXPECT_FALSE(e.connected);
  ports_.connect(e, at("10.0.0.1", 53), at("10.0.0.9", 999));
  ports_.disconnect(e, {});
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 53))), nullptr);
  EXPECT_TRUE(ports_.bind(fresh(), at("0.0.0.0", 53)));
}

// Many at once, in one port's lists and, by the tables' size, several in a bucket, in any order.
TEST_F(table, keeps_its_lists_whole_under_random_moves) {
  std::map<port_entry*, flow> where;  // connected ones
  for (int step = 0; step < 20'000; ++step) {
    if (where.size() < 500 && random_.below(2) == 0) {
      const flow f = to(at("10.0.0.1", 53), {ipv4_address::from_number(0x0a010000u + random_.below(1u << 16)),
                                             static_cast<std::uint16_t>(1 + random_.below(60'000))});
      if (ports_.find(f) != nullptr) continue;
      where[&connected(f.local, f.remote)] = f;
    } else if (!where.empty()) {
      const auto victim = std::next(where.begin(), random_.below(static_cast<std::uint32_t>(where.size())));
      ports_.unbind(*victim->first);
      EXPECT_EQ(ports_.find(victim->second), nullptr);
      where.erase(victim);
    }
    if (step % 500 != 0) continue;
    for (const auto& [entry, f] : where) ASSERT_EQ(ports_.find(f), entry);
  }
}

// A bucket holds several conversations. So many look-ups, each of which differs from one that is there by a single
// part, that some fall into the very bucket of that one.
TEST_F(table, a_stranger_finds_nobody_even_in_the_bucket_of_his_likeness) {
  constexpr std::uint32_t sockets = 25'000, tries = 20;
  for (std::uint32_t i = 0; i < sockets; ++i) {
    port_entry& e = fresh();
    ASSERT_TRUE(ports_.bind(e, at("10.0.0.1", static_cast<std::uint16_t>(1 + i % 50))));
    ports_.connect(e, at("10.0.0.1", 4433), {ipv4_address::from_number(0x0b000000u + i), 443});
  }
  for (std::uint16_t port = 4434; port < 4434 + tries; ++port) connected(at("10.0.0.9", port), at("10.0.0.8", 1));
  const ip_address ours = ip("10.0.0.1");
  for (std::uint32_t i = 0; i < sockets; ++i) {
    const ip_address peer = ipv4_address::from_number(0x0b000000u + i);
    for (std::uint16_t other = 1; other <= tries; ++other) {
      const auto shifted = static_cast<std::uint16_t>(4433 + other);
      const auto elsewhere = ipv4_address::from_number(peer.ipv4().number() + other * 0x10000u);
      ASSERT_EQ(ports_.find({{ipv4_address::from_number(ours.ipv4().number() + other), 4433}, {peer, 443}}), nullptr);
      ASSERT_EQ(ports_.find({{ours, shifted}, {peer, 443}}), nullptr);
      ASSERT_EQ(ports_.find({{ours, 4433}, {peer, static_cast<std::uint16_t>(443 + other)}}), nullptr);
      ASSERT_EQ(ports_.find({{ours, 4433}, {elsewhere, 443}}), nullptr);
    }
  }
}

// By counting, not by the clock: how many entries stand where a look-up begins.
TEST_F(table, a_hundred_thousand_connected_sockets_on_one_port_are_found_at_once) {
  constexpr std::uint32_t count = 100'000;
  for (std::uint32_t i = 0; i < count; ++i) {
    port_entry& e = fresh();
    ASSERT_TRUE(ports_.bind(e, at("10.0.0.1", static_cast<std::uint16_t>(1 + i % 50))));
    ports_.connect(e, at("10.0.0.1", 4433), {ipv4_address::from_number(0x0b000000u + i), 443});
  }
  std::size_t longest = 0;
  std::uint64_t steps = 0;
  for (port_entry& e : entries_) {
    ASSERT_EQ(ports_.find({e.local, e.remote}), &e);
    std::size_t behind = 1;
    for (port_entry* next = e.next_hashed; next != nullptr; next = next->next_hashed) ++behind;
    longest = std::max(longest, behind);
    steps += behind;
  }
  EXPECT_LE(longest, 16u);
  EXPECT_LE(steps, 3 * std::uint64_t{count});
  EXPECT_EQ(ports_.find(to(at("10.0.0.1", 4433))), nullptr);
}

}  // namespace
}  // namespace fastudp
