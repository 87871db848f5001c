// Pools, bursts and queues: who has a packet, and that it comes home exactly once.

#include "packet/pool.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "packet/burst.h"
#include "packet/queue.h"

namespace fastudp {
namespace {

std::unique_ptr<pool> make_pool(std::uint32_t count, std::uint32_t size = 512) {
  auto out = pool::create(count, size);
  EXPECT_TRUE(out);
  return std::move(*out);
}

TEST(pool, gives_each_frame_once_and_then_none) {
  auto frames = make_pool(10);
  std::set<packet*> packets;
  std::set<std::byte*> buffers;
  while (packet* p = frames->take()) {
    packets.insert(p);
    buffers.insert(p->frame);
    EXPECT_EQ(p->home, frames.get());
    EXPECT_EQ(p->capacity, 512u);
    EXPECT_GE(p->frame, frames->memory());
    EXPECT_LE(p->frame + p->capacity, frames->memory() + 10 * 512);
    std::memset(p->frame, 0x5a, p->capacity);  // all of it is there
  }
  EXPECT_EQ(packets.size(), 10u);
  EXPECT_EQ(buffers.size(), 10u);
  EXPECT_EQ(frames->available(), 0u);
  EXPECT_EQ(frames->take(), nullptr);
  for (packet* p : packets) release(p);
  EXPECT_EQ(frames->available(), 10u);
}

TEST(pool, a_packet_comes_back_as_new) {
  auto frames = make_pool(1);
  packet* p = frames->take();
  p->push(14);
  p->charge = p->network = p->transport = 1;
  p->checksum = checksum_state::verified;
  p->next = p;
  release(p);
  packet* again = frames->take();
  ASSERT_EQ(again, p);
  EXPECT_EQ(again->headroom(), default_headroom);
  EXPECT_EQ(again->length, 0u);
  EXPECT_EQ(again->charge + again->network + again->transport, 0u);
  EXPECT_EQ(again->checksum, checksum_state::unknown);
  EXPECT_EQ(again->next, nullptr);
  release(again);
}

TEST(pool, the_frame_used_last_is_given_first) {
  auto frames = make_pool(3);
  packet* a = frames->take();
  packet* b = frames->take();
  release(b);
  release(a);
  EXPECT_EQ(frames->take(), a);  // still in the processor's cache
  EXPECT_EQ(frames->take(), b);
  release(a);
  release(b);
}

TEST(pool, frames_from_other_threads_are_seen_when_nothing_else_is_left) {
  auto frames = make_pool(2);
  packet* a = frames->take();
  packet* b = frames->take();
  std::jthread([&] { frames->release_from_any_thread(a); }).join();
  EXPECT_EQ(frames->available(), 0u);
  EXPECT_EQ(frames->take(), a);
  frames->release_from_any_thread(a);
  frames->release_from_any_thread(b);
  frames->reclaim();
  EXPECT_EQ(frames->available(), 2u);
  frames->reclaim();
  EXPECT_EQ(frames->available(), 2u);
}

// The owner takes frames and passes them, through a slot for each thread, to threads that give them back.
TEST(pool, threads_give_back_while_the_owner_takes) {
  constexpr std::size_t rounds = 100'000, threads = 2;
  auto frames = make_pool(16);
  std::array<std::atomic<packet*>, threads> slots{};
  std::atomic<bool> done{false};
  {
    std::vector<std::jthread> others;
    for (auto& slot : slots) {
      others.emplace_back([&] {
        while (!done) {
          packet* p = slot.exchange(nullptr);
          if (p == nullptr) {
            std::this_thread::yield();
            continue;
          }
          p->data()[0] = std::byte{1};
          p->home->release_from_any_thread(p);
        }
      });
    }
    for (std::size_t passed = 0; passed < rounds;) {
      packet* p = frames->take();
      packet* expected = nullptr;
      if (p != nullptr) p->data()[0] = std::byte{0};
      if (p != nullptr && slots[passed % threads].compare_exchange_strong(expected, p)) {
        ++passed;
        continue;
      }
      if (p != nullptr) release(p);
      std::this_thread::yield();
    }
    done = true;
  }
  for (auto& slot : slots) {
    if (packet* p = slot) release(p);
  }
  frames->reclaim();
  EXPECT_EQ(frames->available(), 16u);
}

TEST(pool, what_cannot_be_had_is_an_error) { EXPECT_FALSE(pool::create(0xffffffff, 0xffffffff)); }

TEST(packet, room_before_and_behind) {
  auto frames = make_pool(1, 256);
  packet* p = frames->take();
  p->length = 20;
  EXPECT_EQ(p->tailroom(), 256 - default_headroom - 20);
  std::byte* first = p->data();
  const auto header = p->push(14);
  EXPECT_EQ(header.size(), 14u);
  EXPECT_EQ(header.data(), first - 14);
  EXPECT_EQ(p->bytes().size(), 34u);
  EXPECT_EQ(p->headroom(), default_headroom - 14);
  p->pull(14);
  EXPECT_EQ(p->data(), first);
  EXPECT_EQ(p->length, 20u);
  release(p);
}

TEST(burst, owns_what_it_holds) {
  auto frames = make_pool(burst::capacity);
  {
    burst b;
    EXPECT_TRUE(b.empty());
    while (b.room() != 0) b.append(frames->take());
    EXPECT_EQ(b.size(), burst::capacity);
    EXPECT_EQ(frames->available(), 0u);
  }
  EXPECT_EQ(frames->available(), burst::capacity);
}

TEST(burst, forgets_from_the_front_and_keeps_the_order) {
  auto frames = make_pool(4);
  burst b;
  std::vector<packet*> all;
  for (int i = 0; i < 4; ++i) {
    all.push_back(frames->take());
    b.append(all.back());
  }
  b.forget_front(0);
  EXPECT_EQ(b.size(), 4u);
  b.forget_front(3);
  ASSERT_EQ(b.size(), 1u);
  EXPECT_EQ(b.packets()[0], all[3]);
  for (int i = 0; i < 3; ++i) release(all[static_cast<std::size_t>(i)]);
  b.release_all();
  EXPECT_TRUE(b.empty());
  EXPECT_EQ(frames->available(), 4u);
  b.append(frames->take());
  packet* kept = b.packets()[0];
  b.forget_all();
  EXPECT_EQ(frames->available(), 3u);
  release(kept);
}

TEST(queue, first_in_first_out) {
  auto frames = make_pool(3);
  packet_queue q;
  EXPECT_TRUE(q.empty());
  EXPECT_EQ(q.pop(), nullptr);
  EXPECT_EQ(q.front(), nullptr);
  std::vector<packet*> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(frames->take());
    q.push(all.back());
  }
  EXPECT_EQ(q.size(), 3u);
  EXPECT_EQ(q.front(), all[0]);
  EXPECT_EQ(q.pop(), all[0]);
  q.push(all[0]);
  for (const std::size_t i : {1u, 2u, 0u}) {
    packet* p = q.pop();
    EXPECT_EQ(p, all[i]);
    EXPECT_EQ(p->next, nullptr);
    release(p);
  }
  EXPECT_TRUE(q.empty());
  EXPECT_EQ(q.size(), 0u);
}

TEST(queue, owns_what_it_holds) {
  auto frames = make_pool(3);
  {
    packet_queue q;
    q.push(frames->take());
    q.push(frames->take());
    EXPECT_EQ(frames->available(), 1u);
  }
  EXPECT_EQ(frames->available(), 3u);
}

}  // namespace
}  // namespace fastudp
