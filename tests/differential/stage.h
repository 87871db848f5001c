#pragma once
// Plays a sequence: makes its calls, one after the other, and writes down all that they show.

#include <poll.h>

#include <array>

#include "census.h"
#include "other_end.h"
#include "step.h"
#include "transcript.h"

namespace differential {

// What the bytes of every payload are cut from.
std::span<const std::byte> pattern();

class stage {
 public:
  // `settles`: after each call there is time for what comes from elsewhere, or from `there`.
  stage(transcript& out, census& counts, other_end& there, bool settles)
      : out_(out), census_(counts), there_(there), settles_(settles) {
    slots_.fill(-1);
  }
  void play(const step& s);
  // Closes whatever the sequence has opened.
  void clear();

 private:
  int at(int slot) const { return slot < 0 ? -1 : slots_[static_cast<std::size_t>(slot)]; }
  void keep(int slot, int made);
  bool would_wait(const step& s, int fd);
  const sockaddr* address_of(const place& wanted, socklen_t& length);
  std::int64_t done(const step& s, std::int64_t returned);

  void dispatch(const step& s);
  void settle();
  void names(const step& s);
  void descriptors(const step& s);
  void control_calls(const step& s);
  void get_option(const step& s);
  void set_option(const step& s);
  void send(const step& s);
  void receive(const step& s);
  void receive_many(const step& s);
  void watch_polled(const step& s);
  void watch_selected(const step& s);
  bool is_a_set(int fd) const;
  void sets(const step& s);
  void wait_for_set(const step& s);
  void drain();
  void read_reports(int fd);

  struct outgoing;
  struct incoming;

  transcript& out_;
  census& census_;
  other_end& there_;
  bool settles_;
  std::array<int, slot_count> slots_;
  std::vector<int> opened_;
  bool has_pieces_ = false, has_stamps_ = false;
};

}  // namespace differential
