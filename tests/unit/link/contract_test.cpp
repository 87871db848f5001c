// The contract of link.h, on every link and through the wrappers: the same tests, with a peer that sends to the link
// and sees what it transmits.

#include <gmock/gmock.h>

#include <cstdlib>
#include <memory>

#include "link/steering.h"
#include "unit/link/allocations.h"
#include "unit/link/namespace.h"
#include "unit/link/ring_cable.h"

namespace fastudp::test {
namespace {

using testing::ElementsAreArray;

constexpr std::uint32_t mtu = 1500;

class peer {
 public:
  virtual ~peer() = default;
  virtual void send(const frame& bytes) = 0;
  virtual std::vector<frame> receive(std::size_t expected) = 0;
  virtual bool nothing_there() = 0;
};

class link_peer final : public peer {
 public:
  explicit link_peer(const std::string& uri) : port_(uri) { EXPECT_TRUE(port_) << port_.why(); }
  void send(const frame& bytes) override { port_.send(bytes); }
  std::vector<frame> receive(std::size_t expected) override {
    std::vector<frame> out;
    for (bool more = true; more && out.size() < expected;) {
      const auto some = port_.receive();
      more = !some.empty();
      out.insert(out.end(), some.begin(), some.end());
    }
    return out;
  }
  bool nothing_there() override { return port_.receive().empty(); }
  host& port() { return port_; }

 private:
  host port_;
};

class kernel_peer final : public peer {
 public:
  explicit kernel_peer(const std::string& interface) : socket_(interface) {}
  void send(const frame& bytes) override { socket_.send(bytes); }
  std::vector<frame> receive(std::size_t expected) override { return socket_.receive(expected); }
  bool nothing_there() override { return socket_.nothing_there(); }

 private:
  packet_socket socket_;
};

struct kind {
  std::string name, scheme;
  std::string keys = "";
  std::string device = "contract";
  bool is_polled = false;   // its descriptor wakes too early rather than too late
  bool keeps_sent = false;  // the driver has what it has sent until it sends the next
};

std::ostream& operator<<(std::ostream& out, const kind& k) { return out << k.name; }

class link_contract : public testing::TestWithParam<kind> {
 protected:
  void SetUp() override {
    const auto& k = GetParam();
    if (k.scheme != "mem" && !enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
    if (k.scheme == "xdp") load_programs();
    if (IsSkipped() || HasFatalFailure()) return;
    if (has_cable()) make_cable("contract");
    if (is_ring()) make_rings();
    if (IsSkipped() || HasFatalFailure()) return;
    const bool captured = k.keys == "?capture=";
    under_test_ =
        std::make_unique<host>(k.scheme + ":" + k.device + k.keys + (captured ? capture_.path() : ""), programs_.get());
    if (k.scheme == "dpdk" && std::string_view(under_test_->why()).starts_with("fastudp-dpdk.so")) {
      GTEST_SKIP() << under_test_->why();
    }
    ASSERT_TRUE(*under_test_) << under_test_->why();
    make_peer();
    at_rest_ = subject()->frames().available();
  }
  void make_peer() {
    const auto& k = GetParam();
    if (k.scheme == "mem") {
      // In the same VLANs, as what is compared are the frames as both stacks see them.
      const bool tagged = k.keys.starts_with("?vlan=");
      peer_ = std::make_unique<link_peer>("mem:contract?promiscuous=1&mac=02:00:00:00:00:99" +
                                          (tagged ? "&" + k.keys.substr(1) : ""));
    } else if (is_ring()) {
      peer_ = std::make_unique<link_peer>(std::string("dpdk:") + far_ring);
    } else if (is_memif()) {
      auto made = std::make_unique<link_peer>("dpdk:net_memif1,role=client,socket=contract");
      await_connection(made->port());
      peer_ = std::move(made);
    } else {
      peer_ = std::make_unique<kernel_peer>(has_cable() ? "far" : "contract");
    }
  }
  // Both ends find each other in a thread of DPDK's.
  void await_connection(host& far) {
    while (subject().receive().empty()) far.send(from_peer(numbered(0)));
    while (far.receive().empty()) subject().send(to_peer(numbered(0)));
    while (!subject().receive().empty() || !far.receive().empty()) continue;
  }
  // By a DPDK that the first port starts.
  static void make_rings() {
    const host any("dpdk:net_ring0");
    if (!any && std::string_view(any.why()).starts_with("fastudp-dpdk.so")) GTEST_SKIP() << any.why();
    ASSERT_TRUE(any) << any.why();
    ASSERT_TRUE(make_ring_cable());
  }
  bool is_ring() const { return GetParam().device == near_ring; }
  bool is_memif() const { return GetParam().device.starts_with("net_memif"); }
  bool has_cable() const {
    const auto& k = GetParam();
    return k.scheme == "packet" || k.scheme == "xdp" || k.device.starts_with("net_af_");
  }
  // Every packet is home again, whatever the test did.
  void TearDown() override {
    if (peer_ == nullptr) return;
    if (GetParam().keeps_sent) subject().send(to_peer("the last"));
    if (has_cable()) run("ip link delete contract");
    burst in;
    subject()->rx_burst(in);
    EXPECT_TRUE(in.empty());
    peer_.reset();  // may have frames of ours
    subject()->frames().reclaim();
    EXPECT_EQ(subject()->frames().available(), at_rest_ - (GetParam().keeps_sent ? 1 : 0));
  }

  void load_programs() {
    if (!has_plugin()) GTEST_SKIP() << without_plugin;
    reason why;
    auto loaded = steering::load(why, plugin().c_str());
    ASSERT_TRUE(loaded) << why.c_str();
    programs_ = std::move(*loaded);
  }
  host& subject() { return *under_test_; }
  peer& other() { return *peer_; }
  static std::string numbered(unsigned i) { return "frame number " + std::to_string(i) + std::string(40, '.'); }
  frame to_peer(std::string_view payload) { return ethernet(mac_of(0x99), subject()->info().mac, payload); }
  frame from_peer(std::string_view payload) { return ethernet(subject()->info().mac, mac_of(0x99), payload); }

  // A link may take its time until a frame is there.
  void send_and_await(const frame& f) {
    EXPECT_TRUE(subject()->arm());
    other().send(f);
    EXPECT_TRUE(readable(subject()->wait_fd(), patience_ms));
  }

  std::vector<frame> receive(std::size_t expected) { return receive_awaited(subject(), expected); }

  temporary_file capture_;
  std::unique_ptr<steering> programs_;
  std::unique_ptr<host> under_test_;
  std::unique_ptr<peer> peer_;
  std::uint32_t at_rest_ = 0;
};

TEST_P(link_contract, info_says_who_it_is) {
  const auto& info = subject()->info();
  EXPECT_EQ(info.name, GetParam().scheme + ":" + GetParam().device);
  EXPECT_EQ(info.mtu, mtu);
  EXPECT_FALSE(info.mac.is_zero());
  EXPECT_FALSE(info.mac.is_group());
  EXPECT_EQ(info.queues, GetParam().keys == "?queues=4" ? 4u : 1u);
}

TEST_P(link_contract, a_frame_to_fill_holds_the_mtu_and_headers) {
  packet* p = subject()->frames().take();
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p->headroom(), default_headroom);
  EXPECT_GE(p->tailroom(), mtu + longest_link_header);
  release(p);
}

TEST_P(link_contract, a_transmitted_burst_arrives_whole_and_in_order) {
  std::vector<frame> sent;
  burst out;
  for (unsigned i = 0; i < burst::capacity; ++i) {
    sent.push_back(to_peer(numbered(i)));
    out.append(subject().make(sent.back()));
  }
  ASSERT_EQ(subject()->tx_burst(out), burst::capacity);
  out.forget_all();
  subject()->tx_flush();
  EXPECT_THAT(other().receive(sent.size()), ElementsAreArray(sent));
}

TEST_P(link_contract, received_frames_are_whole_and_in_order) {
  std::vector<frame> sent;
  for (unsigned i = 0; i < 200; ++i) sent.push_back(from_peer(numbered(i)));
  for (const auto& f : sent) other().send(f);
  EXPECT_THAT(receive(sent.size()), ElementsAreArray(sent));
}

TEST_P(link_contract, an_empty_burst_and_an_empty_link_are_nothing) {
  burst nothing;
  EXPECT_EQ(subject()->tx_burst(nothing), 0u);
  subject()->tx_flush();
  EXPECT_EQ(subject()->rx_burst(nothing), 0u);
  EXPECT_TRUE(nothing.empty());
  EXPECT_TRUE(other().nothing_there());
}

TEST_P(link_contract, receiving_appends_and_stops_at_a_full_burst) {
  for (unsigned i = 0; i < 4; ++i) other().send(from_peer(numbered(i)));
  burst in;
  while (in.room() > 2) in.append(subject()->frames().take());
  packet* first = in.packets().front();
  while (in.room() != 0) {
    ASSERT_TRUE(!subject()->arm() || readable(subject()->wait_fd(), patience_ms));
    subject()->rx_burst(in);
  }
  EXPECT_EQ(subject()->rx_burst(in), 0u);
  EXPECT_EQ(in.packets().front(), first);
  EXPECT_EQ(host::text_of(*in.packets().back()), from_peer(numbered(1)));
  in.release_all();
  EXPECT_THAT(receive(2), ElementsAreArray({from_peer(numbered(2)), from_peer(numbered(3))}));
}

TEST_P(link_contract, frames_of_every_size_up_to_the_mtu_pass_both_ways) {
  for (const std::size_t size : {46u, 47u, 100u, 1023u, 1024u, 1499u, 1500u}) {
    const auto there = to_peer(std::string(size, 'a')), back = from_peer(std::string(size, 'b'));
    EXPECT_TRUE(subject().send(there));
    EXPECT_THAT(other().receive(1), ElementsAreArray({there})) << size;
    other().send(back);
    EXPECT_THAT(receive(1), ElementsAreArray({back})) << size;
  }
}

TEST_P(link_contract, a_vlan_tag_is_no_part_of_the_mtu) {
  const auto tagged = ethernet(mac_of(0x99), subject()->info().mac, "\x01\x02\x88\xb5" + std::string(mtu, 't'), 0x8100);
  EXPECT_TRUE(subject().send(tagged));
  EXPECT_EQ(subject().dropped(drop::link_error), 0u);
}

TEST_P(link_contract, what_is_no_frame_for_the_link_is_taken_dropped_and_counted) {
  const frame whole = to_peer(std::string(mtu, 'x'));
  std::uint64_t expected = 0;
  for (const frame& wrong : {frame(), whole.substr(0, 1), whole.substr(0, 13), whole + "y"}) {
    EXPECT_TRUE(subject().send(wrong)) << wrong.size();
    EXPECT_EQ(subject().dropped(drop::link_error), ++expected) << wrong.size();
  }
  EXPECT_TRUE(subject().send(whole));
  EXPECT_THAT(other().receive(1), ElementsAreArray({whole}));
}

TEST_P(link_contract, wrong_frames_do_not_hold_up_their_burst) {
  burst out;
  for (const auto& f : {to_peer(numbered(1)), frame("short"), to_peer(numbered(2))}) out.append(subject().make(f));
  ASSERT_EQ(subject()->tx_burst(out), 3u);
  out.forget_all();
  subject()->tx_flush();
  EXPECT_THAT(other().receive(2), ElementsAreArray({to_peer(numbered(1)), to_peer(numbered(2))}));
}

TEST_P(link_contract, packets_of_another_pool_are_sent_and_go_home) {
  auto foreign = pool::create(8, 2048);
  ASSERT_TRUE(foreign);
  for (int round = 0; round < 3; ++round) {
    burst out;
    for (unsigned i = 0; i < 8; ++i) out.append(host::make_in(**foreign, to_peer(numbered(i))));
    ASSERT_EQ(subject()->tx_burst(out), 8u);
    out.forget_all();
    subject()->tx_flush();
    EXPECT_EQ(other().receive(8).size(), 8u);
    EXPECT_EQ((*foreign)->available(), 8u);
  }
}

TEST_P(link_contract, a_packet_without_headroom_is_sent_too) {
  burst out;
  packet* p = subject().make("");
  const auto f = to_peer("from the very first byte of the buffer, no room before it");
  p->reset(0);
  p->length = static_cast<std::uint32_t>(f.size());
  std::copy(f.begin(), f.end(), reinterpret_cast<char*>(p->data()));
  out.append(p);
  ASSERT_EQ(subject()->tx_burst(out), 1u);
  out.forget_all();
  subject()->tx_flush();
  EXPECT_THAT(other().receive(1), ElementsAreArray({f}));
}

TEST_P(link_contract, received_packets_are_as_new) {
  for (int round = 0; round < 2; ++round) {
    other().send(from_peer(numbered(0)));
    burst in;
    while (in.empty()) {
      ASSERT_TRUE(!subject()->arm() || readable(subject()->wait_fd(), patience_ms));
      subject()->rx_burst(in);
    }
    packet& p = *in.packets()[0];
    EXPECT_EQ(p.next, nullptr);
    EXPECT_EQ(p.charge + p.network + p.transport, 0u);
    EXPECT_GE(p.headroom(), default_headroom);
    p.charge = p.network = p.transport = 7;  // as a layer leaves it behind
    p.pull(14);
  }
}

TEST_P(link_contract, the_descriptor_wakes_whoever_armed_it) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(subject()->arm());
    EXPECT_TRUE(GetParam().is_polled || !readable(subject()->wait_fd(), 0));
    other().send(from_peer(numbered(0)));
    EXPECT_TRUE(readable(subject()->wait_fd(), patience_ms));
    EXPECT_FALSE(subject()->arm());
    EXPECT_EQ(subject().receive().size(), 1u);
  }
}

TEST_P(link_contract, an_arming_outlives_receiving) {
  ASSERT_TRUE(subject()->arm());
  other().send(from_peer(numbered(0)));
  ASSERT_EQ(receive(1).size(), 1u);
  ASSERT_TRUE(subject()->arm());
  EXPECT_EQ(subject().receive().size(), 0u);  // another thread looks, in vain
  other().send(from_peer(numbered(1)));
  EXPECT_TRUE(readable(subject()->wait_fd(), patience_ms));
  EXPECT_EQ(receive(1).size(), 1u);
}

TEST_P(link_contract, arming_says_when_packets_are_there_already) {
  send_and_await(from_peer(numbered(0)));
  EXPECT_FALSE(subject()->arm());
  EXPECT_EQ(subject().receive().size(), 1u);
  EXPECT_TRUE(subject()->arm());
}

TEST_P(link_contract, without_holding_back_time_does_not_matter) {
  EXPECT_EQ(subject()->deadline(), never);
  subject()->advance(second);
  EXPECT_EQ(subject()->deadline(), never);
}

TEST_P(link_contract, frames_that_the_program_holds_cost_frames_not_the_link) {
  std::vector<packet*> held;
  while (packet* p = subject()->frames().take()) held.push_back(p);
  send_and_await(from_peer(numbered(0)));
  burst in;
  subject()->rx_burst(in);
  in.release_all();
  for (packet* p : held) release(p);
  subject()->rx_burst(in);
  in.release_all();
  other().send(from_peer(numbered(1)));
  EXPECT_THAT(receive(1), ElementsAreArray({from_peer(numbered(1))}));
}

TEST_P(link_contract, sending_and_receiving_allocate_nothing) {
  burst out, in;
  std::vector<frame> sent(1000, from_peer(numbered(0)));
  for (const auto& f : sent) other().send(f);
  const frame f = to_peer(numbered(1));
  const auto before = allocations();
  for (int round = 0; round < 20; ++round) {
    while (out.room() != 0) out.append(subject().make(f));
    out.forget_front(subject()->tx_burst(out));
    subject()->tx_flush();
    subject()->arm();
    subject()->rx_burst(in);
    in.release_all();
  }
  EXPECT_EQ(allocations(), before);
  const frame last = from_peer(numbered(2));
  other().send(last);
  while (receive(1).back() != last) continue;
}

TEST(allocations, are_counted) {
  const auto before = allocations();
  void* volatile memory = std::malloc(1);  // volatile: or the compiler sees through the pair
  std::free(memory);
  int* volatile object = new int;
  delete object;
  EXPECT_GE(allocations(), before + 2);
}

const kind kinds[] = {
    {"mem", "mem"},
    {"tap", "tap"},
    {"tap_queues", "tap", "?queues=4"},
    {"packet", "packet", "?address=10.0.0.9/24"},
    {"packet_plain", "packet", "?address=10.0.0.9/24&ring=off"},
    {"packet_blocks", "packet", "?address=10.0.0.9/24&ring=v3"},
    {"xdp_native", "xdp", "?address=10.0.0.9/24&mode=copy"},
    {"xdp_generic", "xdp", "?address=10.0.0.9/24&mode=generic"},
#ifndef FASTUDP_WITHOUT_DPDK
    {"dpdk_ring", "dpdk", "", near_ring, true},
    {"dpdk_memif", "dpdk", "", "net_memif0,role=server,socket=contract", true},
    {"dpdk_tap", "dpdk", "", "net_tap0,iface=contract"},
    {"dpdk_tap_queues", "dpdk", "?queues=4", "net_tap0,iface=contract"},
    {"dpdk_packet", "dpdk", "", "net_af_packet0,iface=contract", true},
    {"dpdk_xdp", "dpdk", "", "net_af_xdp0,iface=contract", true, true},
#endif
    {"mem_captured", "mem", "?capture="},
    {"tap_captured", "tap", "?capture="},
    // The smallest chance there is: frames pass through the wrapper's hands, and it draws for each.
    {"mem_impaired", "mem", "?reorder=0.0001&seed=3"},
    {"tap_impaired", "tap", "?duplicate=0.0001&seed=3"},
    {"mem_tagged", "mem", "?vlan=100"},
    {"mem_tagged_impaired", "mem", "?vlan=100&reorder=0.0001&seed=3"},
    {"mem_access", "mem", "?vlan=100&vlan_mode=access"},
    {"mem_trunk", "mem", "?vlan=100,200&vlan_mode=trunk&vlan_native=200"},
};

INSTANTIATE_TEST_SUITE_P(links, link_contract, testing::ValuesIn(kinds),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace fastudp::test
