// dpdk: in a program that knows nothing of DPDK: what it says when it can't, that it leaves no trace, and what becomes
// of frames that nobody takes. The contract test has the rest.

#include <gmock/gmock.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <thread>

#include "unit/link/namespace.h"

namespace fastudp::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// What is the program's, and not a library's to change.
struct surroundings {
  surroundings() {
    CPU_ZERO(&cpus);
    pthread_getaffinity_np(pthread_self(), sizeof cpus, &cpus);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    for (int i = 1; i < _NSIG; ++i) {
      struct sigaction action {};
      if (sigaction(i, nullptr, &action) == 0) handlers.push_back(action.sa_handler);
      blocked.push_back(sigismember(&mask, i));
    }
  }
  cpu_set_t cpus;
  std::vector<int> blocked;
  std::vector<void (*)(int)> handlers;
};

class dpdk : public testing::Test {
 protected:
  static void SetUpTestSuite() { before.emplace(); }
  void SetUp() override {
    if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
    host any("dpdk:net_ring9");
    if (std::string_view(any.why()).starts_with("fastudp-dpdk.so")) GTEST_SKIP() << any.why();
    ASSERT_TRUE(any) << any.why();
  }

  static inline std::optional<surroundings> before;
};

std::size_t entries(const char* folder) {
  const std::filesystem::directory_iterator begin(folder), end;
  return static_cast<std::size_t>(std::distance(begin, end));
}

template <typename Call>
std::string written_by(const Call& call) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  call();
  return testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
}

std::string refusal(const std::string& uri) {
  host refused(uri);
  EXPECT_FALSE(refused) << uri;
  EXPECT_THAT(refused.why(), Not(HasSubstr("\n")));
  return refused.why();
}

TEST_F(dpdk, says_what_is_wrong_in_one_line_and_writes_nothing) {
  const auto written = written_by([] {
    EXPECT_THAT(refusal("dpdk:"), HasSubstr("needs a port"));
    EXPECT_THAT(refusal("dpdk:net_nothing0"), HasSubstr("net_nothing0"));
    EXPECT_THAT(refusal("dpdk:net_af_packet7,iface=absent"),
                AllOf(HasSubstr("net_af_packet7"), HasSubstr("No such device")));
    EXPECT_THAT(refusal("dpdk:net_tap7,iface=big?mtu=9000"), AllOf(HasSubstr("mtu"), HasSubstr("1504")));
    EXPECT_THAT(refusal("dpdk:net_ring7?eal=--no-huge,-m,64"), AllOf(HasSubstr("eal="), HasSubstr("too late")));
    EXPECT_THAT(refusal("dpdk:net_memif7,role=client,socket=nobody"), HasSubstr("connect"));
    EXPECT_THAT(refusal("dpdk:net_ring7?mac=01:00:5e:00:00:01"), HasSubstr("mac"));
  });
  EXPECT_EQ(written, "");
}

TEST_F(dpdk, a_port_has_one_user) {
  host first("dpdk:net_ring0");
  ASSERT_TRUE(first) << first.why();
  EXPECT_THAT(refusal("dpdk:net_ring0"), AllOf(HasSubstr("net_ring0"), HasSubstr("in use")));
  first.close();
  EXPECT_TRUE(host("dpdk:net_ring0"));
}

TEST_F(dpdk, opening_changes_nothing_that_is_the_programs) {
  const host tap("dpdk:net_tap0,iface=quiet");
  const surroundings now;
  EXPECT_TRUE(CPU_EQUAL(&before->cpus, &now.cpus));
  EXPECT_EQ(before->blocked, now.blocked);
  EXPECT_EQ(before->handlers, now.handlers);
}

TEST_F(dpdk, opening_and_closing_leaves_nothing_behind) {
  const auto open_all = [] {
    host tap("dpdk:net_tap0,iface=often"), ring("dpdk:net_ring0"), packet("dpdk:net_af_packet0,iface=often");
    EXPECT_TRUE(tap && ring && packet) << tap.why() << ring.why() << packet.why();
  };
  open_all();
  const auto descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task");
  for (int i = 0; i < 100; ++i) open_all();
  EXPECT_EQ(entries("/proc/self/fd"), descriptors);
  EXPECT_EQ(entries("/proc/self/task"), threads);
  EXPECT_EQ(if_nametoindex("often"), 0u);
}

TEST_F(dpdk, frames_for_a_cable_that_is_not_there_are_dropped_and_counted) {
  host alone("dpdk:net_memif0,role=server,socket=nobody");
  ASSERT_TRUE(alone) << alone.why();
  const auto at_rest = alone->frames().available();
  const auto foreign = pool::create(8, 2048);
  burst out;
  for (int i = 0; i < 4; ++i) {
    out.append(alone.make(ethernet(mac_of(1), alone->info().mac, std::string(46, 'x'))));
    out.append(host::make_in(**foreign, ethernet(mac_of(1), alone->info().mac, std::string(46, 'x'))));
  }
  EXPECT_EQ(alone->tx_burst(out), 8u);
  out.forget_all();
  EXPECT_EQ(alone.dropped(drop::link_error), 8u);
  EXPECT_EQ(alone->frames().available(), at_rest);
  EXPECT_EQ((*foreign)->available(), 8u);
}

// A client of memif's, without DPDK: a socket at the server's name, which tells who it is and no more.
descriptor connected_to_memif(std::string_view name) {
  descriptor out(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  name.copy(at.sun_path + 1, sizeof at.sun_path - 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::connect(out.number(), reinterpret_cast<sockaddr*>(&at), size) != 0) return {};
  return out;
}

// The driver's thread ends the process of a server whose client goes before.
bool is_greeted(const descriptor& client) {
  std::array<char, 128> hello;
  return ::recv(client.number(), hello.data(), hello.size(), 0) > 0;
}

bool is_listening(std::string_view name) {
  const auto client = connected_to_memif(name);
  return client && is_greeted(client);
}

void come_and_go(std::string_view name) {
  constexpr std::uint16_t type_init = 3, version = 0x200;
  const auto client = connected_to_memif(name);
  if (!client || !is_greeted(client)) return;
  std::array<char, 128> message{};
  std::memcpy(message.data(), &type_init, sizeof type_init);
  std::memcpy(message.data() + sizeof type_init, &version, sizeof version);
  ::send(client.number(), message.data(), message.size(), MSG_NOSIGNAL);
}

TEST_F(dpdk, a_memif_server_that_is_closed_listens_no_more_and_can_be_opened_again) {
  for (int round = 0; round < 3; ++round) {
    host server("dpdk:net_memif0,role=server,socket=again");
    ASSERT_TRUE(server) << server.why();
    const auto client = connected_to_memif("again");
    ASSERT_TRUE(client);
    server.close();
    EXPECT_FALSE(is_listening("again"));
    while (is_greeted(client)) continue;
  }
}

TEST_F(dpdk, a_memif_server_listens_for_as_long_as_another_port_is_on_its_socket) {
  host first("dpdk:net_memif0,role=server,id=0,socket=shared"),
      second("dpdk:net_memif1,role=server,id=1,socket=shared");
  ASSERT_TRUE(first && second) << first.why() << second.why();
  first.close();
  EXPECT_TRUE(is_listening("shared"));
  second.close();
  EXPECT_FALSE(is_listening("shared"));
}

TEST_F(dpdk, memif_clients_may_come_and_go_while_their_server_is_closed) {
  std::atomic<bool> is_over = false;
  std::thread clients([&] {
    while (!is_over) come_and_go("busy");
  });
  for (int round = 0; round < 50; ++round) {
    host server("dpdk:net_memif0,role=server,socket=busy"), tap("dpdk:net_tap0,iface=busy");
    EXPECT_TRUE(server && tap) << server.why() << tap.why();
  }
  is_over = true;
  clients.join();
}

// What is sent to the ring comes back by it: it is full when nobody receives.
TEST_F(dpdk, what_does_not_fit_stays_the_callers) {
  host ring("dpdk:net_ring0");
  ASSERT_TRUE(ring) << ring.why();
  burst out;
  std::vector<frame> sent;
  std::size_t taken = burst::capacity;
  while (taken == burst::capacity) {
    for (auto n = sent.size() + out.size(); out.room() != 0; ++n)
      out.append(ring.make("frame number " + std::to_string(n)));
    taken = ring->tx_burst(out);
    for (std::size_t i = 0; i != taken; ++i) sent.push_back("frame number " + std::to_string(sent.size()));
    out.forget_front(taken);
  }
  EXPECT_EQ(ring->tx_burst(out), 0u);
  std::vector<frame> received;
  for (auto some = ring.receive(); !some.empty(); some = ring.receive()) {
    received.insert(received.end(), some.begin(), some.end());
  }
  EXPECT_EQ(received, sent);
  EXPECT_EQ(ring->tx_burst(out), out.size());
  out.forget_all();
  EXPECT_EQ(ring.dropped(drop::link_error), 0u);
}

TEST_F(dpdk, frames_may_come_back_on_any_thread) {
  host ring("dpdk:net_ring0");
  ASSERT_TRUE(ring) << ring.why();
  const auto at_rest = ring->frames().available();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.send(ethernet(mac_of(1), mac_of(2), std::string(46, 'x'))));
  burst in;
  EXPECT_EQ(ring->rx_burst(in), 4u);
  std::thread([&] {
    for (packet* p : in.packets()) p->home->release_from_any_thread(p);
  }).join();
  in.forget_all();
  ring->frames().reclaim();
  EXPECT_EQ(ring->frames().available(), at_rest);
}

TEST_F(dpdk, a_forked_child_leaves_the_port_alone_and_opens_none) {
  auto tap = std::make_unique<host>("dpdk:net_tap0,iface=forked");
  ASSERT_TRUE(*tap) << tap->why();
  const pid_t child = ::fork();
  if (child == 0) {
    tap.reset();
    const host another("dpdk:net_ring1");
    const bool is_right = !another && std::string_view(another.why()).find("forked") != std::string_view::npos;
    ::_exit(is_right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  packet_socket kernel("forked");
  const auto f = ethernet(mac_of(0x99), (*tap)->info().mac, std::string(46, 'x'));
  EXPECT_TRUE(tap->send(f));
  EXPECT_THAT(kernel.receive(1), testing::ElementsAre(f));
}

}  // namespace
}  // namespace fastudp::test
