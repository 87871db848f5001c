#pragma once
// What is set aside for processes that fork from the one that opened the link: each is a socket that receives, with the
// filter of its member of the claims, and one that sends by a ring. Until a process opens it, it receives nothing.

#include <array>
#include <memory>

#include "base/descriptor.h"
#include "base/reason.h"
#include "base/result.h"
#include "link/link.h"
#include "link/packet/plan.h"

namespace fastudp::af_packet {

class spare_ends {
 public:
  // Needs the rights that opening a link does.
  static result<std::unique_ptr<spare_ends>> make(const plan& by, reason& why);
  const plan& made_by() const { return plan_; }

  // The sockets of an end, as descriptors of the caller's own. The one to send by is none where no ring is. Numbers
  // begin with 1.
  struct sockets {
    descriptor receiving, sending;
  };
  result<sockets> take(unsigned number, reason& why) const;
  // Nobody works with it any more: it receives nothing, and has no ring.
  void put_back(unsigned number) const;

 private:
  explicit spare_ends(const plan& by) : plan_(by) {}

  plan plan_;
  std::array<sockets, most_ends> all_;
};

// A link on one of them, which has all of them from then on.
result<link_ptr> open_end(std::unique_ptr<spare_ends>& of, unsigned number, counters& count, reason& why);

}  // namespace fastudp::af_packet
