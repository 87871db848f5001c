// The field types as values: what fits, what is refused, what is kept.

#include "wire/field.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace fastudp {
namespace {

enum class colour : std::uint8_t { red = 1, blue = 15 };
enum plain : int { minus = -1, zero, one };

TEST(u, keeps_its_value_in_the_smallest_integer) {
  EXPECT_EQ(sizeof(u<1>), 1u);
  EXPECT_EQ(sizeof(u<8>), 1u);
  EXPECT_EQ(sizeof(u<9>), 2u);
  EXPECT_EQ(sizeof(u<17>), 4u);
  EXPECT_EQ(sizeof(u<24>), 4u);
  EXPECT_EQ(sizeof(u<33>), 8u);
  EXPECT_EQ(sizeof(u<64>), 8u);
}

TEST(u, takes_constants_up_to_its_limit) {
  constexpr u<1> bit = 1;
  constexpr u<13> offset = 8191;
  constexpr u<63> wide = 0x7fffffffffffffff;
  constexpr u<64> widest = 0xffffffffffffffff;
  EXPECT_EQ(bit, 1);
  EXPECT_EQ(offset, 8191);
  EXPECT_EQ(wide, 0x7fffffffffffffffu);
  EXPECT_EQ(widest, 0xffffffffffffffffu);
}

TEST(u, takes_values_of_types_that_always_fit) {
  std::uint8_t small = 255;
  std::uint64_t large = ~std::uint64_t{0};
  bool flag = true;
  EXPECT_EQ(u<8>(small), 255);
  EXPECT_EQ(u<12>(small), 255);
  EXPECT_EQ(u<64>(large), large);
  EXPECT_EQ(u<1>(flag), 1);
  EXPECT_EQ(u<12>(u<8>(small)), 255);
}

TEST(u, checks_run_time_values) {
  EXPECT_EQ(u<6>::checked(63).value(), 63);
  EXPECT_FALSE(u<6>::checked(64));
  EXPECT_FALSE(u<6>::checked(~std::uint64_t{0}));
  EXPECT_EQ(u<64>::checked(~std::uint64_t{0}).value(), ~std::uint64_t{0});
}

TEST(u, masks_run_time_values) {
  EXPECT_EQ(u<12>::masked(5000), 904);
  EXPECT_EQ(u<1>::masked(2), 0);
  EXPECT_EQ(u<64>::masked(~std::uint64_t{0}), ~std::uint64_t{0});
}

TEST(u, computes_as_an_integer) {
  const u<4> ihl = 5;
  EXPECT_EQ(ihl * 4 - 20, 0);
  EXPECT_TRUE(ihl == 5 && ihl < 6 && ihl != 4);
  EXPECT_EQ(u<4>(), 0);
}

TEST(as, keeps_values_without_a_name) {
  for (unsigned i = 0; i < 256; ++i) {
    const as<colour, 8> field = static_cast<colour>(i);
    EXPECT_EQ(static_cast<unsigned>(field.value()), i);
    EXPECT_EQ(field.number(), i);
  }
}

TEST(as, compares_and_switches_as_its_enumeration) {
  as<colour, 4> field = colour::blue;
  EXPECT_TRUE(field == colour::blue);
  EXPECT_TRUE(field != colour::red);
  switch (field) {
    case colour::blue:
      break;
    default:
      ADD_FAILURE();
  }
}

TEST(as, narrower_than_its_enumeration_is_checked_or_masked) {
  EXPECT_TRUE((as<colour, 4>::checked(colour::blue).value() == colour::blue));
  EXPECT_FALSE((as<colour, 4>::checked(static_cast<colour>(16))));
  EXPECT_TRUE((as<colour, 4>::masked(static_cast<colour>(17)) == colour::red));
}

TEST(as, takes_unscoped_and_signed_enumerations) {
  EXPECT_EQ((as<plain, 8>(one).number()), 1);
  EXPECT_FALSE((as<plain, 8>::checked(minus)));
  EXPECT_EQ((as<plain, 32>(minus).number()), 0xffffffffu);
  EXPECT_EQ((as<plain, 32>(minus).value()), minus);
}

TEST(fields, know_their_width) {
  EXPECT_EQ(wire::width_of<u<13>>(), 13u);
  EXPECT_EQ((wire::width_of<as<colour, 4>>()), 4u);
  EXPECT_EQ(wire::width_of<mac_address>(), 48u);
  EXPECT_EQ(wire::width_of<ipv4_address>(), 32u);
  EXPECT_EQ(wire::width_of<bytes_n<5>>(), 40u);
}

TEST(fields, are_told_from_other_types) {
  EXPECT_TRUE(wire::fixed_field<u<1>>);
  EXPECT_TRUE((wire::fixed_field<std::array<std::byte, 3>>));
  EXPECT_FALSE(wire::fixed_field<int>);
  EXPECT_FALSE((wire::fixed_field<std::array<int, 3>>));
}

}  // namespace
}  // namespace fastudp
