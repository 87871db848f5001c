// The header language on schemas made for this test: layout, every kind of window, reflection, views, store.

#include "wire/schema.h"

#include <gtest/gtest.h>

#include "unit/wire/wire_support.h"

namespace fastudp {
namespace {

enum class kind : std::uint8_t { none = 0, some = 5 };

// All sorts of widths and positions.
struct mixture {
  u<3> three = 0;
  as<kind, 5> five = {};
  u<24> twenty_four = 0;
  u<1> one = 0;
  u<31> thirty_one = 0;
  bytes_n<3> raw = {};
  u<7> seven = 0;
  u<33> thirty_three = 0;
  mac_address mac = {};
  u<64> sixty_four = 0;

  friend bool operator==(const mixture&, const mixture&) = default;
};

// Three bytes have no window of a power of two.
struct three_bytes {
  u<24> all = 0;
};
struct three_split {
  u<4> high = 0;
  u<20> low = 0;
};
struct five_bytes {
  u<40> all = 0;
};
struct six_bytes {
  u<1> flag = 0;
  u<46> most = 0;
  u<1> last = 0;
};
struct seven_bytes {
  u<56> all = 0;
};
// A number that touches nine bytes.
struct straddling {
  u<4> before = 0;
  u<64> wide = 0;
  u<4> after = 0;
};
// The widest possible struct.
struct sixteen {
  u<1> a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
  u<2> i = 0, j = 0, k = 0, l = 0, m = 0, n = 0, o = 0, p = 0;
};
struct one_member {
  ipv4_address only = {};
};

template <typename T>
class every_schema : public testing::Test {};
using schemas = testing::Types<mixture, three_bytes, three_split, five_bytes, six_bytes, seven_bytes, straddling,
                               sixteen, one_member>;
TYPED_TEST_SUITE(every_schema, schemas);

TYPED_TEST(every_schema, fields_follow_each_other_without_gaps) {
  std::size_t next = 0;
  for (const auto& field : fields<TypeParam>()) {
    EXPECT_EQ(field.offset, next) << field.name;
    next += field.width;
  }
  EXPECT_EQ(next, fixed_size<TypeParam> * 8);
}

TYPED_TEST(every_schema, gets_and_sets_as_the_oracle_does) {
  constexpr auto list = fields<TypeParam>();
  constexpr auto access = accessors<TypeParam>();
  random_source random(1);
  octet_string bytes = random_bytes(random, fixed_size<TypeParam>);
  const auto m = *mutable_view<TypeParam>::parse(bytes);
  for (int round = 0; round < 100'000; ++round) {
    const std::size_t i = random.below(list.size());
    const std::uint64_t value = random.next() >> (64 - list[i].width);
    octet_string expected = bytes;
    oracle_set(expected, list[i], value);
    access[i].set(m, value);
    ASSERT_EQ(bytes, expected) << list[i].name;
    const std::size_t k = random.below(list.size());
    ASSERT_EQ(access[k].get(m), oracle_get(bytes, list[k])) << list[k].name;
  }
}

TYPED_TEST(every_schema, one_byte_less_is_refused) {
  const octet_string bytes(fixed_size<TypeParam>);
  EXPECT_TRUE(view<TypeParam>::parse(bytes));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(view<TypeParam>::parse(std::span(bytes).first(length)));
  }
}

TYPED_TEST(every_schema, no_access_leaves_the_header) {
  random_source random(2);
  octet_string bytes = random_bytes(random, fixed_size<TypeParam>);
  octet_string exact(bytes);  // the address sanitizer watches its ends
  exact.shrink_to_fit();
  const auto m = *mutable_view<TypeParam>::parse(exact);
  for (const auto& access : accessors<TypeParam>()) access.set(m, access.get(m));
  EXPECT_EQ(exact, bytes);
}

TEST(layout, is_the_order_of_declaration) {
  constexpr auto list = fields<mixture>();
  ASSERT_EQ(list.size(), 10u);
  EXPECT_EQ(list[1].name, "five");
  EXPECT_EQ(list[1].offset, 3u);
  EXPECT_EQ(list[2].name, "twenty_four");
  EXPECT_EQ(list[5].name, "raw");
  EXPECT_EQ(list[5].width, 24u);
  EXPECT_EQ(list[8].name, "mac");
  EXPECT_EQ(list[8].offset, 128u);
  EXPECT_EQ(fields<sixteen>()[15].name, "p");
  EXPECT_EQ(fields<one_member>()[0].name, "only");
}

TEST(layout, finds_members_of_one_type_apart) {
  EXPECT_EQ(wire::index_of<&sixteen::a>, 0u);
  EXPECT_EQ(wire::index_of<&sixteen::h>, 7u);
  EXPECT_EQ(wire::index_of<&sixteen::p>, 15u);
}

TEST(views, show_size_header_and_payload) {
  octet_string bytes(fixed_size<mixture> + 5);
  const auto v = view<mixture>::parse(bytes);
  ASSERT_TRUE(v);
  EXPECT_EQ(v->size(), fixed_size<mixture>);
  EXPECT_EQ(v->header().data(), bytes.data());
  EXPECT_EQ(v->header().size(), fixed_size<mixture>);
  EXPECT_EQ(v->payload().data(), bytes.data() + fixed_size<mixture>);
  EXPECT_EQ(v->payload().size(), 5u);
}

TEST(views, of_mutable_bytes_become_constant) {
  octet_string bytes(fixed_size<mixture>);
  const auto m = mutable_view<mixture>::parse(bytes);
  m->set<&mixture::five>(kind::some);
  const view<mixture> v = *m;
  EXPECT_TRUE(v.get<&mixture::five>() == kind::some);
}

TEST(views, read_what_fields_mean) {
  const octet_string bytes =
      hex("a5 12 34 56 ff ff ff fe 01 02 03 ff 00 00 00 01 0a 0b 0c 0d 0e 0f 00 00 00 00 00 00 01 00");
  const auto v = view<mixture>::parse(bytes);
  EXPECT_EQ(v->get<&mixture::three>(), 5);
  EXPECT_TRUE(v->get<&mixture::five>() == kind::some);
  EXPECT_EQ(v->get<&mixture::twenty_four>(), 0x123456u);
  EXPECT_EQ(v->get<&mixture::one>(), 1);
  EXPECT_EQ(v->get<&mixture::thirty_one>(), 0x7ffffffeu);
  EXPECT_EQ(v->get<&mixture::raw>(), (bytes_n<3>{1, 2, 3}));
  EXPECT_EQ(v->get<&mixture::seven>(), 127);
  EXPECT_EQ(v->get<&mixture::thirty_three>(), 0x100000001u);
  EXPECT_EQ(v->get<&mixture::mac>(), (mac_address{{10, 11, 12, 13, 14, 15}}));
  EXPECT_EQ(v->get<&mixture::sixty_four>(), 0x100u);
}

TEST(store, writes_what_value_reads) {
  random_source random(3);
  for (int round = 0; round < 1000; ++round) {
    const octet_string bytes = random_bytes(random, fixed_size<mixture>);
    const mixture value = view<mixture>::parse(bytes)->value();
    octet_string copy = random_bytes(random, bytes.size());
    const auto m = store(value, copy);
    ASSERT_TRUE(m);
    EXPECT_EQ(copy, bytes);
    EXPECT_TRUE(m->value() == value);
    copy.back() ^= std::byte{1};
    EXPECT_FALSE(m->value() == value);
  }
}

TEST(store, refuses_a_short_buffer_and_leaves_it_alone) {
  octet_string bytes(fixed_size<mixture> - 1, std::byte{0xee});
  EXPECT_FALSE(store(mixture{.three = 7}, bytes));
  EXPECT_EQ(bytes, octet_string(bytes.size(), std::byte{0xee}));
}

TEST(store, needs_no_initialised_buffer) {
  std::byte bytes[fixed_size<three_split>];  // the compiler says so if one of its bytes is read
  ASSERT_TRUE(store(three_split{.high = 1, .low = 0x23456}, bytes));
  EXPECT_EQ(octet_string(std::begin(bytes), std::end(bytes)), hex("12 34 56"));
}

TEST(store, leaves_what_follows_alone) {
  octet_string bytes(fixed_size<mixture> + 4, std::byte{0xee});
  ASSERT_TRUE(store(mixture{}, bytes));
  EXPECT_EQ(octet_string(bytes.end() - 4, bytes.end()), octet_string(4, std::byte{0xee}));
  EXPECT_EQ(octet_string(bytes.begin(), bytes.end() - 4), octet_string(fixed_size<mixture>));
}

}  // namespace
}  // namespace fastudp
