// The timer heap and the linked lists, against the standard library's containers.

#include "stack/timer_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <set>
#include <vector>

#include "base/random.h"
#include "stack/entry_list.h"

namespace fastudp {
namespace {

struct entry {
  time_point due = never;
  std::uint32_t timer = 0;
  list_links<entry> links{};
};

TEST(timer_heap, is_empty_at_first) {
  timer_heap<entry> heap;
  ASSERT_TRUE(heap.open(4));
  EXPECT_EQ(heap.earliest(), nullptr);
  EXPECT_EQ(heap.deadline(), never);
}

TEST(timer_heap, an_entry_can_be_moved_and_stopped) {
  timer_heap<entry> heap;
  ASSERT_TRUE(heap.open(3));
  entry a, b, c;
  heap.set(a, 10), heap.set(b, 20), heap.set(c, 30);
  EXPECT_EQ(heap.earliest(), &a);
  heap.set(a, 25);
  EXPECT_EQ(heap.earliest(), &b);
  heap.set(b, never);
  EXPECT_EQ(heap.earliest(), &a);
  heap.set(b, never);  // stopped already
  heap.set(c, 5);
  EXPECT_EQ(heap.deadline(), 5);
  heap.set(c, never), heap.set(a, never);
  EXPECT_EQ(heap.earliest(), nullptr);
}

TEST(timer_heap, agrees_with_a_sorted_set) {
  constexpr std::uint32_t count = 200;
  random_source random(1);
  timer_heap<entry> heap;
  ASSERT_TRUE(heap.open(count));
  std::vector<entry> entries(count);
  std::multiset<time_point> oracle;
  for (int step = 0; step < 100'000; ++step) {
    entry& e = entries[random.below(count)];
    if (e.due != never) oracle.erase(oracle.find(e.due));
    heap.set(e, random.below(3) == 0 ? never : static_cast<time_point>(random.below(1000)));
    if (e.due != never) oracle.insert(e.due);
    ASSERT_EQ(heap.deadline(), oracle.empty() ? never : *oracle.begin()) << step;
    if (!oracle.empty()) {
      ASSERT_EQ(heap.earliest()->due, *oracle.begin());
    }
  }
}

TEST(entry_list, agrees_with_a_standard_list) {
  constexpr std::uint32_t count = 20;
  random_source random(2);
  entry_list<entry, &entry::links> list;
  std::vector<entry> entries(count);
  std::list<entry*> oracle;
  for (int step = 0; step < 20'000; ++step) {
    entry& e = entries[random.below(count)];
    if (std::ranges::find(oracle, &e) == oracle.end()) {
      list.push_back(e);
      oracle.push_back(&e);
    } else {
      list.remove(e);
      oracle.remove(&e);
    }
    std::vector<entry*> found;
    for (entry* at = list.front(); at != nullptr; at = at->links.next) found.push_back(at);
    ASSERT_TRUE(std::ranges::equal(found, oracle)) << step;
    ASSERT_EQ(list.empty(), oracle.empty());
  }
}

}  // namespace
}  // namespace fastudp
