#pragma once
// The groups that one socket has joined, and whom it listens to in each: what Linux calls its source filters, with
// Linux's limits and errors.

#include <memory>

#include "base/result.h"
#include "stack/source_filter.h"

namespace fastudp {

class memberships {
 public:
  static constexpr std::size_t most_v4_groups = 20, most_v4_sources = 10;  // igmp_max_memberships, igmp_max_msf

  bool empty() const { return first_ == nullptr; }
  // Null: not a member.
  const source_filter* find(const ip_address& group) const;

  // EADDRINUSE: a member already; ENOBUFS: of too many; ENOMEM.
  status join(const ip_address& group);
  // EADDRNOTAVAIL: not a member.
  status leave(const ip_address& group);
  // Adds a source to the list, or takes it off. `excludes` is the list that the caller means. EINVAL: not a member, or
  // its list is of the other kind; EADDRNOTAVAIL: the source is there already, or isn't; ENOBUFS.
  status add_source(const ip_address& group, const ip_address& source, bool excludes);
  status remove_source(const ip_address& group, const ip_address& source, bool excludes);
  // The same as join() and add_source(): a member of the group for that source's sake.
  status join_source(const ip_address& group, const ip_address& source);
  // The whole list. EINVAL: not a member; ENOBUFS.
  status set(const ip_address& group, const source_filter& wanted);

  // Calls visit(group) for each, and forgets them.
  template <typename Visit>
  void leave_all(const Visit& visit) {
    while (first_ != nullptr) {
      const ip_address group = first_->group;
      first_ = std::move(first_->next);
      visit(group);
    }
  }

 private:
  struct membership {
    ip_address group;
    source_filter filter;
    std::unique_ptr<membership> next;
  };
  membership* get(const ip_address& group) const;
  std::size_t count_v4() const;
  status add(const ip_address& group, const source_filter& filter);

  std::unique_ptr<membership> first_;
};

}  // namespace fastudp
