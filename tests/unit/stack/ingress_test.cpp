// What is let in: every refusal has its reason, and what is refused is answered to nobody.

#include "stack/ingress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/node.h"

namespace fastudp {
namespace {

using test::ip;
using test::mac_of;
using test::node;
using testing::ElementsAre;
using testing::SizeIs;

constexpr endpoint_address here{node::address_of(1), 53}, peer{node::address_of(9), 999};
constexpr flow conversation{here, peer};

class arriving : public testing::Test {
 protected:
  arriving() : socket_(host_.open("0.0.0.0", 53)) { host_.know(9); }

  void hear_ip(std::string_view packet, const mac_address& to = mac_of(1)) {
    host_.hear_frame(test::ethernet_frame(to, mac_of(9), ether_type::ipv4, packet));
  }
  // Dropped for this reason and no other, unanswered and undelivered.
  void expect_dropped(std::string_view packet, drop why, const char* what) {
    const std::uint64_t before = host_.drops(why), all = host_.drops();
    hear_ip(packet);
    EXPECT_EQ(host_.drops(why), before + 1) << what;
    EXPECT_EQ(host_.drops(), all + 1) << what;
    EXPECT_FALSE(socket_.has_datagram()) << what;
    EXPECT_THAT(host_.device.take_sent(), SizeIs(0)) << what;
  }
  // The header's checksum is right again after the change.
  static std::string with(std::size_t at, char value, std::string packet = test::udp_packet(conversation, "payload")) {
    packet[at] = value;
    test::fix_ip_checksum(packet);
    return packet;
  }
  static std::string from(const char* source) { return test::udp_packet({here, {ip(source), 999}}, "payload"); }
  static std::string to(const char* destination) { return test::udp_packet({{ip(destination), 53}, peer}, "payload"); }

  node host_{1};
  udp_socket& socket_;
};

TEST_F(arriving, a_header_that_contradicts_itself_is_refused) {
  const std::string good = test::udp_packet(conversation, "payload");
  expect_dropped("", drop::frame_short, "nothing");
  expect_dropped(good.substr(0, 19), drop::frame_short, "less than a header");
  expect_dropped(with(0, 0x55), drop::ip_version, "version 5");
  expect_dropped(with(0, 0x65), drop::ip_version, "version 6");
  std::string short_header = good;
  short_header[0] = 0x44;
  expect_dropped(short_header, drop::ip_header_length, "four words");
  std::string long_header = good;
  long_header[0] = 0x4f;
  expect_dropped(long_header, drop::ip_header_length, "beyond the frame");
  expect_dropped(with(3, 19), drop::ip_total_length, "shorter than its header");
  expect_dropped(with(3, 127), drop::ip_total_length, "longer than the frame");
  expect_dropped(good.substr(0, good.size() - 1), drop::ip_total_length, "cut");
  std::string bad = good;
  bad[8] ^= 1;
  expect_dropped(bad, drop::ip_checksum, "another TTL");
}

TEST_F(arriving, what_is_not_for_us_is_left_alone) {
  expect_dropped(to("10.0.0.2"), drop::not_for_us, "a neighbour's");
  expect_dropped(to("127.0.0.1"), drop::not_for_us, "loopback, from the wire");
  expect_dropped(to("0.0.0.0"), drop::not_for_us, "nobody's");
  expect_dropped(to("239.1.2.3"), drop::not_for_us, "a group that nobody joined");
  host_.hear_frame(test::ethernet_frame(mac_of(2), mac_of(9), ether_type::ipv4, test::udp_packet(conversation, "x")));
  EXPECT_EQ(host_.drops(drop::not_for_us), 5u);
  EXPECT_FALSE(socket_.has_datagram());
}

TEST_F(arriving, nobody_sends_from_these) {
  for (const char* source :
       {"127.0.0.1", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255", "0.0.0.0", "10.0.0.1", "10.0.0.255"}) {
    expect_dropped(from(source), drop::ip_source, source);
  }
}

TEST_F(arriving, who_has_no_address_yet_may_ask_everybody) {
  hear_ip(test::udp_packet({{ip("255.255.255.255"), 53}, {ip("0.0.0.0"), 68}}, "discover"), broadcast_mac);
  EXPECT_EQ(test::receive(socket_), "discover");
}

TEST_F(arriving, other_protocols_and_tags) {
  host_.hear_frame("too short");
  EXPECT_EQ(host_.drops(drop::frame_short), 1u);
  host_.hear_frame(test::ethernet_frame(mac_of(1), mac_of(9), ether_type::vlan, "a tag"));
  EXPECT_EQ(host_.drops(drop::vlan), 1u);
  host_.hear_frame(test::ethernet_frame(mac_of(1), mac_of(9), ether_type(0x88cc), "a neighbour's"));
  EXPECT_EQ(host_.drops(drop::unknown_protocol), 1u);
  EXPECT_THAT(host_.device.take_sent(), SizeIs(0));
}

TEST_F(arriving, a_length_of_udp_that_is_not_there_is_refused) {
  const auto with_length = [](std::uint16_t length) {
    std::string packet = test::udp_packet(conversation, "payload");
    store_network(test::octets(packet).data() + 24, length);
    return packet;
  };
  expect_dropped(with_length(0), drop::udp_length, "0");
  expect_dropped(with_length(7), drop::udp_length, "less than its header");
  expect_dropped(with_length(16), drop::udp_length, "one more than there is");
  expect_dropped(
      test::ip_packet({.protocol = ip_protocol::udp, .source = peer.address.ipv4(), .destination = here.address.ipv4()},
                      "7 bytes"),
      drop::udp_length, "no header");
}

TEST_F(arriving, a_shorter_length_of_udp_is_what_counts) {
  std::string segment = test::udp_segment(conversation, "short");
  segment += "and more behind it";
  hear_ip(test::ip_packet(
      {.protocol = ip_protocol::udp, .source = peer.address.ipv4(), .destination = here.address.ipv4()}, segment));
  EXPECT_EQ(test::receive(socket_), "short");
}

TEST_F(arriving, every_flipped_bit_of_a_datagram_is_found) {
  const std::string good = test::udp_packet(conversation, "payload");
  for (std::size_t bit = 20 * 8; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    hear_ip(bad);
    EXPECT_FALSE(socket_.has_datagram()) << bit;
  }
  EXPECT_EQ(host_.drops(drop::udp_checksum) + host_.drops(drop::udp_length), (good.size() - 20) * 8);
  hear_ip(good);
  EXPECT_EQ(test::receive(socket_), "payload");
}

TEST_F(arriving, a_checksum_of_zero_is_none) {
  std::string packet = test::udp_packet(conversation, "payload");
  packet[26] = packet[27] = 0;
  hear_ip(packet);
  EXPECT_EQ(test::receive(socket_), "payload");
}

TEST_F(arriving, the_link_may_vouch_for_a_checksum) {
  std::string packet = test::udp_packet(conversation, "payload");
  packet[26] ^= 1;
  for (const checksum_state state : {checksum_state::verified, checksum_state::partial}) {
    host_.device.checksum_of_received = state;
    hear_ip(packet);
    EXPECT_EQ(test::receive(socket_), "payload");
  }
  packet[10] ^= 1;  // but not for the header's
  hear_ip(packet);
  EXPECT_FALSE(socket_.has_datagram());
  EXPECT_EQ(host_.drops(drop::ip_checksum), 1u);
}

TEST_F(arriving, padding_is_not_payload) {
  std::string packet = test::udp_packet(conversation, "x");
  packet.resize(46, '\xee');
  hear_ip(packet);
  EXPECT_EQ(test::receive(socket_), "x");
}

TEST_F(arriving, options_are_passed_over) {
  for (std::size_t words = 1; words <= 10; ++words) {
    std::string packet = test::udp_packet(conversation, "payload");
    packet.insert(20, std::string(4 * words, '\1'));  // "no operation"
    packet[0] = static_cast<char>(0x45 + words);
    packet[3] = static_cast<char>(packet.size());
    test::fix_ip_checksum(packet);
    hear_ip(packet);
    EXPECT_EQ(test::receive(socket_), "payload") << words;
  }
}

TEST_F(arriving, a_burst_is_delivered_in_order_and_whole) {
  std::vector<std::string> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back(std::to_string(i));
    host_.device.to_receive.push_back(
        test::ethernet_frame(mac_of(1), mac_of(9), ether_type::ipv4, test::udp_packet(conversation, all.back())));
  }
  host_.run();
  EXPECT_EQ(test::receive_all(socket_), all);
  EXPECT_EQ(host_.count.rx_frames.get(), 200u);
}

TEST_F(arriving, fragments_are_put_together_and_looked_at_as_one) {
  const std::string payload(3000, 'f');
  std::string whole = test::udp_packet(conversation, payload);
  for (const std::string& piece : test::fragments_of(whole, 1000)) hear_ip(piece);
  EXPECT_EQ(test::receive(socket_), payload);
  whole[100] ^= 1;
  for (const std::string& piece : test::fragments_of(whole, 1000)) hear_ip(piece);
  EXPECT_FALSE(socket_.has_datagram());
  EXPECT_EQ(host_.drops(drop::udp_checksum), 1u);
  EXPECT_EQ(host_.drops(), 1u);
}

TEST_F(arriving, a_later_fragment_is_never_a_datagram) {
  const auto pieces = test::fragments_of(test::udp_packet(conversation, std::string(100, 'f')), 8);
  for (std::size_t i = 1; i < pieces.size(); ++i) hear_ip(pieces[i]);
  EXPECT_FALSE(socket_.has_datagram());
  EXPECT_EQ(host_.drops(), 0u);
  hear_ip(pieces[0]);
  EXPECT_EQ(test::receive(socket_), std::string(100, 'f'));
}

// RFC 1122 3.2.2.1
TEST_F(arriving, an_unknown_protocol_is_answered) {
  const std::string packet = test::ip_packet(
      {.protocol = ip_protocol::gre, .source = peer.address.ipv4(), .destination = here.address.ipv4()}, "tunnel");
  hear_ip(packet);
  const auto answers = host_.device.take_sent();
  ASSERT_THAT(answers, SizeIs(1));
  const test::seen answer = test::look_at(answers[0]);
  EXPECT_EQ(answer.message->type, icmpv4_type::unreachable);
  EXPECT_EQ(answer.message->code, 2);
  EXPECT_EQ(answer.payload, packet);
  EXPECT_EQ(host_.drops(drop::unknown_protocol), 1u);
  hear_ip(packet, broadcast_mac);
  EXPECT_THAT(host_.device.take_sent(), SizeIs(0)) << "but not when everybody got it";
}

}  // namespace
}  // namespace fastudp
