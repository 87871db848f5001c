// Companions: Linux's own sockets, and the filter that keeps out what the fast path takes.

#include "host/companion.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <netinet/in.h>

#include <array>
#include <string>

#include "host/firewall.h"
#include "host/ports.h"
#include "unit/link/namespace.h"

namespace fastudp::test {
namespace {

const ipv4_address loopback{{127, 0, 0, 1}};

std::span<std::byte> octets(std::string& text) { return std::as_writable_bytes(std::span(text)); }

class companions : public testing::Test {
 protected:
  void SetUp() override {
    if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
    ASSERT_EQ(run("ip link set lo up"), 0);
    a_ = std::move(*companion::open(ip_family::v4));
    b_ = std::move(*companion::open(ip_family::v4));
    ASSERT_TRUE(a_.bind({loopback, 0}));
    ASSERT_TRUE(b_.bind({loopback, 0}));
  }
  result<std::size_t> send(companion& from, std::string text, const endpoint_address& to) {
    kernel_message m{.data = octets(text), .control = {}, .peer = to, .has_peer = true};
    return from.send({&m, 1}, 0);
  }
  std::string receive(companion& from) {
    std::string room(100, '\0');
    kernel_message m{.data = octets(room), .control = {}, .peer = {}};
    const auto got = from.receive({&m, 1}, MSG_DONTWAIT);
    return got ? room.substr(0, m.length) : std::strerror(got.code());
  }

  companion a_, b_;
};

TEST_F(companions, bursts_arrive_whole_with_their_senders_and_lengths) {
  std::array<std::string, 100> texts;
  std::array<kernel_message, 100> out;
  for (std::size_t i = 0; i < 100; ++i) {
    texts[i] = std::string(i, 'x');
    out[i] = {.data = octets(texts[i]), .control = {}, .peer = *b_.local(), .has_peer = true};
  }
  EXPECT_EQ(*a_.send({out.data(), 100}, 0), 64u);  // at most so many a call
  EXPECT_EQ(*a_.send({out.data() + 64, 36}, 0), 36u);
  std::array<std::string, 100> rooms;
  std::array<kernel_message, 100> in;
  for (std::size_t i = 0; i < 100; ++i) {
    rooms[i].resize(50);
    in[i] = {.data = octets(rooms[i]), .control = {}, .peer = {}};
  }
  ASSERT_EQ(*b_.receive({in.data(), 64}, 0), 64u);
  ASSERT_EQ(*b_.receive({in.data() + 64, 36}, 0), 36u);
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(in[i].length, i);
    EXPECT_EQ(in[i].data.size(), std::min<std::size_t>(i, 50));
    EXPECT_EQ((in[i].flags & MSG_TRUNC) != 0, i > 50);
    EXPECT_EQ(in[i].peer, *a_.local());
  }
}

TEST_F(companions, errors_are_linuxs) {
  EXPECT_EQ(a_.bind({loopback, 1}).code(), EINVAL);
  companion other = std::move(*companion::open(ip_family::v4));
  EXPECT_EQ(other.bind(*a_.local()).code(), EADDRINUSE);
  EXPECT_EQ(other.peer().code(), ENOTCONN);
  EXPECT_EQ(receive(other), std::strerror(EAGAIN));
  EXPECT_EQ(other.bind({ipv4_address{{192, 0, 2, 1}}, 0}).code(), EADDRNOTAVAIL);
  EXPECT_TRUE(other.bind_to_foreign({ipv4_address{{192, 0, 2, 1}}, 0}));
  int is_free = -1;
  ASSERT_TRUE(other.get_option(IPPROTO_IP, IP_FREEBIND, std::as_writable_bytes(std::span(&is_free, 1))));
  EXPECT_EQ(is_free, 0);
  EXPECT_EQ(companion::adopt(::dup(0)).code(), ENOTSOCK);
}

TEST_F(companions, a_closed_port_refuses) {
  const auto nobody = *b_.local();
  b_ = companion();
  ASSERT_TRUE(a_.connect(nobody));
  ASSERT_TRUE(send(a_, "x", nobody));
  EXPECT_EQ(receive(a_), std::strerror(ECONNREFUSED));
  EXPECT_EQ(*a_.peer(), nobody);
  EXPECT_TRUE(a_.disconnect());
  EXPECT_EQ(a_.peer().code(), ENOTCONN);
}

TEST_F(companions, what_arrives_on_the_interface_is_kept_out_and_let_in_again) {
  const auto to = *b_.local();
  ASSERT_TRUE(b_.keep_out(static_cast<int>(if_nametoindex("lo")), {}));
  ASSERT_TRUE(send(a_, "lost", to));
  EXPECT_EQ(receive(b_), std::strerror(EAGAIN));
  b_.let_in({});
  ASSERT_TRUE(b_.keep_out(99, {}));
  ASSERT_TRUE(send(a_, "elsewhere", to));
  EXPECT_EQ(receive(b_), "elsewhere");
}

TEST_F(companions, a_filter_of_the_programs_own_stays) {
  sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, 0xffffffff)};
  const sock_fprog program{.len = 1, .filter = all};
  ASSERT_EQ(::setsockopt(b_.number(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
  EXPECT_EQ(b_.keep_out(1, {}).code(), EBUSY);
}

TEST_F(companions, what_is_let_in_is_the_programs_to_judge) {
  const auto to = *b_.local();
  const int lo = static_cast<int>(if_nametoindex("lo"));
  const sock_filter twelve[] = {BPF_STMT(BPF_RET | BPF_A, 0), BPF_STMT(BPF_RET | BPF_K, 12)};
  const sock_filter four_bytes = BPF_STMT(BPF_RET | BPF_K, 12);
  ASSERT_TRUE(b_.keep_out(lo + 98, {&four_bytes, 1}));
  ASSERT_TRUE(send(a_, "elsewhere", to));
  EXPECT_EQ(receive(b_), "else");
  ASSERT_TRUE(b_.keep_out(lo, {&four_bytes, 1}));
  ASSERT_TRUE(send(a_, "lost", to));
  EXPECT_EQ(receive(b_), std::strerror(EAGAIN));
  ASSERT_TRUE(b_.keep_out(lo + 98, twelve));  // nothing is in the accumulator
  ASSERT_TRUE(send(a_, "refused", to));
  EXPECT_EQ(receive(b_), std::strerror(EAGAIN));
  ASSERT_TRUE(b_.keep_out(lo, {&four_bytes, 1}));
  b_.let_in({&four_bytes, 1});
  ASSERT_TRUE(send(a_, "cut again", to));
  EXPECT_EQ(receive(b_), "cut ");
  b_.detach();
  ASSERT_TRUE(send(a_, "whole", to));
  EXPECT_EQ(receive(b_), "whole");
}

struct nobodys final : own_sockets {
  std::uint64_t mine = 0;
  bool has(std::uint64_t cookie) const override { return cookie == mine; }
};

TEST_F(companions, a_port_that_others_share_is_found) {
  nobodys ours;
  companion first = std::move(*companion::open(ip_family::v4)), second = std::move(*companion::open(ip_family::v4));
  const int on = 1;
  for (companion* each : {&first, &second})
    ASSERT_TRUE(each->set_option(SOL_SOCKET, SO_REUSEPORT, std::as_bytes(std::span(&on, 1))));
  ASSERT_TRUE(first.bind({loopback, 0}));
  ours.mine = cookie_of(first.number());
  EXPECT_FALSE(shares_port(first.number(), ours));
  ASSERT_TRUE(second.bind({ipv4_address{}, first.local()->port}));
  EXPECT_TRUE(shares_port(first.number(), ours));
}

TEST_F(companions, a_namespace_without_rules_has_no_firewall) {
  char text[100];
  EXPECT_EQ(host_firewall_has_rules(text, sizeof text), certainty::no);
}

}  // namespace
}  // namespace fastudp::test
