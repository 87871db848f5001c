// xdp: on a cable whose far end the kernel has as well: what the program redirects and what it leaves to the kernel, on
// a shared address and on one of our own; modes, queues, losses, and the rings by themselves.

#include <gmock/gmock.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <optional>

#include "link/xdp/partial_checksum.h"
#include "link/xdp/ring.h"
#include "link/xdp/socket.h"
#include "link/xdp/umem.h"
#include "unit/link/xdp_cable.h"

namespace fastudp::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(modes, xdp_link, testing::Values("copy", "generic"),
                         [](const auto& tested) { return tested.param; });

std::string text_of(const char* words) { return words; }

TEST_P(xdp_link, says_how_it_works) {
  ASSERT_NO_FATAL_FAILURE(open());
  EXPECT_TRUE(subject()->info().steered && subject()->info().shared);
  EXPECT_THAT(text_of(subject()->info().way),
              AllOf(HasSubstr(GetParam() == "copy" ? "native" : "generic"), HasSubstr("1 queue")));
}

TEST_P(xdp_link, a_claimed_datagram_is_the_links_and_any_other_the_kernels) {
  ASSERT_NO_FATAL_FAILURE(open());
  EXPECT_EQ(who_gets(datagram()), "kernel");
  ASSERT_TRUE(claims().add(ours(), 0));
  EXPECT_EQ(who_gets(datagram()), "link");
  claims().remove(ours(), 0);
  EXPECT_EQ(who_gets(datagram()), "kernel");
  ASSERT_TRUE(claims().add(ours(1000), 0));
  EXPECT_EQ(who_gets(datagram()), "link");
  EXPECT_EQ(who_gets(datagram(10, [](auto&, auto&, auto& udp) { udp[1] = 1; })), "kernel");  // another peer's
}

TEST_P(xdp_link, what_only_the_kernel_can_deliver_stays_its) {
  ASSERT_NO_FATAL_FAILURE(open());
  ASSERT_TRUE(claims().add(ours(), 0));
  EXPECT_EQ(who_gets(datagram(10,
                              [](auto&, auto& ip, auto&) {  // options
                                ip[0] = '\x46';
                                ip += std::string("\x01\x01\x01\0", 4);
                              })),
            "kernel");
  // The first of two fragments is nobody's, and both together are the kernel's.
  const frame first = datagram(16, [](auto&, auto& ip, auto& udp) { ip[6] = '\x20', udp[5] = 32; });
  frame rest = datagram(0, [](auto&, auto& ip, auto& udp) { ip[7] = 3, udp.assign(8, 'y'); });
  put_on_wire(first);
  EXPECT_EQ(who_gets(rest), "kernel");
  EXPECT_EQ(who_gets(datagram()), "link");
}

TEST_P(xdp_link, what_is_to_another_mac_address_is_nobodys) {
  ASSERT_NO_FATAL_FAILURE(open());
  ASSERT_TRUE(claims().add(ours(), 0));
  put_on_wire(datagram(11, [](auto& mac, auto&, auto&) { mac[5] ^= 1; }));
  put_on_wire(datagram(10));
  EXPECT_THAT(receive(1), ElementsAre(datagram(10)));
  EXPECT_TRUE(subject()->arm());
}

TEST_P(xdp_link, what_is_longer_than_the_mtu_is_the_kernels) {
  ASSERT_NO_FATAL_FAILURE(open("&mtu=1400"));
  ASSERT_EQ(run("ip link set near mtu 3000 && ip link set far mtu 3000"), 0);
  ASSERT_TRUE(claims().add(ours(), 0));
  EXPECT_EQ(who_gets(datagram(1373)), "kernel");
  EXPECT_EQ(who_gets(datagram(1372)), "link");
}

TEST_P(xdp_link, icmp_errors_are_heard_and_stay_the_kernels) {
  ASSERT_NO_FATAL_FAILURE(open());
  const auto message = [&](char type) {
    frame f = datagram(0, [&](auto&, auto& ip, auto& icmp) { ip[9] = 1, icmp.assign(8, '\0'), icmp[0] = type; });
    f[14 + 20] = type;
    return f;
  };
  put_on_wire(message(8));  // an echo request is no error
  put_on_wire(message(3));
  EXPECT_THAT(receive(1), ElementsAre(message(3)));
  EXPECT_TRUE(subject()->arm());
}

// near may not check them: the kernel at far leaves them out, since the cable is "hardware".
TEST_P(xdp_link, a_checksum_that_a_kernel_has_left_out_is_known) {
  ASSERT_EQ(run("ip address add 10.99.1.1/24 dev far"), 0);
  ASSERT_NO_FATAL_FAILURE(open("&address=10.99.1.9/24"));
  ASSERT_EQ(
      run("ip neighbour replace 10.99.1.9 lladdr " + std::string(to_text(subject()->info().mac).c_str()) + " dev far"),
      0);
  const descriptor sender(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(7);
  to.sin_addr.s_addr = htonl(0x0a630109);
  ASSERT_EQ(::sendto(sender.number(), "hello", 5, 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 5);
  burst in;
  for (bool found = false; !found;) {
    ASSERT_TRUE(!subject()->arm() || readable(subject()->wait_fd(), patience_ms));
    in.release_all();
    subject()->rx_burst(in);
    found = !in.empty() && host::text_of(*in.packets()[0]).ends_with("hello");
  }
  EXPECT_EQ(in.packets()[0]->checksum, checksum_state::partial);
}

TEST_P(xdp_link, frames_to_all_and_to_groups_that_were_asked_for_come_and_the_kernel_has_them_too) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  packet_socket kernels("near");
  const mac_address group{{1, 0, 0x5e, 0, 0, 7}};
  const frame to_all = ethernet(broadcast_mac, mac_of(0x99), "to all"),
              to_group = ethernet(group, mac_of(0x99), "group");
  put_on_wire(to_group);
  put_on_wire(to_all);
  EXPECT_THAT(receive(1), ElementsAre(to_all));
  subject()->admit_group(group, true);
  put_on_wire(to_group);
  EXPECT_THAT(receive(1), ElementsAre(to_group));
  put_on_wire(to_us("alone"));
  EXPECT_THAT(receive(1), ElementsAre(to_us("alone")));
  EXPECT_THAT(kernels.receive(3), ElementsAre(to_group, to_all, to_group));
  EXPECT_TRUE(kernels.nothing_there());
}

TEST_P(xdp_link, what_does_not_fit_into_the_ring_is_counted) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  constexpr std::uint64_t many = 6000;
  for (std::uint64_t i = 0; i < many; ++i) put_on_wire(to_us(std::string(60, 'n')));
  const auto got = subject().receive_or_lose(many, drop::link_rx_full);
  const auto lost = subject().dropped(drop::link_rx_full);
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(got + lost, many);
  EXPECT_EQ(subject().dropped(drop::link_no_frame), 0u);
  put_on_wire(to_us("after"));
  EXPECT_THAT(receive(1), ElementsAre(to_us("after")));
}

TEST_P(xdp_link, what_there_is_no_frame_for_is_counted_apart) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  std::vector<packet*> held;
  while (packet* p = subject()->frames().take()) held.push_back(p);
  constexpr std::uint64_t many = 6000, at_once = 500;
  std::uint64_t got = 0;
  const auto take_all = [&] {
    for (burst in; subject()->rx_burst(in) != 0; in.forget_front(in.size())) {
      for (packet* p : in.packets()) held.push_back(p);
      got += in.size();
    }
    subject()->count_losses();
  };
  const auto lost = [&] { return subject().dropped(drop::link_no_frame); };
  for (std::uint64_t sent = 0; sent != many;) {
    for (const std::uint64_t until = sent + at_once; sent != until; ++sent) put_on_wire(to_us(std::string(60, 'n')));
    for (int look = 0; got + lost() != sent && look < 10'000'000; ++look) take_all();
  }
  EXPECT_GT(lost(), 0u);
  EXPECT_EQ(got + lost(), many);
  EXPECT_EQ(subject().dropped(drop::link_rx_full), 0u);
  for (packet* p : held) release(p);
}

TEST_P(xdp_link, what_the_socket_beside_the_rings_has_no_room_for_is_counted) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  constexpr std::uint64_t many = 1000;
  for (std::uint64_t i = 0; i < many; ++i) put_on_wire(ethernet(broadcast_mac, mac_of(0x99), std::string(60, 'n')));
  const auto got = subject().receive_or_lose(many, drop::link_rx_full);
  const auto lost = subject().dropped(drop::link_rx_full);
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(got + lost, many);
}

TEST_P(xdp_link, more_frames_than_a_ring_has_entries_leave_in_order_and_come_home) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  const auto at_rest = subject()->frames().available();
  for (int round = 0; round < 60; ++round) {
    std::vector<frame> frames;
    burst out;
    for (std::size_t i = 0; i < 50; ++i)
      frames.push_back(from_us(std::string(50 + i * 29, static_cast<char>('0' + round))));
    for (const auto& f : frames) out.append(subject().make(f));
    ASSERT_EQ(subject()->tx_burst(out), frames.size());
    out.forget_all();
    subject()->tx_flush();
    EXPECT_THAT(wire_->receive(frames.size()), ElementsAreArray(frames));
  }
  burst in;
  subject()->rx_burst(in);
  EXPECT_EQ(subject()->frames().available(), at_rest);
}

TEST_P(xdp_link, a_child_that_takes_over_goes_on_where_its_parent_was) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  for (char c = 'a'; c < 'e'; ++c) put_on_wire(to_us(std::string(50, c)));
  ASSERT_TRUE(subject().send(from_us("the parent's")));
  burst first;
  first.limit_to(1);
  while (first.empty()) {
    ASSERT_TRUE(!subject()->arm() || readable(subject()->wait_fd(), patience_ms));
    subject()->rx_burst(first);
  }
  const pid_t child = ::fork();
  if (child == 0) {
    put_on_wire(to_us(std::string(50, 'e')));
    std::string seen;
    for (const auto& f : receive(4)) seen += f.back();
    subject().send(from_us("the child's"));
    ::_exit(seen == "bcde" ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(wire_->receive(2), ElementsAre(from_us("the parent's"), from_us("the child's")));
}

TEST_P(xdp_link, each_queue_has_a_socket) {
  ASSERT_EQ(run("ip link delete near && ip link add near numrxqueues 4 type veth peer name far numtxqueues 4 && "
                "ip link set near up && ip link set far up"),
            0);
  while (run("ip link show near | grep -q LOWER_UP") != 0) continue;
  wire_.emplace("far");
  ASSERT_NO_FATAL_FAILURE(open_own());
  EXPECT_EQ(subject()->info().queues, 4u);
  std::vector<frame> sent;
  for (int i = 0; i < 200; ++i) sent.push_back(to_us(std::string(60, static_cast<char>('a' + i % 26))));
  for (const auto& f : sent) put_on_wire(f);
  EXPECT_EQ(receive(sent.size()).size(), sent.size());
  subject_.reset();
  ASSERT_NO_FATAL_FAILURE(open_own("&queues=1-2"));
  EXPECT_EQ(subject()->info().queues, 2u);
  subject_.reset();
  for (const std::string wrong : {"0", "5", "4-4", "2-1", "x", "1-", "-1"}) {
    EXPECT_THAT(why_not(uri("&queues=" + wrong)), HasSubstr("near has 4")) << wrong;
  }
}

TEST_P(xdp_link, an_interface_that_another_program_has_is_refused_and_told) {
  ASSERT_NO_FATAL_FAILURE(open());
  EXPECT_THAT(why_not(uri("")), AllOf(HasSubstr("another fastudp program has this interface"),
                                      HasSubstr("(process " + std::to_string(::getpid()) + ")")));
  subject_.reset();
  claims_.reset();
}

// Of a program that has none at XDP.
TEST_P(xdp_link, a_queue_that_another_socket_has_is_refused_and_told) {
  reason why;
  auto memory = xdp::umem::create(64, 1500, why);
  auto other = xdp::socket::open({.receive = 64, .fill = 64, .send = 0}, why);
  ASSERT_TRUE(memory && other) << why.c_str();
  ASSERT_TRUE(memory->register_with(other->number(), why)) << why.c_str();
  const auto near = static_cast<int>(if_nametoindex("near"));
  ASSERT_TRUE(other->bind(near, 0, XDP_COPY, *other, why)) << why.c_str();
  EXPECT_THAT(why_not(uri("")), HasSubstr("queue 0 has an AF_XDP socket of another program's"));
  EXPECT_NE(run("ip -details link show near | grep -q 'prog/xdp'"), 0);
}

TEST_P(xdp_link, is_gone_when_it_is_closed_and_can_be_opened_again_at_once) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_NO_FATAL_FAILURE(open_own());
    EXPECT_EQ(run("ip -details link show near | grep -q 'prog/xdp'"), 0);
    subject_.reset();
    claims_.reset();
    EXPECT_NE(run("ip -details link show near | grep -q 'prog/xdp'"), 0);
  }
}

TEST_P(xdp_link, needs_a_device_that_is_there_and_keys_that_it_knows) {
  EXPECT_THAT(why_not("xdp:nowhere"), HasSubstr("there is no interface 'nowhere'"));
  EXPECT_THAT(why_not("xdp:near?mode=fast"), HasSubstr("mode=fast: write zerocopy, copy or generic"));
  EXPECT_THAT(why_not("xdp:near?mode=zerocopy"), HasSubstr("xdp:near: queue 0"));
  EXPECT_THAT(why_not("xdp:near?mode=nic"), HasSubstr("no faster than packet: on near"));
  EXPECT_THAT(why_not("xdp:near?mac=02:00:00:00:00:05"), HasSubstr("mac= needs address="));
  EXPECT_THAT(why_not("xdp:near?address=10.0.0.1/24&vlan=7"), HasSubstr("use packet:near"));
  EXPECT_THAT(why_not("xdp:near?mtu=1501"), HasSubstr("from 68 to 1500"));
}

TEST_P(xdp_link, without_a_mode_the_best_that_works_is_taken_and_the_others_are_explained) {
  claims_ = load();
  subject_ = std::make_unique<host>("xdp:near", claims_.get());
  ASSERT_TRUE(*subject_) << subject_->why();
  EXPECT_THAT(text_of(subject()->info().way), AllOf(HasSubstr("native, copied"), HasSubstr("no zero copy: queue 0: ")));
  subject_.reset();
  claims_.reset();
  ASSERT_EQ(run("ip link set near mtu 9000 && ip link set far mtu 9000"), 0);
  EXPECT_THAT(why_not("xdp:near"), AllOf(HasSubstr("perhaps for this MTU"), HasSubstr("no zero copy")));
  claims_ = load();
  subject_ = std::make_unique<host>("xdp:near?mode=generic", claims_.get());
  ASSERT_TRUE(*subject_) << subject_->why();
  EXPECT_EQ(subject()->info().mtu, 4096u - 256 - longest_link_header);
}

TEST_P(xdp_link, what_an_interface_that_is_down_has_not_taken_leaves_when_it_is_up) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  EXPECT_EQ(subject()->deadline(), never);
  ASSERT_EQ(run("ip link set near down"), 0);
  subject()->advance(second);
  EXPECT_TRUE(subject().send(from_us("later")));
  EXPECT_THAT(subject()->deadline(), AllOf(testing::Gt(second), testing::Lt(2 * second)));
  ASSERT_EQ(run("ip link set near up"), 0);
  while (run("ip link show near | grep -q LOWER_UP") != 0) continue;
  wire_.emplace("far");
  subject().receive();
  EXPECT_EQ(subject()->deadline(), never);
  EXPECT_THAT(wire_->receive(1), ElementsAre(from_us("later")));
}

// A TAP interface whose other end nobody reads.
TEST_P(xdp_link, a_full_device_holds_nobody_up) {
  const descriptor file(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  ifreq named{};
  std::strcpy(named.ifr_name, "full");
  named.ifr_flags = IFF_TAP | IFF_NO_PI;
  ASSERT_EQ(::ioctl(file.number(), TUNSETIFF, &named), 0) << std::strerror(errno);
  ASSERT_EQ(run("ip link set full txqueuelen 10 && ip link set full up"), 0);
  ASSERT_NO_FATAL_FAILURE(open("&address=10.0.0.9/24", "full"));
  const auto at_rest = subject()->frames().available();
  for (int i = 0; i < 5000; ++i) {
    burst out;
    out.append(subject().make(from_us("nobody reads this")));
    out.forget_front(subject()->tx_burst(out));
    subject()->tx_flush();
  }
  char room[2000];
  for (int round = 0; round < 1000; ++round) {
    while (::read(file.number(), room, sizeof room) >= 0) continue;
    burst in;
    subject()->rx_burst(in);
  }
  EXPECT_EQ(subject()->frames().available(), at_rest);
  EXPECT_EQ(subject()->deadline(), never);
}

TEST(partial_checksum, is_the_pseudo_headers_sum_alone) {
  frame f = ethernet(mac_of(1), mac_of(2),
                     std::string("\x45\0\0\x1e\0\0\0\0\x40\x11\0\0\x0a\x63\0\x02\x0a\x63\0\x01", 20) +
                         std::string("\x03\xe8\x14\xe9\0\x0a\x14\xe4xy", 10),
                     0x0800);
  const auto bytes = [&] { return std::as_bytes(std::span(f)); };
  EXPECT_TRUE(xdp::has_partial_checksum(bytes()));  // 0x0a63 + 2 + 0x0a63 + 1 + 17 + 10
  f[14 + 20 + 7] ^= 1;
  EXPECT_FALSE(xdp::has_partial_checksum(bytes()));
  f[14 + 20 + 7] ^= 1;
  f[14 + 9] = 6;
  EXPECT_FALSE(xdp::has_partial_checksum(bytes()));  // no UDP
  for (std::size_t size = 0; size < 42; ++size) EXPECT_FALSE(xdp::has_partial_checksum(bytes().first(size)));
}

// Both sides of a ring in memory of the test's own.
class xdp_ring : public testing::Test {
 protected:
  static constexpr std::uint32_t size = 4;
  xdp_ring() {
    xdp_ring_offset at{};
    at.producer = 0, at.consumer = 64, at.flags = 128, at.desc = 192;
    const std::size_t bytes = xdp::ring<std::uint64_t>::bytes(at, size);
    EXPECT_EQ(bytes, 192 + size * sizeof(std::uint64_t));
    auto memory = shared_memory::map(bytes);
    words_ = reinterpret_cast<std::uint32_t*>(memory->data());
    // As old as can be: the counters are about to wrap.
    words_[0] = words_[16] = UINT32_MAX - 1;
    subject_.emplace(std::move(*memory), at, size);
  }
  std::uint32_t& flags() { return words_[32]; }
  std::optional<xdp::ring<std::uint64_t>> subject_;

 private:
  std::uint32_t* words_ = nullptr;
};

TEST_F(xdp_ring, gives_in_order_what_it_was_given_across_the_wrap) {
  auto& ring = *subject_;
  EXPECT_EQ(ring.filled(), 0u);
  for (std::uint64_t round = 0; round < 10; ++round) {
    for (std::uint32_t i = 0; i < 3; ++i) ring.ahead(i) = round * 10 + i;
    EXPECT_EQ(ring.filled(), 0u);  // not yet
    ring.produce(3);
    EXPECT_EQ(ring.filled(), 3u);
    EXPECT_EQ(ring.room(), 1u);
    for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(ring.next(i), round * 10 + i);
    ring.consume(3);
  }
}

TEST_F(xdp_ring, holds_as_many_as_it_has_entries) {
  subject_->produce(size);
  EXPECT_EQ(subject_->room(), 0u);
  subject_->consume(1);
  EXPECT_EQ(subject_->room(), 1u);
}

TEST_F(xdp_ring, says_when_the_kernel_sleeps) {
  EXPECT_FALSE(subject_->needs_wakeup());
  flags() = XDP_RING_NEED_WAKEUP;
  EXPECT_TRUE(subject_->needs_wakeup());
}

}  // namespace
}  // namespace fastudp::test
