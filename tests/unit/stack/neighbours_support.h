#pragma once
// A neighbour table whose wishes are written down, in a world of its own.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "stack/neighbours.h"
#include "unit/stack/stack_support.h"

namespace fastudp::test {

inline constexpr const char* name_of(neighbour_state state) {
  constexpr const char* names[] = {"none", "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "PERMANENT"};
  return names[static_cast<std::size_t>(state)];
}

class neighbour_world final : public neighbour_events {
 public:
  explicit neighbour_world(std::uint32_t entries = 16, std::uint32_t most_parked = 1024, std::uint64_t seed = 1)
      : random(seed) {
    EXPECT_TRUE(table.open(entries, most_parked));
  }

  void solicit(const ip_address& target, const mac_address* to) override {
    note(to == nullptr ? "ask all" : std::string("ask ") + name(*to));
    asked.push_back(target);
  }
  void release_parked(packet* frame, const mac_address& to) override {
    note(std::string("send to ") + name(to));
    sent.push_back(bytes_of(frame));
    release(frame);
  }
  void unreachable(packet* frame) override {
    note("unreachable");
    lost.push_back(bytes_of(frame));
    release(frame);
    if (use_when_lost) table.use(*use_when_lost, now);
  }
  void changed() override { note("changed"); }

  // What was wished for since the last time.
  std::string wishes() { return std::exchange(wishes_, {}); }

  neighbour_state state(const ip_address& address) const {
    const neighbour* n = table.find(address);
    return n != nullptr ? n->state : neighbour_state::none;
  }
  // Lets the next timer ring.
  void ring() {
    now = std::max(now, table.deadline());
    table.advance(now);
  }
  void resolve(const ip_address& address, const mac_address& mac) {
    ASSERT_NE(table.use(address, now), nullptr);
    table.heard(address, mac, heard_as::solicited_reply, now);
  }
  void park(const ip_address& address, std::string_view bytes) {
    packet* p = pool.make(bytes);
    ASSERT_NE(p, nullptr);
    table.park(*table.find(address), p);
  }

  time_point now = 1000 * second;
  frames pool{1024};
  counters count;
  random_source random;
  neighbour_table table{*this, count, random};
  std::vector<ip_address> asked;
  std::vector<std::string> sent, lost;
  const ip_address* use_when_lost = nullptr;

 private:
  static const char* name(const mac_address& mac) { return mac == mac_of(0xa) ? "A" : mac == mac_of(0xb) ? "B" : "?"; }
  void note(const std::string& what) { wishes_ += (wishes_.empty() ? "" : ", ") + what; }

  std::string wishes_;
};

}  // namespace fastudp::test
