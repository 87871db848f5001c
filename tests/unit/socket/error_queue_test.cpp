// ICMP errors that wait for a program that asked for them.

#include "socket/error_queue.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "support/packets.h"
#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using test::bytes_of;
using test::ip;
using test::octets;

class errors : public testing::Test {
 protected:
  errors() : store_(std::move(*frame_store::create())) {}
  ~errors() override {
    queue_.release_all();
    EXPECT_EQ(store_.in_use(), 0u);
  }
  bool push(const queued_error& what, std::string_view quoted, std::uint32_t limit = 100'000) {
    return queue_.push(what, octets(quoted), limit, store_);
  }

  const queued_error plain{.code = ECONNREFUSED, .destination = {}, .offender = {}};
  frame_store store_;
  error_queue queue_;
};

TEST_F(errors, come_out_as_they_went_in_and_in_order) {
  const queued_error first{.code = ECONNREFUSED,
                           .origin = 2,
                           .type = 3,
                           .icmp_code = 3,
                           .destination = {ip("10.0.0.9"), 999},
                           .offender = ip("10.0.0.8")};
  const queued_error second{
      .code = EMSGSIZE, .origin = 1, .info = 1280, .destination = {ip("10.0.0.7"), 7}, .offender = {}};
  EXPECT_TRUE(queue_.empty());
  EXPECT_TRUE(push(first, "quoted"));
  EXPECT_TRUE(push(second, ""));
  queued_error e;
  packet* p = queue_.pop(e);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(bytes_of(p), "quoted");
  EXPECT_EQ(e.code, ECONNREFUSED);
  EXPECT_EQ(e.origin, 2);
  EXPECT_EQ(e.type, 3);
  EXPECT_EQ(e.icmp_code, 3);
  EXPECT_EQ(e.destination, first.destination);
  EXPECT_EQ(e.offender, first.offender);
  release(p);
  p = queue_.pop(e);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p->length, 0u);
  EXPECT_EQ(e.code, EMSGSIZE);
  EXPECT_EQ(e.info, 1280u);
  release(p);
  EXPECT_EQ(queue_.pop(e), nullptr);
}

TEST_F(errors, a_flood_of_them_is_bounded_like_datagrams) {
  int kept = 0;
  for (int i = 0; i < 10'000; ++i) kept += push(plain, "eight...", 212'992);
  EXPECT_EQ(kept, 256);
  EXPECT_EQ(store_.in_use(), 256u);
}

TEST_F(errors, the_longest_quote_is_kept_whole) {
  const std::string quoted(65'507, 'q');
  ASSERT_TRUE(push(plain, quoted));
  queued_error e;
  packet* p = queue_.pop(e);
  EXPECT_EQ(bytes_of(p), quoted);
  release(p);
}

TEST_F(errors, nothing_is_kept_when_the_store_is_out) {
  std::vector<packet*> all;
  while (packet* p = store_.take(60'000)) all.push_back(p);
  EXPECT_FALSE(push(plain, std::string(60'000, 'q')));
  EXPECT_TRUE(queue_.empty());
  for (packet* p : all) release(p);
}

}  // namespace
}  // namespace fastudp
