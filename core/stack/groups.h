#pragma once
// The multicast groups that this host listens to, and what it tells routers and switches of them: the host's side of
// IGMP (RFC 3376, 2236, 1112) and of MLD (RFC 3810, 2710), which differ in their messages alone. A query makes a host
// say what is the case, and nothing else; how the host talks follows the oldest dialect that is heard.

#include <array>
#include <cstdint>

#include "base/memory.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "link/link.h"
#include "stack/group_messages.h"
#include "stack/source_filter.h"

namespace fastudp {

class group_table {
 public:
  // All of them outlive it.
  group_table(link& device, group_messages& igmp, group_messages& mld, random_source& random)
      : device_(device), random_(random), talks_{talk{igmp}, talk{mld}} {}
  status open(std::uint32_t groups);

  // What the sockets together listen to. ENOBUFS: the table is full.
  status set(const ip_address& group, const source_filter& wanted, time_point now);
  // A group that the host itself is in. Unless announced, routers aren't told.
  void hold(const ip_address& group, bool announce, time_point now);
  void let_go(const ip_address& group, time_point now);

  bool hears(const ip_address& group, const ip_address& source) const;
  bool contains(const ip_address& group) const { return find(group) != nullptr; }
  std::uint32_t size() const { return count_; }

  void asked(const group_query& what, ip_family family, time_point now);
  // Another host is in the group, which is all that routers want to know in the older dialects.
  void reported_by_another(const ip_address& group, time_point now);

  time_point deadline() const { return deadline_; }
  void advance(time_point now);

 private:
  struct membership {
    source_filter filter;  // of nobody: it was left, and that has to be told yet
    source_list allowed, blocked, asked;
    bool is_hosts = false, is_silent = false;
    bool mode_changed = false, asked_for_all = false;
    std::uint8_t tellings = 0;  // of the last change, still to come
    time_point tell_at = never, answer_at = never;
  };
  struct place {
    ip_address group;
    membership* at;
  };
  struct talk {
    group_messages& say;
    std::uint8_t robustness = 2;                                     // RFC 3376 8.1
    time_point leaves_until = never_yet, reports_until = never_yet;  // older routers were heard
    time_point answer_at = never;                                    // about every group
  };
  static constexpr time_point never_yet = 0;
  using dialect = group_query::dialect;

  static dialect dialect_of(const talk& with, time_point now);
  talk& talk_of(const ip_address& group) { return talks_[group.is_v4() ? 0 : 1]; }
  membership* find(const ip_address& group) const;
  std::uint32_t position(const ip_address& group) const;
  result<membership*> find_or_add(const ip_address& group);
  void remove(std::uint32_t at);
  void change(const ip_address& group, membership& m, const source_filter& wanted, time_point now);
  void note_change(membership& m, const source_filter& wanted) const;
  void tell(const ip_address& group, membership& m, time_point now);
  void tell_by_sources(const ip_address& group, const membership& m);
  void answer(const ip_address& group, membership& m, time_point now);
  void answer_about_sources(const ip_address& group, const membership& m);
  void answer_all(talk& with, bool is_v4);
  void ask_of(membership& m, const group_query& what, time_point now);
  void ask_of_every(const group_query& what, bool is_v4, time_point now);
  void hear_version(talk& with, const group_query& what, bool is_v4, time_point now);
  time_point within(duration most, time_point now);
  void set_deadline();

  link& device_;
  random_source& random_;
  shared_array<membership> memberships_;
  shared_array<place> places_;  // in the order of the groups, the free ones behind
  std::uint32_t capacity_ = 0, count_ = 0;
  std::array<talk, 2> talks_;
  time_point deadline_ = never;
};

}  // namespace fastudp
