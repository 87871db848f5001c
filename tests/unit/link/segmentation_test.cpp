// packet: and tap: with super-packets in both directions, against a kernel at the other end: what its sockets get, what
// is on a wire behind it, where it has to cut, and what is sent instead where super-packets aren't taken.

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>

#include "unit/link/datagrams.h"
#include "unit/link/namespace.h"

namespace fastudp::test {
namespace {

struct way {
  std::string name, scheme, keys;
};

std::ostream& operator<<(std::ostream& out, const way& w) { return out << w.name; }

std::string letters(std::size_t size, std::size_t from = 0) {
  std::string out;
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>('a' + (from + i) % 23);
  return out;
}

template <typename Address>
Address address_of(const std::string& bytes, std::uint16_t port);
template <>
sockaddr_in address_of(const std::string& bytes, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  std::memcpy(&out.sin_addr, bytes.data(), 4);
  return out;
}

// With 10.0.0.1 at the kernel's end; it knows 10.0.0.9 as ours.
class segmentation : public testing::TestWithParam<way> {
 protected:
  void SetUp() override {
    if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
    if (is_packet()) make_cable("near");
    open();
  }
  void open(const std::string& more = "") {
    const auto& how = GetParam();
    subject_ = nullptr;
    subject_ = std::make_unique<host>(how.scheme + ":near?" + how.keys + more);
    ASSERT_TRUE(*subject_) << subject_->why();
    const std::string mac = to_text(subject()->info().mac).c_str();
    ASSERT_EQ(run("ip address replace 10.0.0.1/24 dev " + peer() + " && ip neighbour replace 10.0.0.9 lladdr " + mac +
                  " dev " + peer()),
              0);
  }
  void TearDown() override {
    subject_ = nullptr;
    run("ip link delete near 2>/dev/null; ip link delete bridge 2>/dev/null; ip link delete out 2>/dev/null");
  }
  bool is_packet() const { return GetParam().scheme == "packet"; }
  std::string peer() const { return is_packet() ? "far" : "near"; }
  host& subject() { return *subject_; }

  mac_address kernel_mac() {
    mac_address out;
    ifreq asked{};
    peer().copy(asked.ifr_name, IFNAMSIZ - 1);
    const descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::ioctl(control.number(), SIOCGIFHWADDR, &asked), 0);
    std::memcpy(out.bytes.data(), asked.ifr_hwaddr.sa_data, out.bytes.size());
    return out;
  }
  // Of what our stack has made, unless its checksum is said to be somebody else's.
  void send(const std::vector<frame>& frames, checksum_state sum = checksum_state::own) {
    for (std::size_t at = 0; at < frames.size();) {
      burst out;
      for (; at < frames.size() && out.room() != 0; ++at) {
        out.append(subject().make(frames[at]));
        out.packets().back()->checksum = sum;
      }
      ASSERT_EQ(subject()->tx_burst(out), out.size());
      out.forget_all();
      subject()->tx_flush();
    }
  }
  std::vector<frame> framed(const std::vector<datagram>& datagrams, const mac_address& to) {
    std::vector<frame> out;
    for (const auto& d : datagrams) out.push_back(d.in(to, subject()->info().mac));
    return out;
  }
  std::vector<frame> receive(std::size_t expected) {
    std::vector<frame> out;
    while (out.size() < expected) {
      for (const auto& f : receive_awaited(subject(), 1)) {
        if (f.substr(12, 2) == std::string("\x08\0", 2)) out.push_back(f);
      }
      if (HasFailure()) break;
    }
    return out;
  }

  // Packets that an interface has counted: 'rx' or 'tx'.
  std::uint64_t counted(const std::string& direction, const std::string& interface) {
    const std::string file = testing::TempDir() + "fastudp-counted-" + std::to_string(::getpid());
    EXPECT_EQ(run("ip -s -json link show dev " + interface + " | tr -d '\\n ' | sed 's/.*\"" + direction +
                  "\":{\"bytes\":[0-9]*,\"packets\":\\([0-9]*\\).*/\\1/' > " + file),
              0);
    std::array<char, 32> text{};
    const descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_GT(::read(opened.number(), text.data(), text.size() - 1), 0);
    ::unlink(file.c_str());
    return std::strtoull(text.data(), nullptr, 10);
  }

  std::unique_ptr<host> subject_;
};

INSTANTIATE_TEST_SUITE_P(links, segmentation,
                         testing::Values(way{"packet", "packet", "address=10.0.0.9/24"},
                                         way{"packet_blocks", "packet", "address=10.0.0.9/24&ring=v3"},
                                         way{"packet_plain", "packet", "address=10.0.0.9/24&ring=off"},
                                         way{"tap", "tap", "mtu=1500"}, way{"tap_queues", "tap", "queues=3"}),
                         [](const auto& tested) { return tested.param.name; });

// A socket of the kernel's at 10.0.0.1:7001.
class kernel_socket {
 public:
  explicit kernel_socket(bool joins) : file_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const int on = joins ? 1 : 0, room = 8 << 20;
    EXPECT_EQ(::setsockopt(file_.number(), SOL_UDP, UDP_GRO, &on, sizeof on), 0);
    ::setsockopt(file_.number(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    const auto here = address_of<sockaddr_in>(std::string("\x0a\0\0\1", 4), 7001);
    EXPECT_EQ(::bind(file_.number(), reinterpret_cast<const sockaddr*>(&here), sizeof here), 0);
  }
  struct received {
    std::string payload;
    int segment = 0;
    friend bool operator==(const received&, const received&) = default;
  };
  received receive() {
    received out{std::string(70'000, '\0')};
    if (!readable(file_.number(), patience_ms)) return {};
    iovec room{out.payload.data(), out.payload.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr header{};
    header.msg_iov = &room;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    out.payload.resize(static_cast<std::size_t>(::recvmsg(file_.number(), &header, 0)));
    if (const cmsghdr* said = CMSG_FIRSTHDR(&header)) std::memcpy(&out.segment, CMSG_DATA(said), sizeof out.segment);
    return out;
  }
  bool nothing_there() { return !readable(file_.number(), 0); }
  void send(const std::string& payload, int segment) {
    ASSERT_EQ(::setsockopt(file_.number(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
    const auto to = address_of<sockaddr_in>(std::string("\x0a\0\0\x09", 4), 7000);
    const auto* where = reinterpret_cast<const sockaddr*>(&to);
    ASSERT_EQ(::sendto(file_.number(), payload.data(), payload.size(), 0, where, sizeof to),
              static_cast<ssize_t>(payload.size()))
        << std::strerror(errno);
  }

 private:
  descriptor file_;
};

std::ostream& operator<<(std::ostream& out, const kernel_socket::received& r) {
  return out << r.payload.size() << " bytes by " << r.segment;
}

// `count` datagrams of `each` bytes but for the last, numbered as Linux numbers what it cuts.
std::vector<datagram> row(std::size_t count, std::size_t each, std::size_t last, std::uint16_t first = 100) {
  std::vector<datagram> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back({.payload = letters(i + 1 == count ? last : each, i * each),
                   .identification = static_cast<std::uint16_t>(first + i)});
  return out;
}

TEST_P(segmentation, a_row_crosses_as_one_and_a_socket_that_joins_gets_it_whole) {
  kernel_socket kernel(true);
  for (const std::size_t each : {1u, 100u, 1000u, 1472u}) {
    const auto before = counted("rx", peer());
    send(framed(row(40, each, each - each / 3), kernel_mac()));
    EXPECT_EQ(kernel.receive(), (kernel_socket::received{letters(40 * each - each / 3), static_cast<int>(each)}));
    EXPECT_EQ(counted("rx", peer()), before + 1);
  }
  EXPECT_TRUE(kernel.nothing_there());
  EXPECT_EQ(subject().dropped(drop::link_error) + subject().dropped(drop::link_tx_full), 0u);
}

TEST_P(segmentation, any_other_socket_gets_each_by_itself) {
  kernel_socket kernel(false);
  const auto sent = row(40, 1000, 10);
  send(framed(sent, kernel_mac()));
  for (const auto& d : sent) EXPECT_EQ(kernel.receive(), (kernel_socket::received{d.payload, 0}));
  EXPECT_TRUE(kernel.nothing_there());
}

TEST_P(segmentation, of_a_corrupted_datagram_the_kernel_is_not_told_that_it_is_right) {
  kernel_socket kernel(false);
  auto frames = framed(row(4, 100, 100), kernel_mac());
  frames[1].back() ^= 1;
  send(frames, checksum_state::unknown);
  for (const int i : {0, 2, 3}) EXPECT_EQ(kernel.receive().payload, letters(100, i * 100u));
  EXPECT_TRUE(kernel.nothing_there());
}

TEST_P(segmentation, switched_off_each_crosses_by_itself) {
  open("&segmentation=off");
  kernel_socket kernel(true);
  const auto before = counted("rx", peer());
  const auto sent = row(10, 100, 100);
  send(framed(sent, kernel_mac()));
  for (const auto& d : sent) EXPECT_EQ(kernel.receive(), (kernel_socket::received{d.payload, 0}));
  EXPECT_EQ(counted("rx", peer()), before + 10);
}

std::string headers_in_hex(const frame& f) {
  std::string out;
  char two[4];
  for (const char c : f.substr(0, 64)) out += (std::snprintf(two, sizeof two, "%02x ", c & 0xff), two);
  return out + "… of " + std::to_string(f.size());
}

void expect_same(const std::vector<frame>& got, const std::vector<frame>& expected) {
  for (std::size_t i = 0; i < std::min(got.size(), expected.size()); ++i)
    ASSERT_TRUE(got[i] == expected[i]) << i << "\n" << headers_in_hex(got[i]) << "\n" << headers_in_hex(expected[i]);
  EXPECT_EQ(got.size(), expected.size());
}

// The kernel's end leads to a wire behind which nobody takes super-packets.
class segmentation_on_a_wire : public segmentation {
 protected:
  void SetUp() override {
    segmentation::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_EQ(
        run("ip link add out type veth peer name end && ethtool -K out tx-udp-segmentation off tx off > /dev/null && "
            "ip link add bridge type bridge mcast_snooping 0 && ip link set " +
            peer() +
            " master bridge && "
            "ip link set out master bridge && ip link set end up && ip link set out up && ip link set bridge up"),
        0);
    while (run("ip link show out | grep -q LOWER_UP && ip link show end | grep -q LOWER_UP && "
               "bridge link show dev " +
               peer() + " | grep -q forwarding") != 0)
      continue;
  }
  std::vector<frame> seen_of(const std::vector<frame>& frames, std::uint16_t type = ETH_P_IP) {
    packet_socket end("end", type);
    const auto before = counted("rx", peer());
    send(frames);
    EXPECT_LT(counted("rx", peer()), before + frames.size() / 2);
    return end.receive(frames.size());
  }
};

INSTANTIATE_TEST_SUITE_P(links, segmentation_on_a_wire,
                         testing::Values(way{"packet", "packet", "address=10.0.0.9/24"},
                                         way{"packet_plain", "packet", "address=10.0.0.9/24&ring=off"},
                                         way{"tap", "tap", "mtu=1500"}, way{"tap_queues", "tap", "queues=3"},
                                         way{"packet_tagged", "packet", "address=10.0.0.9/24&vlan=5"},
                                         way{"tap_tagged", "tap", "vlan=5"}),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(segmentation_on_a_wire, the_kernel_cuts_the_same_frames_again) {
  auto all = row(40, 1000, 999);
  for (auto& d : all) d.fragment = 0;
  for (const auto& more : {row(2, 1, 1, 65'535), row(1, 1472, 1472, 500), row(60, 1472, 1)})
    all.insert(all.end(), more.begin(), more.end());
  all[45].ttl = 1, all[50].tos = 0x2e, all[55].has_sum = false,
  all[60].payload = "longer than it was" + all[60].payload;
  all[60].payload.resize(1472), all[70].from = 1, all[71].from = 1, all[71].to = 2;
  const auto frames = framed(all, mac_of(0x77));
  expect_same(seen_of(frames), frames);
}

TEST_P(segmentation_on_a_wire, over_ipv6_as_well) {
  auto all = row(40, 1000, 999);
  for (auto& d : all) d.addresses = ipv6_pair(9, 1);
  const auto frames = framed(all, mac_of(0x77));
  expect_same(seen_of(frames, ETH_P_IPV6), frames);
}

// As of a send with UDP_SEGMENT and DF of Linux's own.
TEST_P(segmentation_on_a_wire, identifications_without_a_meaning_are_counted) {
  std::vector<datagram> given = row(10, 100, 100), counting = row(10, 100, 100, 0);
  for (auto& d : given) d.identification = 0;
  expect_same(seen_of(framed(given, mac_of(0x77))), framed(counting, mac_of(0x77)));
}

// A device that takes no super-packets: each frame goes by itself, and none is lost or counted as lost.
class segmentation_refused : public segmentation {};
INSTANTIATE_TEST_SUITE_P(links, segmentation_refused,
                         testing::Values(way{"packet", "packet", "address=10.0.0.9/24"},
                                         way{"packet_plain", "packet", "address=10.0.0.9/24&ring=off"}),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(segmentation_refused, nothing_is_lost_and_it_is_tried_again) {
  kernel_socket kernel(true);
  const auto frames = framed(row(10, 100, 100), kernel_mac());
  const auto receive_all = [&] {
    int times = 0;
    for (std::size_t bytes = 0; bytes < 1000 && !HasFailure(); ++times) {
      const auto got = kernel.receive();
      EXPECT_FALSE(got.payload.empty());
      EXPECT_EQ(got.payload, letters(got.payload.size(), bytes));
      bytes += got.payload.size();
    }
    return times;
  };
  ASSERT_EQ(run("ethtool -K near tx-udp-segmentation off"), 0);
  for (int round = 0; round < 3; ++round) {
    send(frames);
    EXPECT_EQ(receive_all(), 10);
  }
  ASSERT_EQ(run("ethtool -K near tx-udp-segmentation on"), 0);
  int rounds = 0;
  for (int times = 10; times != 1 && rounds < 1000 && !HasFailure(); ++rounds) {
    send(frames);
    times = receive_all();
  }
  EXPECT_LT(rounds, 1000);
  EXPECT_EQ(subject().dropped(drop::link_error) + subject().dropped(drop::link_tx_full), 0u);
}

// ---- What a kernel sends

void expect_cut(const std::vector<frame>& got, const std::string& payload, std::size_t each) {
  std::string all;
  for (const auto& f : got) {
    const auto part = f.substr(14 + 20 + 8);
    const datagram same{.payload = part, .addresses = ipv4_pair(1, 9), .from = 7001, .to = 7000, .has_sum = false};
    EXPECT_LE(part.size(), each);
    EXPECT_EQ(f.substr(14 + 20, 6), same.udp().substr(0, 6));
    EXPECT_EQ(f.substr(14, 4), same.ipv4().substr(0, 4));
    EXPECT_EQ(sum_of(std::string_view(f).substr(14, 20)), 0xffffu);
    all += part;
  }
  EXPECT_EQ(all, payload);
}

TEST_P(segmentation, what_a_kernel_sends_in_segments_comes_whole_and_is_cut_here) {
  kernel_socket kernel(false);
  for (const std::size_t each : {100u, 400u, 1472u}) {
    const auto before = counted("tx", peer());
    const auto payload = letters(each * 3 + 1);
    kernel.send(payload, static_cast<int>(each));
    expect_cut(receive(4), payload, each);
    EXPECT_EQ(counted("tx", peer()), before + 1) << each;
  }
}

TEST_P(segmentation, the_tag_of_what_comes_whole_is_on_each_piece) {
  const std::string tag("\x81\0\0\x05", 4);
  const datagram whole{.payload = letters(2500), .addresses = ipv4_pair(1, 9), .from = 7001, .to = 7000};
  put_super_packet(peer(), whole.in(subject()->info().mac, mac_of(0x99)).insert(12, tag), 1000);
  std::vector<frame> got;
  while (got.size() < 3 && !HasFailure()) {
    for (auto& f : receive_awaited(subject(), 1)) {
      if (f.substr(12, 4) == tag) got.push_back(f.erase(12, 4));
    }
  }
  expect_cut(got, whole.payload, 1000);
}

TEST_P(segmentation, more_segments_than_a_burst_has_room_for_keep_their_place) {
  kernel_socket kernel(false);
  const auto payload = letters(127 * 500 + 1);
  kernel.send("before", 0);
  kernel.send(payload, 500);
  kernel.send("after", 0);
  auto got = receive(130);
  ASSERT_EQ(got.size(), 130u);
  EXPECT_EQ(got.front().substr(42), "before");
  EXPECT_EQ(got.back().substr(42), "after");
  expect_cut({got.begin() + 1, got.end() - 1}, payload, 500);
}

TEST_P(segmentation, nobody_sleeps_while_something_is_being_cut) {
  kernel_socket kernel(false);
  kernel.send(letters(100 * 500), 500);
  burst in;
  while (in.empty() && readable(subject()->wait_fd(), patience_ms)) subject()->rx_burst(in);
  while (in.room() != 0) ASSERT_NE(subject()->rx_burst(in), 0u);
  EXPECT_FALSE(subject()->arm());
  in.release_all();
  EXPECT_EQ(subject()->rx_burst(in), 100u - burst::capacity);
  in.release_all();
  while (!subject()->arm()) subject()->rx_burst(in), in.release_all();
}

TEST_P(segmentation, segments_are_vouched_for_by_the_kernel_that_did_not_cut_them) {
  kernel_socket kernel(false);
  kernel.send(letters(600), 300);
  burst in;
  while (in.size() < 2 && readable(subject()->wait_fd(), patience_ms)) subject()->rx_burst(in);
  for (packet* p : in.packets()) EXPECT_EQ(p->checksum, checksum_state::verified);
}

TEST_P(segmentation, segments_without_frames_are_dropped_and_counted_each) {
  std::vector<packet*> held;
  while (packet* p = subject()->frames().take()) held.push_back(p);
  kernel_socket kernel(false);
  kernel.send(letters(10 * 500), 500);
  burst in;
  while (subject().dropped(drop::no_memory) < 10 && readable(subject()->wait_fd(), patience_ms))
    subject()->rx_burst(in);
  EXPECT_TRUE(in.empty());
  EXPECT_EQ(subject().dropped(drop::no_memory), 10u);
  for (packet* p : held) release(p);
  kernel.send("after", 0);
  EXPECT_EQ(receive(1).at(0).substr(42), "after");
}

class segmentation_of_tap : public segmentation {};
INSTANTIATE_TEST_SUITE_P(links, segmentation_of_tap,
                         testing::Values(way{"one", "tap", "mtu=1500"}, way{"several", "tap", "queues=3"}),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(segmentation_of_tap, switched_off_the_kernel_cuts) {
  open("&segmentation=off");
  kernel_socket kernel(false);
  const auto before = counted("tx", "near");
  kernel.send(letters(1000), 100);
  expect_cut(receive(10), letters(1000), 100);
  EXPECT_EQ(counted("tx", "near"), before + 10);
}

TEST_P(segmentation_of_tap, whoever_has_the_interface_next_is_not_bound_by_what_we_agreed_on) {
  subject_ = nullptr;
  ASSERT_EQ(run(std::string("ip tuntap add near mode tap ") + (GetParam().name == "one" ? "" : "multi_queue")), 0);
  open();
  EXPECT_EQ(run("ethtool -k near | grep -q 'tx-udp-segmentation: on'"), 0);
  subject_ = nullptr;
  EXPECT_EQ(run("ethtool -k near | grep -q 'tx-udp-segmentation: off'"), 0);
  EXPECT_EQ(run("ethtool -k near | grep -q 'tx-checksum-ip-generic: off'"), 0);
}

}  // namespace
}  // namespace fastudp::test
