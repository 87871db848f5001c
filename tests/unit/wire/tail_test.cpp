// Members without a fixed place, on the shapes of GRE (RFC 2784, 2890) and RTP (RFC 3550).

#include "wire/tail.h"

#include <gtest/gtest.h>

#include "unit/wire/tail_schemas.h"
#include "unit/wire/wire_support.h"

namespace fastudp {
namespace {

octet_string copy_of(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

TEST(optional_fields, are_absent_without_their_flag) {
  const octet_string bytes = hex("00 00 08 00 aa bb");
  const auto v = view<gre>::parse(bytes);
  ASSERT_TRUE(v);
  EXPECT_EQ(v->size(), 4u);
  EXPECT_FALSE(v->get<&gre::checksum>());
  EXPECT_FALSE(v->get<&gre::key>());
  EXPECT_EQ(copy_of(v->payload()), hex("aa bb"));
}

TEST(optional_fields, stand_where_the_flags_before_them_put_them) {
  const octet_string bytes = hex("b0 00 08 00 12 34 00 00 00 00 00 07 00 00 00 09 ff");
  const auto v = view<gre>::parse(bytes);
  ASSERT_TRUE(v);
  EXPECT_EQ(v->size(), 16u);
  EXPECT_EQ(v->get<&gre::checksum>().value(), 0x1234);
  EXPECT_EQ(v->get<&gre::key>().value(), 7u);
  EXPECT_EQ(v->get<&gre::sequence>().value(), 9u);
  EXPECT_EQ(v->payload().size(), 1u);

  const octet_string key_alone = hex("20 00 08 00 00 00 00 07");
  EXPECT_EQ(view<gre>::parse(key_alone)->get<&gre::key>().value(), 7u);
}

TEST(optional_fields, that_are_cut_off_refuse_the_packet) {
  const octet_string bytes = hex("b0 00 08 00 12 34 00 00 00 00 00 07 00 00 00 09");
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(view<gre>::parse(std::span(bytes).first(length))) << length;
  }
  EXPECT_TRUE(view<gre>::parse(bytes));
}

TEST(optional_fields, are_set_if_they_are_there) {
  octet_string bytes = hex("20 00 08 00 00 00 00 07 ff");
  const auto m = mutable_view<gre>::parse(bytes);
  m->set<&gre::key>({0x01020304});
  m->set<&gre::sequence>({0x11111111});
  EXPECT_EQ(bytes, hex("20 00 08 00 01 02 03 04 ff"));
}

TEST(optional_fields, are_stored_as_the_flags_say) {
  octet_string bytes(8);
  const auto m = store(gre{.has_key = 1, .checksum = {0xffff}, .key = {5}}, bytes);
  ASSERT_TRUE(m);
  EXPECT_EQ(bytes, hex("20 00 08 00 00 00 00 05"));
  EXPECT_FALSE(store(gre{.has_key = 1, .has_sequence = 1}, bytes));
}

TEST(optional_fields, every_combination_round_trips) {
  random_source random(4);
  for (unsigned flags = 0; flags < 256; ++flags) {
    octet_string bytes = random_bytes(random, 16);
    bytes[0] = static_cast<std::byte>(flags);
    const auto v = *view<gre>::parse(bytes);
    octet_string copy(v.size());
    ASSERT_TRUE(store(v.value(), copy));
    EXPECT_EQ(copy, copy_of(v.header()));
    EXPECT_TRUE(view<gre>::parse(copy)->value() == v.value());
  }
}

const char* const rtp_with_everything =
    "b2 80 00 01 00 00 00 02 00 00 00 03 "              // P, X, two contributing sources
    "11 11 11 11 22 22 22 22 be de 00 01 aa bb cc dd "  // them, and an extension of one word
    "01 02 03 00 00 03";                                // payload, three bytes of padding

TEST(variable_tails, follow_from_fixed_and_optional_fields) {
  const octet_string bytes = hex(rtp_with_everything);
  const auto v = view<rtp>::parse(bytes);
  ASSERT_TRUE(v);
  EXPECT_EQ(copy_of(v->get<&rtp::csrc>()), hex("11 11 11 11 22 22 22 22"));
  EXPECT_EQ(v->get<&rtp::profile>().value(), 0xbede);
  EXPECT_EQ(copy_of(v->get<&rtp::extension>()), hex("aa bb cc dd"));
  EXPECT_EQ(v->size(), 28u);
}

TEST(trailers, are_counted_from_the_end) {
  const octet_string bytes = hex(rtp_with_everything);
  const auto v = view<rtp>::parse(bytes);
  EXPECT_EQ(copy_of(v->payload()), hex("01 02 03"));
  EXPECT_EQ(copy_of(v->get<&rtp::trailer>()), hex("00 00 03"));

  const octet_string alone = hex("01 02");
  EXPECT_FALSE(view<padded>::parse(alone));
  const octet_string enough = hex("01 aa 01");
  EXPECT_EQ(copy_of(view<padded>::parse(enough)->payload()), hex("aa"));
}

TEST(trailers, of_impossible_length_refuse_the_packet) {
  octet_string bytes = hex(rtp_with_everything);
  for (unsigned count = 0; count < 256; ++count) {
    bytes.back() = static_cast<std::byte>(count);
    EXPECT_EQ(view<rtp>::parse(bytes).has_value(), count >= 1 && count <= 6) << count;
  }
  const octet_string nothing_left = hex("01");
  EXPECT_FALSE(view<padded>::parse(nothing_left));
}

TEST(variable_tails, cut_anywhere_refuse_the_packet) {
  octet_string bytes = hex(rtp_with_everything);
  bytes[0] &= std::byte{0xdf};  // without padding, any payload will do
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(view<rtp>::parse(std::span(bytes).first(length)).has_value(), length >= 28) << length;
  }
}

TEST(variable_tails, longer_than_the_schema_accepts_refuse_the_packet) {
  octet_string bytes(64);
  bytes[0] = std::byte{0x90};
  bytes[15] = std::byte{4};
  EXPECT_TRUE(view<rtp>::parse(bytes));
  bytes[15] = std::byte{5};
  EXPECT_FALSE(view<rtp>::parse(bytes));
}

TEST(tails, round_trip) {
  const octet_string bytes = hex(rtp_with_everything);
  const rtp value = view<rtp>::parse(bytes)->value();
  EXPECT_EQ(value.trailer.count, 3);
  octet_string copy = bytes;
  for (std::size_t i = 0; i < copy.size(); ++i) {
    if (i < 28 || i >= 31) copy[i] = std::byte{0xee};  // all but the payload
  }
  ASSERT_TRUE(store(value, copy));
  EXPECT_EQ(copy, bytes);
  EXPECT_TRUE(view<rtp>::parse(copy)->value() == value);
}

TEST(tails, that_can_not_be_are_not_stored) {
  octet_string bytes(12, std::byte{0xee});
  EXPECT_FALSE(store(rtp{.has_padding = 1}, bytes));                           // padding of no bytes
  EXPECT_FALSE(store(rtp{.has_padding = 1, .trailer = {.count = 1}}, bytes));  // no room for it
  EXPECT_FALSE(store(rtp{.csrc_count = 1}, bytes));
  EXPECT_EQ(bytes, octet_string(12, std::byte{0xee}));
  EXPECT_TRUE(store(rtp{.trailer = {.count = 9}}, bytes));  // without the flag there is none
}

TEST(tails, lengths_that_are_absent_count_as_zero) {
  octet_string bytes(12);
  ASSERT_TRUE(store(rtp{.extension_words = {9}}, bytes));
  EXPECT_EQ(view<rtp>::parse(bytes)->size(), 12u);
}

TEST(trailers, end_with_their_own_length_when_stored) {
  octet_string bytes(16, std::byte{0xee});
  ASSERT_TRUE(store(rtp{.has_padding = 1, .trailer = {.count = 3}}, bytes));
  EXPECT_EQ(octet_string(bytes.begin() + 12, bytes.end()), hex("ee 00 00 03"));
}

TEST(tails, are_written_through_a_mutable_view) {
  octet_string bytes = hex(rtp_with_everything);
  const auto m = mutable_view<rtp>::parse(bytes);
  m->get<&rtp::csrc>()[0] = std::byte{0x99};
  EXPECT_EQ(bytes[12], std::byte{0x99});
  rtp value = m->value();
  value.csrc.content[1] = std::byte{0x98};
  m->set<&rtp::csrc>(value.csrc);
  EXPECT_EQ(bytes[13], std::byte{0x98});
}

TEST(tails, fields_that_control_them_do_not_move_a_view) {
  octet_string bytes = hex(rtp_with_everything);
  const auto m = mutable_view<rtp>::parse(bytes);
  m->set<&rtp::csrc_count>(15);
  EXPECT_EQ(m->size(), 28u);
  EXPECT_EQ(m->get<&rtp::csrc>().size(), 8u);
}

}  // namespace
}  // namespace fastudp
