// tap: what it makes of the kernel's interface, what it says when it can't, and what passes with a kernel's UDP socket
// at the other end.

#include <gmock/gmock.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <thread>

#include "unit/link/datagrams.h"
#include "unit/link/namespace.h"

namespace fastudp::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

class tap : public testing::Test {
 protected:
  void SetUp() override {
    if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
  }
};

int number_of(const char* interface, int request_code) {
  ifreq request{};
  std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  const descriptor control(::socket(AF_INET, SOCK_DGRAM, 0));
  if (::ioctl(control.number(), static_cast<unsigned long>(request_code), &request) != 0) return -1;
  return request_code == SIOCGIFMTU ? request.ifr_mtu : request.ifr_flags;
}

mac_address kernel_mac(const char* interface) {
  ifreq request{};
  std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  const descriptor control(::socket(AF_INET, SOCK_DGRAM, 0));
  EXPECT_EQ(::ioctl(control.number(), SIOCGIFHWADDR, &request), 0);
  mac_address out;
  std::memcpy(out.bytes.data(), request.ifr_hwaddr.sa_data, out.bytes.size());
  return out;
}

TEST_F(tap, makes_the_interface_brings_it_up_and_takes_it_away) {
  {
    host t("tap:made");
    ASSERT_TRUE(t) << t.why();
    EXPECT_NE(number_of("made", SIOCGIFFLAGS) & IFF_UP, 0);
    EXPECT_EQ(number_of("made", SIOCGIFMTU), 1500);
    EXPECT_EQ(t->info().mtu, 1500u);
  }
  EXPECT_EQ(if_nametoindex("made"), 0u);
}

TEST_F(tap, has_an_address_of_its_own_that_stays_with_the_interface) {
  ASSERT_EQ(run("ip tuntap add dev lasting mode tap"), 0);
  host first("tap:lasting");
  ASSERT_TRUE(first) << first.why();
  const auto mac = first->info().mac;
  EXPECT_NE(mac, kernel_mac("lasting"));
  EXPECT_EQ(mac.bytes[0] & 3, 2);  // unicast, locally administered
  first.close();
  host again("tap:lasting"), other("tap:other");
  EXPECT_EQ(again->info().mac, mac);
  EXPECT_NE(other->info().mac, mac);
  again.close();
  EXPECT_NE(if_nametoindex("lasting"), 0u);
  EXPECT_EQ(run("ip link del lasting"), 0);
}

// An administrator numbers interfaces in sequence: the address beside one isn't the next.
TEST_F(tap, its_address_is_locally_administered_and_far_from_the_kernels) {
  ASSERT_EQ(run("ip tuntap add dev numbered mode tap"), 0);
  for (const char* given : {"00:00:00:00:00:41", "00:00:00:00:00:42", "02:00:00:00:00:43", "fc:00:00:00:00:44"}) {
    ASSERT_EQ(run(std::string("ip link set numbered address ") + given), 0);
    host t("tap:numbered");
    const auto ours = t->info().mac, theirs = kernel_mac("numbered");
    EXPECT_EQ(ours.bytes[0] & 3, 2) << given;
    int same = 0;
    for (std::size_t i = 1; i < 6; ++i) same += ours.bytes[i] == theirs.bytes[i];
    EXPECT_LT(same, 3) << given << " and " << to_text(ours).c_str();
  }
  EXPECT_EQ(run("ip link del numbered"), 0);
}

TEST_F(tap, takes_the_keys_mac_and_mtu) {
  host t("tap:keyed?mac=02:11:22:33:44:55&mtu=9001");
  ASSERT_TRUE(t) << t.why();
  EXPECT_STREQ(to_text(t->info().mac).c_str(), "02:11:22:33:44:55");
  EXPECT_EQ(t->info().mtu, 9001u);
  EXPECT_EQ(number_of("keyed", SIOCGIFMTU), 9001);
}

TEST_F(tap, keeps_the_mtu_that_an_interface_has) {
  ASSERT_EQ(run("ip tuntap add dev small mode tap && ip link set small mtu 900"), 0);
  host t("tap:small");
  EXPECT_EQ(t->info().mtu, 900u);
  t.close();
  EXPECT_EQ(run("ip link del small"), 0);
}

TEST_F(tap, what_cannot_be_opened_is_said) {
  ASSERT_EQ(run("ip link add bridge type bridge"), 0);
  ASSERT_EQ(run("ip tuntap add dev tunnel mode tun"), 0);
  ASSERT_EQ(run("ip tuntap add dev many mode tap multi_queue && ip tuntap add dev single mode tap"), 0);
  host busy("tap:busy"), shared("tap:shared?queues=2");
  const auto theirs = std::string("tap:mine?mac=") + to_text(kernel_mac("busy")).c_str();
  const struct {
    std::string uri;
    std::vector<std::string> said;
  } cases[] = {
      {"tap:", {"needs the name"}},
      {"tap:sixteen-letters-", {"sixteen-letters-", "15 characters"}},
      {"tap:a/b", {"a/b", "15 characters"}},
      {"tap:a:b", {"a:b", "15 characters"}},
      {"tap:a b", {"a b", "15 characters"}},
      {"tap:a%d", {"a%d", "15 characters"}},
      {"tap:.", {"tap:.", "15 characters"}},
      {"tap:..", {"tap:..", "15 characters"}},
      {"tap:busy", {"busy", "another process", "another name"}},
      {"tap:shared?queues=3", {"shared", "another process", "another name"}},
      {"tap:bridge", {"bridge", "not a TAP interface"}},
      {"tap:tunnel", {"tunnel", "not a TAP interface"}},
      {"tap:many", {"many", "one queue"}},
      {"tap:x?mtu=67", {"mtu=67", "68"}},
      {"tap:x?mtu=65522", {"mtu=65522", "65521"}},
      {"tap:x?mac=03:00:00:00:00:01", {"mac=03:00:00:00:00:01"}},
      {"tap:x?ring=2", {"'ring'", "tap:"}},
      {"tap:single?queues=2", {"single", "several queues", "multi_queue"}},
      {"tap:x?queues=0", {"queues=0", "256"}},
      {"tap:x?queues=257", {"queues=257", "256"}},
      {"tap:x?segmentation=maybe", {"segmentation=maybe"}},
  };
  for (const auto& [uri, said] : cases) {
    host refused(uri);
    EXPECT_FALSE(refused) << uri;
    for (const auto& part : said) EXPECT_THAT(refused.why(), HasSubstr(part)) << uri;
  }
  for (const char* left : {"x", "a%d", "sixteen-letters"}) EXPECT_EQ(if_nametoindex(left), 0u) << left;
  EXPECT_EQ(run("ip link del bridge && ip link del tunnel && ip link del many && ip link del single"), 0);
}

TEST_F(tap, refuses_the_kernels_own_address) {
  ASSERT_EQ(run("ip tuntap add dev twins mode tap && ip link set twins address 02:00:00:00:00:42"), 0);
  host refused("tap:twins?mac=02:00:00:00:00:42");
  EXPECT_FALSE(refused);
  EXPECT_THAT(refused.why(), AllOf(HasSubstr("mac=02:00:00:00:00:42"), HasSubstr("choose another")));
  EXPECT_EQ(run("ip link del twins"), 0);
}

// What a child says that has given its privileges up, for that can't be undone.
template <typename GiveUp>
std::string refusal_after(const GiveUp& give_up) {
  int channel[2];
  EXPECT_EQ(::pipe(channel), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool gave_up = give_up();
    host refused("tap:unprivileged");
    const std::string said = !gave_up ? "could not give up" : refused ? "opened" : refused.why();
    ::_exit(::write(channel[1], said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  ::close(channel[1]);
  std::array<char, 512> said{};
  EXPECT_GT(::read(channel[0], said.data(), said.size() - 1), 0);
  ::close(channel[0]);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  return said.data();
}

TEST_F(tap, says_which_capability_is_missing) {
  const auto said = refusal_after([] {
    __user_cap_header_struct whose{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2]{};
    return ::syscall(SYS_capset, &whose, none) == 0;
  });
  EXPECT_THAT(said, AllOf(HasSubstr("tap:unprivileged"), HasSubstr("CAP_NET_ADMIN"), HasSubstr("run as root")));
}

TEST_F(tap, says_that_the_device_may_not_be_opened) {
  struct stat device;
  ASSERT_EQ(::stat("/dev/net/tun", &device), 0);
  const auto said =
      refusal_after([] { return ::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0; });
  if (said == "could not give up") GTEST_SKIP() << "this user namespace has no other user to become";
  EXPECT_THAT(said, HasSubstr((device.st_mode & S_IWOTH) != 0 ? "CAP_NET_ADMIN" : "/dev/net/tun may not be opened"));
}

std::string udp_datagram(std::string_view addresses, std::uint16_t from, std::uint16_t to, std::string_view payload) {
  const datagram d{.payload = std::string(payload), .addresses = std::string(addresses), .from = from, .to = to};
  return d.ipv4() + d.udp();
}

const std::string kernel_ip("\x0a\x4d\0\1", 4), our_ip("\x0a\x4d\0\2", 4);  // 10.77.0.1 and .2

// A kernel's UDP socket on the interface, connected to 10.77.0.2:7000, for which it has our address.
class tap_with_kernel_socket : public tap {
 protected:
  void SetUp() override {
    tap::SetUp();
    if (IsSkipped()) return;
    link_ = std::make_unique<host>("tap:kernelside");
    ASSERT_TRUE(*link_) << link_->why();
    ASSERT_EQ(run("ip addr add 10.77.0.1/24 dev kernelside"), 0);
    ASSERT_EQ(
        run(std::string("ip neigh replace 10.77.0.2 dev kernelside lladdr ") + to_text((*link_)->info().mac).c_str()),
        0);
    socket_ = descriptor(::socket(AF_INET, SOCK_DGRAM, 0));
    ASSERT_EQ(call(::bind, kernel_ip, 7001), 0) << std::strerror(errno);
    ASSERT_EQ(call(::connect, our_ip, 7000), 0) << std::strerror(errno);
  }

  template <typename Call>
  int call(Call bind_or_connect, const std::string& ip, std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    std::memcpy(&at.sin_addr, ip.data(), 4);
    return bind_or_connect(socket_.number(), reinterpret_cast<sockaddr*>(&at), sizeof at);
  }

  // The next packet with IPv4 in it; the kernel may ask for addresses in between.
  packet* next_ip_packet(burst& in) {
    while (readable((*link_)->wait_fd(), patience_ms)) {
      in.release_all();
      (*link_)->rx_burst(in);
      for (packet* p : in.packets()) {
        if (host::text_of(*p).substr(12, 2) == std::string("\x08\0", 2)) return p;
      }
    }
    return nullptr;
  }

  std::unique_ptr<host> link_;
  descriptor socket_;
};

TEST_F(tap_with_kernel_socket, leaves_the_checksum_to_us_and_says_so) {
  ASSERT_EQ(::send(socket_.number(), "hello", 5, 0), 5);
  burst in;
  packet* p = next_ip_packet(in);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p->checksum, checksum_state::partial);
  const auto f = host::text_of(*p);
  ASSERT_EQ(f.size(), 14u + 20 + 8 + 5);
  EXPECT_EQ(f.substr(14 + 20 + 8), "hello");
  EXPECT_EQ(f.substr(14 + 20 + 6, 2), number16(sum_of(pseudo_header(kernel_ip + our_ip, 13))));
}

TEST_F(tap_with_kernel_socket, a_checksum_in_the_bytes_is_left_to_be_verified) {
  const int off = 1;
  ASSERT_EQ(::setsockopt(socket_.number(), SOL_SOCKET, SO_NO_CHECK, &off, sizeof off), 0);
  ASSERT_EQ(::send(socket_.number(), "hello", 5, 0), 5);
  burst in;
  packet* p = next_ip_packet(in);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p->checksum, checksum_state::unknown);
}

TEST_F(tap_with_kernel_socket, receives_what_we_send_with_a_checksum) {
  const auto mac = kernel_mac("kernelside");
  for (const std::string payload : {"", "x", "from the stack"}) {
    link_->send(ethernet(mac, (*link_)->info().mac, udp_datagram(our_ip + kernel_ip, 7000, 7001, payload), 0x0800));
    ASSERT_TRUE(readable(socket_.number(), patience_ms)) << payload;
    std::array<char, 100> got;
    const auto n = ::recv(socket_.number(), got.data(), got.size(), 0);
    EXPECT_EQ(std::string(got.data(), static_cast<std::size_t>(n)), payload);
  }
}

TEST_F(tap_with_kernel_socket, and_not_what_we_send_with_a_wrong_one) {
  const auto mac = kernel_mac("kernelside");
  auto wrong = ethernet(mac, (*link_)->info().mac, udp_datagram(our_ip + kernel_ip, 7000, 7001, "wrong"), 0x0800);
  wrong.back() ^= 1;
  link_->send(wrong);
  link_->send(ethernet(mac, (*link_)->info().mac, udp_datagram(our_ip + kernel_ip, 7000, 7001, "right"), 0x0800));
  ASSERT_TRUE(readable(socket_.number(), patience_ms));
  std::array<char, 100> got;
  EXPECT_EQ(::recv(socket_.number(), got.data(), got.size(), 0), 5);
  EXPECT_EQ(std::string(got.data(), 5), "right");
}

// ---- Several queues

TEST_F(tap, has_several_queues_of_one_interface) {
  host t("tap:wide?queues=4");
  ASSERT_TRUE(t) << t.why();
  EXPECT_EQ(t->info().queues, 4u);
  EXPECT_EQ(run("test $(ip -d -json link show wide | grep -o '\"multi_queue\":true' | wc -l) = 1"), 0);
  t.close();
  EXPECT_EQ(if_nametoindex("wide"), 0u);
}

class tap_with_queues : public tap {
 protected:
  static constexpr std::uint16_t flows = 64;  // by their source ports, of many threads' sockets as of one

  void SetUp() override {
    tap::SetUp();
    if (IsSkipped()) return;
    link_ = std::make_unique<host>("tap:wide?queues=4");
    ASSERT_TRUE(*link_) << link_->why();
    const std::string mac = to_text((*link_)->info().mac).c_str();
    ASSERT_EQ(run("ip address add 10.0.0.1/24 dev wide && ip neighbour replace 10.0.0.9 dev wide lladdr " + mac), 0);
  }
  static descriptor kernel_socket(std::uint16_t port) {
    descriptor out(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    EXPECT_EQ(::bind(out.number(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0) << std::strerror(errno);
    at.sin_addr.s_addr = htonl(0x0a000009);
    at.sin_port = htons(7);
    EXPECT_EQ(::connect(out.number(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0) << std::strerror(errno);
    return out;
  }
  // Source port and payload.
  static std::pair<int, std::string> read(const frame& f) {
    return {static_cast<unsigned char>(f[34]) << 8 | static_cast<unsigned char>(f[35]), f.substr(42)};
  }
  std::vector<frame> receive(std::size_t expected) {
    std::vector<frame> out;
    while (out.size() < expected && !HasFailure()) {
      const auto some = receive_awaited(*link_, 1);
      EXPECT_FALSE(some.empty());
      for (const auto& f : some) {
        if (f.substr(12, 2) == std::string("\x08\0", 2)) out.push_back(f);
      }
    }
    return out;
  }

  std::unique_ptr<host> link_;
};

// Whichever queue the kernel puts a flow's datagram in, it wakes who waits.
TEST_F(tap_with_queues, each_wakes) {
  for (std::uint16_t i = 0; i < flows; ++i) {
    ASSERT_EQ(::send(kernel_socket(static_cast<std::uint16_t>(8000 + i)).number(), "x", 1, 0), 1);
    ASSERT_TRUE(readable((*link_)->wait_fd(), patience_ms)) << i;
    EXPECT_FALSE((*link_)->arm());
    EXPECT_EQ(read(receive(1).at(0)), (std::pair<int, std::string>(8000 + i, "x")));
    EXPECT_TRUE((*link_)->arm());
    EXPECT_FALSE(readable((*link_)->wait_fd(), 0));
  }
}

TEST_F(tap_with_queues, what_threads_send_at_once_comes_in_each_flow_in_order) {
  constexpr int threads = 4, each = 200;
  std::vector<std::thread> senders;
  for (int t = 0; t < threads; ++t) {
    senders.emplace_back([t] {
      const auto from = kernel_socket(static_cast<std::uint16_t>(8000 + t));
      for (int i = 0; i < each; ++i) {
        const auto text = std::to_string(i);
        EXPECT_EQ(::send(from.number(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
      }
    });
  }
  std::array<int, threads> next{};
  for (const auto& f : receive(threads * each)) {
    const auto [port, payload] = read(f);
    EXPECT_EQ(payload, std::to_string(next.at(static_cast<std::size_t>(port - 8000))++));
  }
  for (auto& each_one : senders) each_one.join();
}

// The kernel remembers by which queue it heard a flow last, and answers there. A queue has room for eight frames here,
// so what is there in the end says that there were more queues than one.
TEST_F(tap_with_queues, flows_have_all_of_them_in_either_direction) {
  constexpr std::size_t room = 8;
  ASSERT_EQ(run("ip link set wide txqueuelen " + std::to_string(room)), 0);
  const auto mac = kernel_mac("wide");
  std::vector<descriptor> sockets;
  for (std::uint16_t i = 0; i < flows; ++i) {
    sockets.push_back(kernel_socket(static_cast<std::uint16_t>(8000 + i)));
    const datagram to_them{.payload = "x", .from = 7, .to = static_cast<std::uint16_t>(8000 + i)};
    ASSERT_TRUE(link_->send(to_them.in(mac, (*link_)->info().mac)));
    ASSERT_TRUE(readable(sockets.back().number(), patience_ms));
  }
  for (const auto& each : sockets) ASSERT_EQ(::send(each.number(), "y", 1, 0), 1);
  burst in;
  while ((*link_)->rx_burst(in) != 0) continue;
  EXPECT_GT(in.size(), 2 * room);
}

TEST_F(tap_with_queues, a_deleted_interface_wakes_nobody_again) {
  ASSERT_EQ(run("ip link del wide"), 0);
  EXPECT_EQ(link_->receive().size(), 0u);
  EXPECT_EQ(link_->dropped(drop::link_error), 1u);
  EXPECT_TRUE((*link_)->arm());
  EXPECT_FALSE(readable((*link_)->wait_fd(), 0));
}

// The interface's place is taken by one end of a socket pair, through which a test can say what no kernel says on
// demand.
class tap_with_scripted_driver : public tap {
 protected:
  void SetUp() override {
    tap::SetUp();
    if (IsSkipped()) return;
    link_ = std::make_unique<host>("tap:scripted?mtu=1000");
    ASSERT_TRUE(*link_) << link_->why();
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    ASSERT_EQ(::dup2(ends[0], (*link_)->wait_fd()), (*link_)->wait_fd());
    ::close(ends[0]);
    driver_ = descriptor(ends[1]);
  }
  void say(char flags, const frame& f, std::size_t header = 10) {
    const auto all = (std::string(1, flags) + std::string(9, '\0')).substr(0, header) + f;
    ASSERT_EQ(::send(driver_.number(), all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
  }
  frame small() { return ethernet((*link_)->info().mac, mac_of(1), "payload"); }

  std::unique_ptr<host> link_;
  descriptor driver_;
};

TEST_F(tap_with_scripted_driver, understands_what_the_header_says_of_the_checksum) {
  for (const char flags : {0, 1, 2, 3, 4}) say(flags, small());
  burst in;
  (*link_)->rx_burst(in);
  std::vector<checksum_state> seen;
  for (packet* p : in.packets()) seen.push_back(p->checksum);
  EXPECT_THAT(seen, ElementsAre(checksum_state::unknown, checksum_state::partial, checksum_state::verified,
                                checksum_state::partial, checksum_state::unknown));
}

TEST_F(tap_with_scripted_driver, drops_and_counts_what_is_no_frame) {
  const auto at_rest = (*link_)->frames().available();
  say(0, "", 3);                                                          // not even a header
  say(0, "");                                                             // an empty frame
  say(0, frame(13, 'x'));                                                 // part of one
  say(0, ethernet((*link_)->info().mac, mac_of(1), frame(1001, 'x')));    // longer than the MTU
  say(0, ethernet((*link_)->info().mac, mac_of(1), frame(60'000, 'x')));  // longer than a buffer
  say(0, ethernet((*link_)->info().mac, mac_of(1), frame(1000, 'x')));    // right
  EXPECT_THAT(link_->receive(), ElementsAre(ethernet((*link_)->info().mac, mac_of(1), frame(1000, 'x'))));
  EXPECT_EQ(link_->dropped(drop::link_error), 5u);
  EXPECT_EQ((*link_)->frames().available(), at_rest);
}

TEST_F(tap_with_scripted_driver, sends_an_empty_header_before_each_frame) {
  link_->send(small());
  std::array<char, 100> got;
  const auto n = ::recv(driver_.number(), got.data(), got.size(), 0);
  EXPECT_EQ(std::string(got.data(), static_cast<std::size_t>(n)), std::string(10, '\0') + small());
}

// A driver that has no room for so much at once, as one that knows no super-packets, gets each frame by itself.
TEST_F(tap_with_scripted_driver, sends_a_refused_super_packet_frame_by_frame) {
  const int room = 4000;
  ASSERT_EQ(::setsockopt((*link_)->wait_fd(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
  std::vector<frame> sent, got;
  burst out;
  for (char c = 'a'; c < 'a' + 20; ++c) {
    const datagram d{.payload = std::string(900, c)};
    sent.push_back(std::string(10, '\0') + d.in(mac_of(1), (*link_)->info().mac));
    out.append(link_->make(sent.back().substr(10)));
    out.packets().back()->checksum = checksum_state::own;
  }
  std::array<char, 2000> read;
  while (got.size() < sent.size() && !HasFailure()) {
    const auto taken = (*link_)->tx_burst(out);
    out.forget_front(taken);
    EXPECT_GT(taken, 0u);
    for (ssize_t n; (n = ::recv(driver_.number(), read.data(), read.size(), 0)) >= 0;)
      got.emplace_back(read.data(), static_cast<std::size_t>(n));
  }
  EXPECT_THAT(got, ElementsAreArray(sent));
  EXPECT_EQ(link_->dropped(drop::link_error), 0u);
}

TEST_F(tap_with_scripted_driver, takes_a_prefix_when_the_interface_is_full) {
  const auto at_rest = (*link_)->frames().available();
  std::size_t taken = 0;
  burst out;
  do {
    while (out.room() != 0) out.append(link_->make(small()));
    taken = (*link_)->tx_burst(out);
    out.forget_front(taken);
  } while (taken == burst::capacity);
  EXPECT_EQ(out.size(), burst::capacity - taken);
  EXPECT_EQ(link_->dropped(drop::link_error), 0u);
  std::array<char, 100> got;
  ASSERT_GT(::recv(driver_.number(), got.data(), got.size(), 0), 0);
  EXPECT_GE((*link_)->tx_burst(out), 1u);
  out.forget_front(1);
  out.release_all();
  EXPECT_EQ((*link_)->frames().available(), at_rest);
}

TEST_F(tap_with_scripted_driver, drops_and_counts_frames_for_which_it_has_no_memory) {
  std::vector<packet*> held;
  while (packet* p = (*link_)->frames().take()) held.push_back(p);
  for (int i = 0; i < 3; ++i) say(0, small());
  EXPECT_THAT(link_->receive(), IsEmpty());
  EXPECT_EQ(link_->dropped(drop::no_memory), 3u);
  EXPECT_FALSE(readable((*link_)->wait_fd(), 0));  // or a waiting program would spin
  for (packet* p : held) release(p);
  say(0, small());
  EXPECT_EQ(link_->receive().size(), 1u);
}

TEST_F(tap, a_deleted_interface_is_counted_once_and_wakes_nobody_again) {
  host t("tap:doomed");
  ASSERT_TRUE(t) << t.why();
  ASSERT_EQ(run("ip link del doomed"), 0);
  EXPECT_THAT(t.receive(), IsEmpty());
  EXPECT_THAT(t.receive(), IsEmpty());
  EXPECT_EQ(t.dropped(drop::link_error), 1u);
  EXPECT_TRUE(t->arm());
  EXPECT_FALSE(readable(t->wait_fd(), 0));
  EXPECT_TRUE(t.send(ethernet(broadcast_mac, t->info().mac, "into the void")));
  EXPECT_EQ(t.dropped(drop::link_error), 2u);
  EXPECT_FALSE(readable(t->wait_fd(), 0));
}

TEST_F(tap, an_interface_that_is_down_takes_frames_and_drops_them) {
  host t("tap:lowered");
  ASSERT_EQ(run("ip link set lowered down"), 0);
  EXPECT_TRUE(t.send(ethernet(broadcast_mac, t->info().mac, "nobody there")));
  EXPECT_EQ(t.dropped(drop::link_error), 1u);
  EXPECT_THAT(t.receive(), IsEmpty());
  ASSERT_EQ(run("ip link set lowered up"), 0);
  packet_socket kernel("lowered");
  EXPECT_TRUE(t.send(ethernet(broadcast_mac, t->info().mac, "and back")));
  EXPECT_EQ(kernel.receive(1).size(), 1u);
}

}  // namespace
}  // namespace fastudp::test
