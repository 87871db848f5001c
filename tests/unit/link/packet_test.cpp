// packet: with each kind of ring, against frames and datagrams that the kernel makes: super-packets, tags, checksums
// that were left undone, more than fits. Both ends of the cable are in this namespace; the kernel has far's.

#include <gmock/gmock.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "link/packet/transmitter.h"
#include "unit/link/namespace.h"

namespace fastudp::test {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

constexpr std::size_t before_payload = 14 + 20 + 8;

class packet_link : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
    ASSERT_EQ(run("ip link add near type veth peer name far && ip address add 10.0.0.1/24 dev far && "
                  "ip link set near up && ip link set far up"),
              0);
    while (run("ip link show near | grep -q LOWER_UP") != 0) continue;
  }
  void TearDown() override { run("ip link delete near 2>/dev/null"); }

  // With an address of its own, which the kernel at far knows.
  void open_own(const std::string& keys = "") {
    open("address=10.0.0.9/24" + keys);
    const std::string mac = to_text(subject()->info().mac).c_str();
    ASSERT_EQ(run("ip neighbour replace 10.0.0.9 lladdr " + mac + " dev far"), 0);
  }
  void open_shared() { open("steer=off"); }
  void open(const std::string& keys, const std::string& interface = "near") {
    subject_ = std::make_unique<host>("packet:" + interface + "?" + keys + "&ring=" + GetParam());
    ASSERT_TRUE(*subject_) << subject_->why();
  }
  host& subject() { return *subject_; }

  // Appends what comes, when it comes, to a burst.
  void wait_and_receive(burst& in) {
    ASSERT_TRUE(!subject()->arm() || readable(subject()->wait_fd(), patience_ms));
    subject()->rx_burst(in);
  }
  std::vector<frame> receive(std::size_t expected, std::size_t at_once = burst::capacity) {
    std::vector<frame> out;
    while (out.size() < expected && !HasFailure()) {
      burst in;
      in.limit_to(at_once);
      wait_and_receive(in);
      for (auto* p : in.packets()) out.push_back(host::text_of(*p));
    }
    return out;
  }

  frame to_us(std::string_view payload, std::uint16_t type = 0x88b5) {
    return ethernet(subject()->info().mac, mac_of(0x99), payload, type);
  }
  frame from_us(std::string_view payload) { return ethernet(mac_of(0x99), subject()->info().mac, payload); }
  void send(const std::vector<frame>& frames) {
    burst out;
    for (const auto& f : frames) out.append(subject().make(f));
    EXPECT_EQ(subject()->tx_burst(out), frames.size());
    out.forget_all();
  }
  // As the wire has it: `outer` is the type of a tag, `information` its priority and VLAN.
  frame tagged(const frame& plain, std::uint16_t information, std::uint16_t outer = 0x8100) {
    const std::string tag{static_cast<char>(outer >> 8), static_cast<char>(outer), static_cast<char>(information >> 8),
                          static_cast<char>(information)};
    return plain.substr(0, 12) + tag + plain.substr(12);
  }
  // An IPv4 packet without options to an address that near needn't have.
  frame ip(char protocol, std::string_view payload) {
    std::string header("\x45\0\0\0\0\0\0\0\x40\0\0\0\x0a\0\0\x01\x0a\0\0\x09", 20);
    header[3] = static_cast<char>(20 + payload.size());
    header[9] = protocol;
    return to_us(header.append(payload), 0x0800);
  }
  frame ipv6(char next_header, std::string_view payload) {
    std::string header(40, '\0');
    header[0] = '\x60';
    header[5] = static_cast<char>(payload.size());
    header[6] = next_header;
    return to_us(header.append(payload), 0x86dd);
  }
  frame datagram(char last) { return ip(17, std::string("\x10\0\x20\0\0\x09\0\0", 8) + last); }
  static void put_on_wire(const frame& f) { packet_socket("far").send(f); }

 private:
  std::unique_ptr<host> subject_;
};

INSTANTIATE_TEST_SUITE_P(rings, packet_link, testing::Values("v2", "v3", "off"),
                         [](const auto& tested) { return tested.param; });

// The kernel's UDP socket at far sends to the address of the link.
void kernel_sends(const std::string& payload, int segment = 0) {
  const descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::setsockopt(socket.number(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(7);
  to.sin_addr.s_addr = htonl(0x0a000009);
  ASSERT_EQ(::sendto(socket.number(), payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
            static_cast<ssize_t>(payload.size()))
      << std::strerror(errno);
}

std::string letters(std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>('a' + i % 23);
  return out;
}

// What stands in front of the payloads is checked by the tests of segments.
void expect_segments(const std::vector<frame>& got, const std::string& payload, std::size_t each) {
  std::string all;
  for (const auto& f : got) {
    all += f.substr(before_payload);
    EXPECT_LE(f.size(), before_payload + each);
  }
  EXPECT_EQ(all, payload);
}

TEST_P(packet_link, a_super_packet_becomes_the_frames_that_it_stands_for) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  for (const std::size_t each : {400u, 1000u, 1472u}) {
    const auto payload = letters(each * 3 + 1);
    kernel_sends(payload, static_cast<int>(each));
    expect_segments(receive(4), payload, each);
  }
}

TEST_P(packet_link, a_super_packet_of_more_frames_than_bursts_have_room_for_keeps_its_place) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  const auto payload = letters(120 * 500);
  put_on_wire(to_us("before"));
  kernel_sends(payload, 500);
  put_on_wire(to_us("after"));
  auto got = receive(122, 50);
  ASSERT_EQ(got.size(), 122u);
  EXPECT_EQ(got.front(), to_us("before"));
  EXPECT_EQ(got.back(), to_us("after"));
  got.pop_back();
  got.erase(got.begin());
  expect_segments(got, payload, 500);
}

TEST_P(packet_link, nobody_sleeps_while_a_super_packet_is_being_cut) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  kernel_sends(letters(100 * 500), 500);
  burst in;
  while (in.empty()) ASSERT_NO_FATAL_FAILURE(wait_and_receive(in));
  EXPECT_EQ(in.room(), 0u);
  EXPECT_FALSE(subject()->arm());
  in.release_all();
  EXPECT_EQ(subject()->rx_burst(in), 100u - burst::capacity);
  EXPECT_TRUE(subject()->arm());
}

TEST_P(packet_link, a_super_packet_without_frames_left_is_dropped_and_counted) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  std::vector<packet*> held;
  while (packet* p = subject()->frames().take()) held.push_back(p);
  kernel_sends(letters(10 * 500), 500);
  burst in;
  while (subject().dropped(drop::no_memory) < 10 && !HasFailure()) wait_and_receive(in);
  EXPECT_EQ(in.size(), 0u);
  for (auto* p : held) release(p);
  put_on_wire(to_us("after"));
  EXPECT_THAT(receive(1), ElementsAre(to_us("after")));
}

TEST_P(packet_link, what_a_local_kernel_says_of_a_checksum_is_passed_on) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  kernel_sends("left to the hardware");
  put_on_wire(ip(17, letters(30)));
  kernel_sends(letters(600), 300);
  burst in;
  while (in.size() < 4 && !HasFailure()) wait_and_receive(in);
  std::vector<checksum_state> said;
  for (auto* p : in.packets()) said.push_back(p->checksum);
  EXPECT_THAT(said, ElementsAre(checksum_state::partial, checksum_state::unknown, checksum_state::verified,
                                checksum_state::verified));
}

// What is somebody's VLAN, and what has a priority alone.
constexpr std::uint16_t vlan_5 = 5, priority_3 = 3 << 13, service_tag = 0x88a8;

TEST_P(packet_link, on_a_shared_interface_a_vlan_is_not_ours) {
  ASSERT_NO_FATAL_FAILURE(open_shared());
  put_on_wire(datagram('a'));
  put_on_wire(tagged(datagram('1'), vlan_5));
  put_on_wire(tagged(datagram('2'), vlan_5, service_tag));
  put_on_wire(tagged(tagged(datagram('3'), vlan_5), vlan_5, service_tag));
  put_on_wire(tagged(tagged(datagram('4'), vlan_5), priority_3));
  put_on_wire(datagram('b'));
  EXPECT_THAT(receive(2), ElementsAre(datagram('a'), datagram('b')));
}

// The host takes such a datagram as its own, and its sockets are closed to what comes in here.
TEST_P(packet_link, on_a_shared_interface_a_priority_is_no_vlan) {
  ASSERT_NO_FATAL_FAILURE(open_shared());
  put_on_wire(tagged(datagram('a'), priority_3));
  put_on_wire(tagged(datagram('b'), 0, service_tag));
  EXPECT_THAT(receive(2), ElementsAre(datagram('a'), datagram('b')));
}

TEST_P(packet_link, on_a_shared_interface_udp_and_icmp_errors_come_in) {
  ASSERT_NO_FATAL_FAILURE(open_shared());
  constexpr char icmp = 1, tcp = 6;
  std::vector<frame> expected;
  for (const char type : {0, 3, 8, 11, 12}) {
    const auto f = ip(icmp, std::string(1, type) + std::string(29, 'i'));
    put_on_wire(f);
    if (type != 0 && type != 8) expected.push_back(f);
  }
  put_on_wire(ip(tcp, letters(30)));
  put_on_wire(to_us(letters(50), 0x0806));
  put_on_wire(ethernet(mac_of(0x77), mac_of(0x99), ip(17, letters(30)).substr(14), 0x0800));
  put_on_wire(datagram('z'));
  expected.push_back(datagram('z'));
  EXPECT_THAT(receive(expected.size()), ElementsAreArray(expected));
}

TEST_P(packet_link, on_a_shared_interface_the_same_comes_in_over_ipv6_and_what_may_have_a_datagram_behind_extensions) {
  ASSERT_NO_FATAL_FAILURE(open_shared());
  constexpr char tcp = 6, icmpv6 = 58, nothing = 59;
  const auto message = [&](int type) { return ipv6(icmpv6, std::string(1, static_cast<char>(type)) + letters(30)); };
  std::vector<frame> expected;
  for (const char next : {17, 44, 0, 43, 60}) expected.push_back(ipv6(next, letters(30)));
  for (const int type : {1, 2, 3, 4, 127}) expected.push_back(message(type));
  for (const auto& f : expected) put_on_wire(f);
  for (const int type : {128, 129, 135, 136, 143, 255}) put_on_wire(message(type));
  for (const char next : {tcp, nothing}) put_on_wire(ipv6(next, letters(30)));
  put_on_wire(tagged(expected[0], vlan_5));
  expected.push_back(datagram('z'));
  put_on_wire(datagram('z'));
  EXPECT_THAT(receive(expected.size()), ElementsAreArray(expected));
}

// What is for a group comes in from when the group is wanted until nobody wants it any more.
TEST_P(packet_link, an_address_of_its_own_has_the_frames_of_its_groups) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  const auto group = [](unsigned n) {
    return mac_address{{1, 0, 0x5e, 1, static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)}};
  };
  const auto came = [&](unsigned n) {
    const auto to_group = ethernet(group(n), mac_of(0x99), letters(50)), last = to_us(letters(60));
    put_on_wire(to_group);
    put_on_wire(last);
    std::vector<frame> got;
    while (!HasFailure() && (got.empty() || got.back() != last)) {
      for (auto& f : receive(1)) got.push_back(f);
    }
    return got.front() == to_group;
  };
  EXPECT_FALSE(came(1));
  subject()->admit_group(group(1), true);
  subject()->admit_group(group(1), true);
  EXPECT_TRUE(came(1));
  EXPECT_FALSE(came(2));
  subject()->admit_group(group(1), false);
  EXPECT_TRUE(came(1));
  subject()->admit_group(group(1), false);
  EXPECT_FALSE(came(1));
  constexpr unsigned many = 100;
  for (unsigned n = 0; n < many; ++n) subject()->admit_group(group(n), true);
  EXPECT_TRUE(came(0) && came(many - 1));
  for (unsigned n = 0; n < many; ++n) subject()->admit_group(group(n), false);
  EXPECT_FALSE(came(0) || came(many - 1));
}

TEST_P(packet_link, an_address_of_its_own_has_what_is_for_all) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  const auto to_all = ethernet(broadcast_mac, mac_of(0x99), letters(50));
  put_on_wire(to_all);
  put_on_wire(ethernet(mac_of(0x77), mac_of(0x99), letters(50)));
  put_on_wire(to_us(letters(60)));
  EXPECT_THAT(receive(2), ElementsAre(to_all, to_us(letters(60))));
}

TEST_P(packet_link, an_address_of_its_own_has_its_frames_with_their_tags) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  const auto plain = to_us(letters(60));
  const std::vector<frame> sent{tagged(plain, vlan_5),
                                tagged(plain, vlan_5 | priority_3, service_tag),
                                tagged(plain, priority_3),
                                tagged(tagged(plain, vlan_5), 7, service_tag),
                                tagged(to_us(letters(1500)), vlan_5),
                                plain};
  for (const auto& f : sent) put_on_wire(f);
  EXPECT_THAT(receive(sent.size()), ElementsAreArray(sent));
}

TEST_P(packet_link, a_frame_beyond_the_mtu_is_dropped_and_counted_and_holds_nothing_up) {
  ASSERT_EQ(run("ip link set near mtu 9000 && ip link set far mtu 9000"), 0);
  ASSERT_NO_FATAL_FAILURE(open_own("&mtu=1500"));
  put_on_wire(to_us("before"));
  for (const std::size_t size : {1600u, 5000u, 9000u}) put_on_wire(to_us(letters(size)));
  put_on_wire(to_us("after"));
  EXPECT_THAT(receive(2), ElementsAre(to_us("before"), to_us("after")));
  EXPECT_EQ(subject().dropped(drop::link_error), 3u);
}

TEST_P(packet_link, a_jumbo_frame_passes_where_the_interface_has_them) {
  ASSERT_EQ(run("ip link set near mtu 65535 && ip link set far mtu 65535"), 0);
  ASSERT_NO_FATAL_FAILURE(open_own());
  const auto longest = to_us(letters(65'521));
  put_on_wire(longest);
  EXPECT_THAT(receive(1), ElementsAre(longest));
  packet_socket far("far");
  const auto theirs = from_us(letters(65'521));
  EXPECT_TRUE(subject().send(theirs));
  EXPECT_THAT(far.receive(1), ElementsAre(theirs));
}

TEST_P(packet_link, what_does_not_fit_is_lost_and_counted) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  constexpr std::uint64_t many = 40'000;
  packet_socket far("far");
  const auto whole = to_us(letters(1500));
  for (std::uint64_t i = 0; i < many; ++i) far.send(whole);
  const auto got = subject().receive_or_lose(many, drop::link_rx_full);
  const auto lost = subject().dropped(drop::link_rx_full);
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(got + lost, many);
  put_on_wire(to_us("after"));
  EXPECT_THAT(receive(1), ElementsAre(to_us("after")));
}

TEST_P(packet_link, a_child_that_takes_over_goes_on_where_its_parent_was) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  for (char c = 'a'; c < 'e'; ++c) put_on_wire(to_us(std::string(50, c)));
  burst first;
  first.limit_to(1);
  while (first.empty()) ASSERT_NO_FATAL_FAILURE(wait_and_receive(first));
  const pid_t child = ::fork();
  if (child == 0) {
    put_on_wire(to_us(std::string(50, 'e')));
    std::string seen;
    for (const auto& f : receive(4)) seen += f.back();
    ::_exit(seen == "bcde" ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_P(packet_link, more_frames_than_a_ring_has_slots_leave_in_order) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  packet_socket far("far");
  for (char round = 'a'; round < 'a' + 12; ++round) {
    std::vector<frame> frames;
    for (std::size_t i = 0; i < 50; ++i) frames.push_back(from_us(std::string(50 + i * 29, round)));
    send(frames);
    EXPECT_THAT(far.receive(frames.size()), ElementsAreArray(frames));
  }
  EXPECT_EQ(subject().dropped(drop::link_tx_full) + subject().dropped(drop::link_error), 0u);
}

TEST_P(packet_link, a_child_that_takes_over_sends_on_where_its_parent_was) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  packet_socket far("far");
  const std::vector<frame> parents{from_us(letters(50)), from_us(letters(51)), from_us(letters(52))};
  const std::vector<frame> childs{from_us(letters(60)), from_us(letters(61))};
  send(parents);
  const pid_t child = ::fork();
  if (child == 0) {
    send(childs);
    ::_exit(subject().dropped(drop::link_tx_full) == 0 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(far.receive(3), ElementsAreArray(parents));
  EXPECT_THAT(far.receive(2), ElementsAreArray(childs));
}

TEST_P(packet_link, an_interface_that_is_down_loses_what_it_is_given_and_wakes_nobody) {
  ASSERT_NO_FATAL_FAILURE(open_own());
  packet_socket far("far");
  ASSERT_EQ(run("ip link set near down"), 0);
  send({from_us(letters(50)), from_us(letters(51)), from_us(letters(52))});
  EXPECT_EQ(subject().dropped(drop::link_error), 3u);
  burst in;
  while (!subject()->arm()) EXPECT_EQ(subject()->rx_burst(in), 0u);
  EXPECT_FALSE(readable(subject()->wait_fd(), 0));
  ASSERT_EQ(run("ip link set near up"), 0);
  while (run("ip link show near | grep -q LOWER_UP") != 0) continue;
  const std::vector<frame> after{from_us(letters(53)), from_us(letters(54))};
  send(after);
  EXPECT_THAT(far.receive(2), ElementsAreArray(after));
}

// A TAP interface whose other end nobody reads.
class full_device {
 public:
  explicit full_device(int room) : file_(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) {
    ifreq named{};
    std::strcpy(named.ifr_name, "full");
    named.ifr_flags = IFF_TAP | IFF_NO_PI;
    EXPECT_EQ(::ioctl(file_.number(), TUNSETIFF, &named), 0) << std::strerror(errno);
    EXPECT_EQ(run("ip link set full txqueuelen " + std::to_string(room) + " && ip link set full up"), 0);
  }
  std::vector<frame> drain() {
    std::vector<frame> out;
    char room[2000];
    for (ssize_t n; (n = ::read(file_.number(), room, sizeof room)) >= 0;)
      out.emplace_back(room, static_cast<std::size_t>(n));
    return out;
  }

 private:
  descriptor file_;
};

TEST_P(packet_link, a_full_device_holds_nobody_up_and_what_it_does_not_take_is_counted) {
  full_device device(10);
  open("address=10.0.0.9/24", "full");
  std::vector<frame> frames;
  for (std::size_t i = 0; i < 40; ++i) frames.push_back(from_us(letters(50 + i)));
  for (int round = 0; round < 12; ++round) {
    send(frames);
    EXPECT_EQ(subject().dropped(drop::link_tx_full), static_cast<std::uint64_t>(30 * (round + 1)));
    EXPECT_THAT(device.drain(), ElementsAreArray(frames.begin(), frames.begin() + 10));
  }
  send({frames.back()});
  EXPECT_THAT(device.drain(), ElementsAre(frames.back()));
  EXPECT_EQ(subject().dropped(drop::link_error), 0u);
}

// The link lets no such frame through to its ring.
TEST(transmitter, what_the_kernel_refuses_is_counted_and_holds_nothing_up) {
  if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
  ASSERT_EQ(run("ip link add near type veth peer name far && ip link set near up && ip link set far up"), 0);
  while (run("ip link show near | grep -q LOWER_UP") != 0) continue;
  reason why;
  const auto device = af_packet::look_up("near", why);
  ASSERT_TRUE(device);
  auto sending = af_packet::open_to_send(*device, why);
  ASSERT_TRUE(sending) << why.c_str();
  auto mapped = af_packet::transmit_ring::open(std::move(*sending), 1522, why);
  ASSERT_TRUE(mapped) << why.c_str();
  counters count;
  constexpr int no_socket = -1;
  af_packet::transmitter subject(no_socket, std::move(*mapped), false, count);
  packet_socket far("far");
  auto frames = pool::create(8, 2048);
  std::vector<frame> good;
  for (std::uint64_t round = 1; round <= 300; ++round) {
    good = {ethernet(mac_of(1), mac_of(2), letters(50)), ethernet(mac_of(1), mac_of(2), letters(51))};
    burst out;
    for (const auto& f : {frame("short"), good[0], frame("short"), frame(), good[1], frame("short")})
      out.append(host::make_in(**frames, f));
    subject.send(out.packets());
    EXPECT_EQ(count.drops[static_cast<std::size_t>(drop::link_error)].get(), 4 * round);
    EXPECT_THAT(far.receive(2), ElementsAreArray(good));
  }
  EXPECT_EQ(count.drops[static_cast<std::size_t>(drop::link_tx_full)].get(), 0u);
  run("ip link delete near");
}

TEST(packet_ring, is_v2_v3_or_off) {
  if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
  ASSERT_EQ(run("ip link add near type veth peer name far"), 0);
  host wrong("packet:near?ring=v1");
  EXPECT_FALSE(wrong);
  EXPECT_THAT(wrong.why(), HasSubstr("ring=v1: write v2, v3 or off"));
  run("ip link delete near");
}

}  // namespace
}  // namespace fastudp::test
