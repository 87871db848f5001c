#pragma once
// One wait for many things: sockets of ours, what is ours within epoll sets, and descriptors of the kernel's.

#include <fastudp.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>

#include "growing.h"

namespace preload {

class epoll_set;
class fast_socket;

class watch {
 public:
  // Where an item came from.
  struct origin {
    std::size_t owner = 0;          // the caller's own number for it
    std::size_t member = 0;         // of an epoll set: which one
    bool is_nested = false;         // that member is a set itself, and the item within it
    fast_socket* socket = nullptr;  // held
    bool is_watched = false;        // held as an epoll call holds it
    std::uint32_t reports = 0;      // of that member when it was added
    epoll_set* set = nullptr;       // the item rouses those who wait for this set; entered
    std::uint64_t generation = 0;   // of the set, when it was entered
  };

  watch() = default;
  ~watch() { clear(); }

  // False: no memory; the socket is held otherwise.
  bool add_socket(fast_socket* pinned, short events, std::size_t owner);
  bool add_descriptor(int fd, short events, std::size_t owner);
  // With FASTUDP_EDGE in `events` only what comes after arrival `known` counts.
  bool add_member(fast_socket* watched, short events, int known, const origin& from);
  bool add_set(epoll_set* entered, int rouser, std::uint64_t generation);

  // As fastudp_wait.
  int wait(std::int64_t timeout, const sigset_t* mask);
  // Without any time, poll and select let in the signals of their mask, and epoll doesn't.
  int wait_as_poll(std::int64_t timeout, const sigset_t* mask);
  // Lets all go.
  void clear();

  std::size_t size() const { return items_.size(); }
  const origin& from(std::size_t i) { return origins_[i]; }
  short found(std::size_t i) { return items_[i].revents; }
  // The last arrival at a socket that was added with FASTUDP_EDGE, when it was looked at.
  int last_arrival(std::size_t i) { return items_[i].fd; }
  // Whether an epoll set that it looks into has changed.
  bool was_roused();
  // No more of this one.
  void pass_over(std::size_t i);

 private:
  bool add(const fastudp_wait_item& item, const origin& from);

  growing<fastudp_wait_item, 32> items_;
  growing<origin, 32> origins_;
};

}  // namespace preload
