// The stack's own memory: the smallest frame that does, a larger one when those are out, copies that say the same.

#include "stack/frame_store.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using test::bytes_of;

class store : public testing::Test {
 protected:
  store() : store_(std::move(*frame_store::create())) {}
  ~store() override {
    for (packet* p : held_) release(p);
    EXPECT_EQ(store_.in_use(), 0u);
  }
  packet* take(std::uint32_t size) {
    packet* p = store_.take(size);
    if (p != nullptr) held_.push_back(p);
    return p;
  }

  frame_store store_;
  std::vector<packet*> held_;
};

TEST_F(store, the_smallest_that_does) {
  struct {
    std::uint32_t wanted, frame;
  } const rows[] = {{0, 512}, {384, 512}, {385, 2048}, {1500, 2048}, {1920, 2048}, {1921, 66'560}, {65'535, 66'560}};
  for (const auto& [wanted, frame] : rows) {
    packet* p = take(wanted);
    ASSERT_NE(p, nullptr) << wanted;
    EXPECT_EQ(p->capacity, frame) << wanted;
    EXPECT_GE(p->tailroom(), wanted);
    EXPECT_EQ(p->headroom(), default_headroom);
    EXPECT_TRUE(store_.owns(*p->home));
  }
  EXPECT_EQ(take(66'560), nullptr);
  EXPECT_EQ(store_.in_use(), 7u);
}

TEST_F(store, a_larger_one_when_the_smaller_are_out) {
  while (take(65'535) != nullptr) continue;
  const std::size_t large = held_.size();
  EXPECT_EQ(large, store_.large().count());
  EXPECT_EQ(take(65'535), nullptr);
  packet* p = take(1500);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p->capacity, 2048u);
  release(held_[0]);
  held_.erase(held_.begin());
  std::size_t middle = 1;
  while ((p = take(1500)) != nullptr && p->capacity == 2048) ++middle;
  EXPECT_EQ(middle, std::size_t{1} << 15);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p->capacity, 66'560u);
  EXPECT_EQ(take(1500), nullptr);
  EXPECT_NE(take(100), nullptr);
}

TEST_F(store, a_copy_has_the_headers_in_front_and_the_same_to_say) {
  test::frames others;
  packet* p = others.make("ETHERNET......IP..................UDP.....payload");
  p->network = p->begin + 14;
  p->transport = p->begin + 34;
  p->pull(42);
  p->checksum = checksum_state::verified;
  packet* copy = store_.copy(*p);
  ASSERT_NE(copy, nullptr);
  held_.push_back(copy);
  EXPECT_EQ(bytes_of(copy), "payload");
  EXPECT_EQ(std::string(reinterpret_cast<char*>(copy->frame + copy->network), 4), "IP..");
  EXPECT_EQ(std::string(reinterpret_cast<char*>(copy->frame + copy->transport), 4), "UDP.");
  EXPECT_EQ(copy->checksum, checksum_state::verified);
  EXPECT_GE(copy->headroom(), 42u) << "enough to send it on";
  release(p);
}

TEST_F(store, no_copy_when_it_is_out) {
  test::frames others(4, 66'560);
  packet* p = others.make(std::string(60'000, 'x'));
  p->network = p->begin;
  while (take(65'535) != nullptr) continue;
  EXPECT_EQ(store_.copy(*p), nullptr);
  release(p);
}

TEST_F(store, what_other_threads_gave_back_is_reclaimed) {
  packet* p = store_.take(100);
  p->home->release_from_any_thread(p);
  EXPECT_EQ(store_.in_use(), 1u);
  store_.reclaim();
  EXPECT_EQ(store_.in_use(), 0u);
}

}  // namespace
}  // namespace fastudp
