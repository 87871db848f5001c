// The small parts on which everything stands: results, reasons, counters, shared memory, descriptors, byte order.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "base/byte_order.h"
#include "base/counters.h"
#include "base/descriptor.h"
#include "base/memory.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp {
namespace {

TEST(result, is_a_value_or_an_errno) {
  const result<int> value = 7, failed = error{ENOENT};
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, 7);
  EXPECT_EQ(value.code(), 0);
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.code(), ENOENT);
  EXPECT_EQ(failed.failure().code, ENOENT);
}

TEST(result, moves_what_cannot_be_copied) {
  result<std::unique_ptr<int>> made = std::make_unique<int>(3);
  EXPECT_EQ(**made, 3);
  const auto taken = std::move(*made);
  EXPECT_EQ(*taken, 3);
}

TEST(result, without_a_value_says_whether_it_worked) {
  const status fine, failed = error{EIO};
  EXPECT_TRUE(fine);
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.code(), EIO);
}

TEST(reason, keeps_one_line_and_gives_the_error) {
  reason why;
  EXPECT_TRUE(why.empty());
  EXPECT_EQ(why.fail(EINVAL, "%s is %d", "seven", 7).code, EINVAL);
  EXPECT_STREQ(why.c_str(), "seven is 7");
  EXPECT_FALSE(why.empty());
}

TEST(reason, cuts_what_is_too_long) {
  reason why;
  (void)why.fail(EINVAL, "%s", std::string(10'000, 'x').c_str());
  EXPECT_EQ(std::strlen(why.c_str()), 255u);
}

TEST(counters, each_drop_has_its_own_counter_a_name_and_a_text) {
  counters count;
  std::set<std::string> names, texts, layers;
  for (std::size_t i = 0; i < drop_reasons; ++i) {
    count.dropped(static_cast<drop>(i), i + 1);
    const std::string name = drop_name(i);
    EXPECT_TRUE(std::all_of(name.begin(), name.end(), [](char c) { return std::islower(c) || c == '_'; })) << name;
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_TRUE(texts.insert(drop_text(i)).second) << name;
    layers.insert(drop_layer(i));
  }
  for (std::size_t i = 0; i < drop_reasons; ++i) EXPECT_EQ(count.drops[i].get(), i + 1);
  EXPECT_EQ(drop_name(drop_reasons), nullptr);
  EXPECT_EQ(drop_text(drop_reasons), nullptr);
  EXPECT_EQ(drop_layer(drop_reasons), nullptr);
  EXPECT_EQ(layers, (std::set<std::string>{"link", "memory", "stack", "socket"}));
  EXPECT_STREQ(drop_name(static_cast<std::size_t>(drop::udp_checksum)), "udp_checksum");
}

TEST(shared_memory, is_zeroed_and_seen_by_a_child_and_its_parent) {
  auto numbers = shared_array<int>::map(1000);
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->size(), 1000u);
  for (const int n : *numbers) ASSERT_EQ(n, 0);
  (*numbers)[1] = 11;
  const pid_t child = ::fork();
  if (child == 0) {
    (*numbers)[2] = (*numbers)[1] * 2;
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ((*numbers)[2], 22);
}

TEST(shared_memory, moves) {
  auto first = shared_memory::map(100);
  ASSERT_TRUE(first);
  std::byte* at = first->data();
  shared_memory second = std::move(*first);
  EXPECT_EQ(first->data(), nullptr);
  EXPECT_EQ(second.data(), at);
  shared_memory third;
  third = std::move(second);
  EXPECT_EQ(third.data(), at);
  EXPECT_EQ(third.size(), 100u);
}

TEST(shared_memory, what_cannot_be_had_is_an_error) {
  EXPECT_FALSE(shared_memory::map(std::size_t{1} << 60));
  EXPECT_EQ(shared_array<std::uint64_t>::map((std::size_t{1} << 61) + 1).code(), ENOMEM);  // 8 bytes if it wrapped
}

bool is_open(int number) { return ::fcntl(number, F_GETFD) >= 0; }

TEST(descriptor, is_closed_once_by_its_last_owner) {
  EXPECT_FALSE(descriptor());
  const int number = ::dup(0);
  {
    descriptor first(number);
    EXPECT_TRUE(first);
    descriptor second = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ(second.number(), number);
    second = descriptor(::dup(0));
    EXPECT_FALSE(is_open(number));
    EXPECT_TRUE(is_open(second.number()));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(byte_order, network_order_is_big_endian) {
  std::byte bytes[8];
  store_network<std::uint32_t>(bytes, 0x01020304);
  EXPECT_EQ(bytes[0], std::byte{1});
  EXPECT_EQ(bytes[3], std::byte{4});
  EXPECT_EQ(load_network<std::uint32_t>(bytes), 0x01020304u);
  EXPECT_EQ(load_network<std::uint16_t>(bytes + 1), 0x0203u);
  store_network<std::uint64_t>(bytes, 0x0102030405060708);
  EXPECT_EQ(bytes[7], std::byte{8});
  EXPECT_EQ(load_network<std::uint8_t>(bytes + 6), 7u);
}

}  // namespace
}  // namespace fastudp
