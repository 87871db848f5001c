// What waits for a program, and what it costs of SO_RCVBUF: Linux's numbers.

#include "socket/receive_queue.h"

#include <gtest/gtest.h>

#include <string>

#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using test::bytes_of;

// SK_MEMINFO_RMEM_ALLOC of a socket of Linux 6.18 on x86-64 with one datagram of that size in its queue.
TEST(receive_queue, charges_what_linux_charges) {
  struct {
    std::uint32_t payload, charge;
  } const measured[] = {{0, 832},       {100, 832},     {200, 1280},    {600, 1280},   {800, 2304},    {1472, 2304},
                        {2000, 4352},   {3000, 4352},   {4000, 8448},   {8000, 16640}, {16000, 16640}, {16004, 16640},
                        {16005, 16837}, {20000, 20832}, {32000, 32832}, {65507, 66339}};
  for (const auto& [payload, charge] : measured) EXPECT_EQ(truesize(payload), charge) << payload;
}

class queue : public testing::Test {
 protected:
  ~queue() override { waiting_.release_all(); }
  bool push(std::string_view payload, std::uint32_t limit) {
    packet* p = frames_.make(payload);
    if (waiting_.push(p, limit)) return true;
    release(p);
    return false;
  }
  std::string pop() {
    packet* p = waiting_.pop();
    if (p == nullptr) return "nothing";
    std::string out = bytes_of(p);
    release(p);
    return out;
  }

  test::frames frames_{1024};
  receive_queue waiting_;
};

TEST_F(queue, gives_in_the_order_of_arrival) {
  EXPECT_EQ(waiting_.front(), nullptr);
  EXPECT_TRUE(push("one", 10'000) && push("two", 10'000) && push("three", 10'000));
  EXPECT_EQ(waiting_.size(), 3u);
  EXPECT_EQ(bytes_of(waiting_.front()), "one");
  EXPECT_EQ(pop(), "one");
  EXPECT_EQ(pop(), "two");
  EXPECT_TRUE(push("four", 10'000));
  EXPECT_EQ(pop(), "three");
  EXPECT_EQ(pop(), "four");
  EXPECT_EQ(pop(), "nothing");
  EXPECT_TRUE(waiting_.empty());
}

TEST_F(queue, is_full_when_the_charges_exceed_the_limit) {
  EXPECT_TRUE(push("", 3 * 832) && push("", 3 * 832) && push("", 3 * 832));
  EXPECT_FALSE(push("", 3 * 832));
  EXPECT_EQ(waiting_.bytes(), 3u * 832);
  EXPECT_TRUE(push("", 4 * 832)) << "the limit is the one of the moment";
}

TEST_F(queue, many_tiny_datagrams_are_bounded) {
  constexpr std::uint32_t limit = 212'992;
  std::uint32_t taken = 0;
  while (push("", limit)) ++taken;
  EXPECT_EQ(taken, limit / 832);
  EXPECT_EQ(taken, 256u);
}

TEST_F(queue, draining_makes_room) {
  EXPECT_TRUE(push("", 832));
  EXPECT_FALSE(push("", 832));
  EXPECT_EQ(pop(), "");
  EXPECT_TRUE(push("", 832));
}

TEST_F(queue, an_empty_one_takes_any_datagram) {
  EXPECT_TRUE(push(std::string(1400, 'x'), 1));
  EXPECT_FALSE(push("", 1));
  EXPECT_EQ(pop().size(), 1400u);
  EXPECT_EQ(waiting_.bytes(), 0u);
}

// A program may move the start of a borrowed frame, and the queue must still count back what it counted.
TEST_F(queue, gives_back_the_charge_that_it_took) {
  EXPECT_TRUE(push(std::string(1000, 'x'), 10'000));
  waiting_.front()->pull(900);
  EXPECT_EQ(pop().size(), 100u);
  EXPECT_EQ(waiting_.bytes(), 0u);
}

TEST_F(queue, releases_everything) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(push("x", 1'000'000));
  waiting_.release_all();
  EXPECT_TRUE(waiting_.empty());
  EXPECT_EQ(waiting_.bytes(), 0u);
  EXPECT_EQ(frames_.out(), 0u);
}

}  // namespace
}  // namespace fastudp
