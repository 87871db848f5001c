// The BPF programs on a cable between two namespaces: what is claimed comes to the tap alone, everything else to the
// kernel alone, and nothing is left behind.

#include "link/steering.h"

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "unit/link/datagrams.h"
#include "unit/link/near_cable.h"

namespace fastudp::test {
namespace {

class steered : public near_cable {
 protected:
  void SetUp() override {
    near_cable::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    reason why;
    auto loaded = steering::load(why, plugin().c_str());
    ASSERT_TRUE(loaded) << why.c_str();
    steering_ = std::move(*loaded);
    ASSERT_TRUE(steering_->attach(index(), why)) << why.c_str();
    tap_ = tap_of(0);
    mac_ = mac_of_near();
  }
  void TearDown() override { run("ip link delete near 2>/dev/null"); }

  descriptor tap_of(unsigned member) {
    descriptor out(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    const auto filter = steering_->tap_filter(member);
    EXPECT_TRUE(filter);
    const int program = filter ? filter->number() : -1;
    EXPECT_EQ(::setsockopt(out.number(), SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program), 0);
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    at.sll_ifindex = index();
    EXPECT_EQ(::bind(out.number(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    return out;
  }
  static int index() { return static_cast<int>(if_nametoindex("near")); }

  static std::string mac_of_near() {
    std::string mac(6, '\0');
    std::FILE* file = ::popen("ip -o link show near | sed 's/.*ether \\([0-9a-f:]*\\).*/\\1/'", "r");
    unsigned b[6] = {};
    EXPECT_EQ(std::fscanf(file, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]), 6);
    ::pclose(file);
    for (int i = 0; i < 6; ++i) mac[static_cast<std::size_t>(i)] = static_cast<char>(b[i]);
    return mac;
  }

  // A UDP datagram to 10.99.0.1:5353 from 10.99.0.2:`from`; `change` may spoil it.
  template <typename Change>
  void send(std::uint16_t from, const Change& change) {
    std::string ip("\x45\0\0\x1d\0\0\0\0\x40\x11\0\0\x0a\x63\0\x02\x0a\x63\0\x01", 20);
    std::string udp("\0\0\x14\xe9\0\x09\0\0x", 9);
    udp[0] = static_cast<char>(from >> 8);
    udp[1] = static_cast<char>(from);
    std::string mac = mac_;
    change(mac, ip, udp);
    ip.replace(10, 2, number16(~sum_of(ip) & 0xffff));
    wire_->send(mac + std::string("\x02\0\0\0\0\x09\x08\0", 8) + ip + udp);
  }
  void send(std::uint16_t from = 1000) {
    send(from, [](std::string&, std::string&, std::string&) {});
  }
  // Whoever gets it has it by the time that sending returns, or a moment later.
  std::string who_has_it() {
    pollfd both[] = {{tap_.number(), POLLIN, 0}, {kernel_.number(), POLLIN, 0}};
    ::poll(both, 2, patience_ms);
    ::poll(both, 2, 0);
    return who_has_it_now();
  }
  std::string who_has_it_now() {
    char room[2000];
    const bool tap = ::recv(tap_.number(), room, sizeof room, MSG_DONTWAIT) > 0;
    const bool kernel = ::recv(kernel_.number(), room, sizeof room, MSG_DONTWAIT) > 0;
    return tap && kernel ? "both" : tap ? "tap" : kernel ? "kernel" : "nobody";
  }

  static claim ours(std::uint16_t remote_port = 0) {
    claim out{.local = ipv4_address{{10, 99, 0, 1}}, .remote = {}, .local_port = 5353, .remote_port = remote_port};
    if (remote_port != 0) out.remote = ipv4_address{{10, 99, 0, 2}};
    return out;
  }

  std::unique_ptr<steering> steering_;
  descriptor tap_;
  std::string mac_;
};

TEST_F(steered, a_claimed_datagram_is_the_taps_and_any_other_the_kernels) {
  send();
  EXPECT_EQ(who_has_it(), "kernel");
  ASSERT_TRUE(steering_->add(ours(), 0));
  EXPECT_EQ(steering_->add(ours(), 0).code(), EEXIST);
  send();
  EXPECT_EQ(who_has_it(), "tap");
  steering_->remove(ours(), 0);
  send();
  EXPECT_EQ(who_has_it(), "kernel");
}

TEST_F(steered, a_claim_on_one_peer_leaves_the_others_to_the_kernel) {
  ASSERT_TRUE(steering_->add(ours(1000), 0));
  send(1000);
  EXPECT_EQ(who_has_it(), "tap");
  send(1001);
  EXPECT_EQ(who_has_it(), "kernel");
}

TEST_F(steered, options_fragments_and_broadcasts_are_the_kernels) {
  ASSERT_TRUE(steering_->add(ours(), 0));
  send(1, [](std::string&, std::string& ip, std::string&) {
    ip[0] = 0x46;
    ip[3] = 0x21;
    ip += std::string("\x01\x01\x01\0", 4);
  });
  EXPECT_EQ(who_has_it(), "kernel");
  send(1, [](std::string& mac, std::string&, std::string&) { mac.assign(6, '\xff'); });
  EXPECT_EQ(who_has_it(), "kernel");
  send(1, [](std::string&, std::string& ip, std::string&) { ip[6] = 0x20; });  // the first of several, which never come
  send(2);
  EXPECT_EQ(who_has_it(), "tap");
  EXPECT_EQ(::recv(tap_.number(), nullptr, 0, MSG_DONTWAIT), -1);
}

TEST_F(steered, what_the_kernel_gives_a_socket_is_counted_without_a_call) {
  const auto count = steering_->watch(kernel_.number());
  ASSERT_TRUE(count);
  const std::uint64_t before = **count;
  for (int i = 0; i < 3; ++i) send();
  while (**count != before + 3) continue;
  steering_->unwatch(*count);
}

TEST_F(steered, each_conversation_is_one_members_and_the_kernel_has_none) {
  const descriptor other = tap_of(1);
  ASSERT_TRUE(steering_->add(ours(), 0));
  ASSERT_TRUE(steering_->add(ours(), 1));
  EXPECT_EQ(steering_->add(ours(), 1).code(), EEXIST);
  const auto of_other = [&] { return ::recv(other.number(), nullptr, 0, MSG_DONTWAIT | MSG_TRUNC) >= 0; };
  std::array<int, 2> shares{};
  for (std::uint16_t from = 1000; from < 1100; ++from) {
    bool first = false;
    for (int repeat = 0; repeat < 3; ++repeat) {
      send(from);
      pollfd both[] = {{tap_.number(), POLLIN, 0}, {other.number(), POLLIN, 0}};
      ASSERT_GT(::poll(both, 2, patience_ms), 0);
      const bool is_others = of_other();
      ASSERT_EQ(who_has_it_now(), is_others ? "nobody" : "tap");
      if (repeat == 0) first = is_others;
      ASSERT_EQ(is_others, first);
      ++shares[is_others];
    }
  }
  EXPECT_GT(shares[0], 60);
  EXPECT_GT(shares[1], 60);
  steering_->remove_member(1);
  for (std::uint16_t from = 1000; from < 1020; ++from) {
    send(from);
    EXPECT_EQ(who_has_it(), "tap");
  }
  EXPECT_FALSE(of_other());
  steering_->remove_member(0);
  send();
  EXPECT_EQ(who_has_it(), "kernel");
}

// As it would be if the claim changed between them.
TEST_F(steered, what_one_tap_has_taken_no_other_takes) {
  const descriptor twin = tap_of(0);
  ASSERT_TRUE(steering_->add(ours(), 0));
  for (int times = 0; times < 3; ++times) {
    send();
    pollfd both[] = {{tap_.number(), POLLIN, 0}, {twin.number(), POLLIN, 0}};
    ASSERT_EQ(::poll(both, 2, patience_ms), 1);
    const bool is_twins = ::recv(twin.number(), nullptr, 0, MSG_DONTWAIT | MSG_TRUNC) >= 0;
    EXPECT_EQ(who_has_it_now(), is_twins ? "nobody" : "tap");
  }
}

TEST_F(steered, whose_a_flow_is_may_change_under_traffic_and_nothing_is_lost_or_comes_twice) {
  const descriptor other = tap_of(1);
  std::atomic<bool> done{false};
  std::thread changing([&] {
    for (unsigned i = 0; !done; ++i) {
      (void)steering_->add(ours(), i % 2);
      (void)steering_->add(ours(), 1 - i % 2);
      steering_->remove(ours(), i % 2);
      if (i % 3 == 0) steering_->remove_member(1 - i % 2);
    }
  });
  const auto drain = [](int socket) {
    int count = 0;
    while (::recv(socket, nullptr, 0, MSG_DONTWAIT | MSG_TRUNC) >= 0) ++count;
    return count;
  };
  constexpr int all = 20'000;
  int came = 0;
  for (int i = 0; i < all; ++i) {
    send(static_cast<std::uint16_t>(i),
         [&](std::string&, std::string&, std::string& udp) { udp[8] = static_cast<char>(i); });
    if (i % 16 == 0) came += drain(tap_.number()) + drain(other.number()) + drain(kernel_.number());
  }
  for (int looks = 0; came < all && looks < 1000; ++looks) {
    pollfd each[] = {{tap_.number(), POLLIN, 0}, {other.number(), POLLIN, 0}, {kernel_.number(), POLLIN, 0}};
    if (::poll(each, 3, patience_ms) <= 0) break;
    came += drain(tap_.number()) + drain(other.number()) + drain(kernel_.number());
  }
  done = true;
  changing.join();
  EXPECT_EQ(came, all);
}

TEST_F(steered, it_goes_on_without_privileges) {
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = ::setgid(65534) == 0 && ::setuid(65534) == 0 && steering_->add(ours(), 0);
    good = good && steering_->watch(kernel_.number());
    steering_->remove(ours(), 0);
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

// A link that is steered, with each kind of ring.
class steered_link : public steered, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    steered::SetUp();
    if (IsSkipped()) return;
    tap_ = {};
    reason why;
    steering_ = std::move(*steering::load(why, plugin().c_str()));
    link_ = std::make_unique<host>(std::string("packet:near?ring=") + GetParam(), steering_.get());
    ASSERT_TRUE(*link_) << link_->why();
    ASSERT_TRUE((*link_)->info().steered);
  }
  std::vector<frame> receive(std::size_t expected) { return receive_awaited(*link_, expected); }

  std::unique_ptr<host> link_;
};

TEST_P(steered_link, has_what_is_claimed_and_nothing_else) {
  ASSERT_TRUE(steering_->add(ours(1000), 0));
  const auto with = [](char payload) {
    return [payload](std::string&, std::string&, std::string& udp) { udp[8] = payload; };
  };
  send(1001, with('k'));
  send(1000, with('x'));
  send(1000, with('y'));
  const auto got = receive(2);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].back(), 'x');
  EXPECT_EQ(got[1].back(), 'y');
  EXPECT_EQ(who_has_it(), "kernel");
  EXPECT_EQ(who_has_it_now(), "nobody");
}

// By processes, one after the other: each has the member's share, and what came for nobody doesn't come later.
TEST_P(steered_link, an_end_is_opened_by_one_process_after_the_other) {
  reason why;
  EXPECT_EQ((*link_)->open_end(1, link_->count(), why).code(), EOPNOTSUPP);
  ASSERT_TRUE((*link_)->set_ends_aside(why)) << why.c_str();
  ASSERT_TRUE(steering_->add(ours(), 1));
  for (const char payload : {'a', 'b', 'c'}) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto opened = (*link_)->open_end(1, link_->count(), why);
      if (!opened) ::_exit(1);
      link_->adopt(std::move(*opened));
      send(1000, [&](std::string&, std::string&, std::string& udp) { udp[8] = payload; });
      const auto got = receive(1);
      const bool sent = link_->send(ethernet(mac_of(1), mac_of(2), std::string(50, payload)));
      ::_exit(got.size() == 1 && got[0].back() == payload && sent ? 0 : 2);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(who_has_it_now(), "nobody");
    if (payload == 'b') continue;  // nobody has cleared away: the next one does
    (*link_)->close_end(1);
    send();
    EXPECT_EQ(who_has_it(), "kernel");
  }
}

INSTANTIATE_TEST_SUITE_P(rings, steered_link, testing::Values("v2", "v3", "off"),
                         [](const auto& tested) { return tested.param; });

// The numbers of the programs that the kernel says are at tc ingress of the interface.
std::vector<std::uint32_t> programs_on_near() {
  constexpr int tcx_ingress = 46;
  std::vector<std::uint32_t> numbers(64);
  bpf_attr asked{};
  asked.query.target_fd = if_nametoindex("near");
  asked.query.attach_type = tcx_ingress;
  asked.query.prog_ids = reinterpret_cast<std::uintptr_t>(numbers.data());
  asked.query.prog_cnt = static_cast<std::uint32_t>(numbers.size());
  EXPECT_EQ(::syscall(SYS_bpf, BPF_PROG_QUERY, &asked, sizeof asked), 0) << std::strerror(errno);
  numbers.resize(asked.query.prog_cnt);
  return numbers;
}

std::size_t attached() { return programs_on_near().size(); }

// ---- Somebody takes the program off

struct program_link {
  std::uint32_t number = 0;
  descriptor held;
};

program_link link_after(std::uint32_t last) {
  bpf_attr asked{};
  asked.start_id = last;
  if (::syscall(SYS_bpf, BPF_LINK_GET_NEXT_ID, &asked, sizeof asked) != 0) return {};
  program_link out{.number = asked.next_id, .held = {}};
  asked = {};
  asked.link_id = out.number;
  out.held = descriptor(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_GET_FD_BY_ID, &asked, sizeof asked)));
  return out;
}

// Interfaces in other namespaces have the same number.
bool is_on_near(const descriptor& link) {
  bpf_link_info info{};
  bpf_attr asked{};
  asked.info.bpf_fd = static_cast<std::uint32_t>(link.number());
  asked.info.info_len = sizeof info;
  asked.info.info = reinterpret_cast<std::uintptr_t>(&info);
  const bool told = ::syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &asked, sizeof asked) == 0;
  return told && info.xdp.ifindex == if_nametoindex("near") &&
         std::ranges::count(programs_on_near(), info.prog_id) == 1;
}

void take_off() {
  for (program_link each = link_after(0); each.number != 0; each = link_after(each.number)) {
    if (!each.held || !is_on_near(each.held)) continue;
    bpf_attr asked{};
    asked.link_detach.link_fd = static_cast<std::uint32_t>(each.held.number());
    ASSERT_EQ(::syscall(SYS_bpf, BPF_LINK_DETACH, &asked, sizeof asked), 0) << std::strerror(errno);
  }
}

// What one frame leaves behind concerns those that come on the same processor, which is the sender's.
void stay_on_this_processor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
}

TEST_F(steered, a_program_that_was_taken_off_is_missed_and_put_back) {
  EXPECT_TRUE(steering_->is_attached());
  take_off();
  EXPECT_EQ(attached(), 0u);
  EXPECT_FALSE(steering_->is_attached());
  ASSERT_TRUE(steering_->attach_again());
  EXPECT_EQ(attached(), 1u);
  EXPECT_TRUE(steering_->is_attached());
  EXPECT_EQ(steering_->attach_again().code(), EEXIST);
}

TEST_F(steered, without_the_program_the_taps_leave_all_but_the_first_to_the_kernel) {
  stay_on_this_processor();
  ASSERT_TRUE(steering_->add(ours(), 0));
  send(1000);
  EXPECT_EQ(who_has_it(), "tap");
  take_off();
  send(1001);
  EXPECT_EQ(who_has_it(), "both");
  for (std::uint16_t from = 1002; from < 1010; ++from) {
    send(from);
    EXPECT_EQ(who_has_it(), "kernel");
  }
  ASSERT_TRUE(steering_->attach_again());
  send(1010);
  EXPECT_EQ(who_has_it(), "kernel");  // by this one tc shows that it is there
  send(1011);
  EXPECT_EQ(who_has_it(), "tap");
}

TEST_F(steered, a_socket_that_is_watched_gets_nothing_that_a_tap_has) {
  stay_on_this_processor();
  ASSERT_TRUE(steering_->watch(kernel_.number()));
  ASSERT_TRUE(steering_->add(ours(), 0));
  take_off();
  for (std::uint16_t from = 1000; from < 1010; ++from) {
    send(from);
    EXPECT_EQ(who_has_it(), "tap");
  }
  steering_->remove(ours(), 0);
  send(2000);
  EXPECT_EQ(who_has_it(), "kernel");
}

TEST_F(steered, nothing_is_left_at_the_interface) {
  EXPECT_EQ(attached(), 1u);
  steering_.reset();
  EXPECT_EQ(attached(), 0u);
}

TEST_F(steered, an_interface_that_isnt_there_is_said_to_be_missing) {
  reason why;
  EXPECT_EQ(steering_->attach(99'999, why).code(), ENODEV);
  EXPECT_FALSE(why.empty());
}

TEST(steering, without_its_plugin_it_says_what_to_install) {
  reason why;
  EXPECT_EQ(steering::load(why, "/nowhere/fastudp-bpf.so").code(), ENOENT);
  EXPECT_NE(std::string(why.c_str()).find("install"), std::string::npos);
}

}  // namespace
}  // namespace fastudp::test
