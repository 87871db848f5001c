#include "stack/groups.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace fastudp {
namespace {

// RFC 3376 8.11 and RFC 3810 9.11; RFC 2236 8.10 and RFC 2710 7.10.
constexpr duration unsolicited_interval = second, old_unsolicited_interval = 10 * second;
// RFC 3376 8.12: how long an older router counts as there, but for what it says of its own.
constexpr duration query_interval = 125 * second;

bool is_before(const ip_address& a, const ip_address& b) {
  return a.high() != b.high() ? a.high() < b.high() : a.low() < b.low();
}

// RFC 3376 5, RFC 3810 6: every host is in it, or it doesn't go beyond the host.
bool is_told(const ip_address& group) {
  return group != all_systems_group && group != all_nodes_group && !group.is_interface_local_group();
}

}  // namespace

status group_table::open(std::uint32_t groups) {
  auto memberships = shared_array<membership>::map(groups);
  auto places = shared_array<place>::map(groups);
  if (!memberships || !places) return error{ENOMEM};
  memberships_ = std::move(*memberships);
  places_ = std::move(*places);
  capacity_ = groups;
  for (std::uint32_t i = 0; i < groups; ++i) places_[i].at = &memberships_[i];
  return {};
}

// ---- The table

std::uint32_t group_table::position(const ip_address& group) const {
  std::uint32_t low = 0, high = count_;
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    (is_before(places_[middle].group, group) ? low = middle + 1 : high = middle);
  }
  return low;
}

group_table::membership* group_table::find(const ip_address& group) const {
  const std::uint32_t at = position(group);
  return at < count_ && places_[at].group == group ? places_[at].at : nullptr;
}

result<group_table::membership*> group_table::find_or_add(const ip_address& group) {
  if (membership* found = find(group)) return found;
  if (count_ == capacity_) return error{ENOBUFS};
  const std::uint32_t at = position(group);
  membership* fresh = places_[count_].at;
  *fresh = {};
  for (std::uint32_t i = count_++; i > at; --i) places_[i] = places_[i - 1];
  places_[at] = {group, fresh};
  return fresh;
}

void group_table::remove(std::uint32_t at) {
  membership* freed = places_[at].at;
  --count_;
  for (std::uint32_t i = at; i < count_; ++i) places_[i] = places_[i + 1];
  places_[count_].at = freed;
}

bool group_table::hears(const ip_address& group, const ip_address& source) const {
  const membership* m = find(group);
  return m != nullptr && m->filter.allows(source);
}

// ---- What changes

status group_table::set(const ip_address& group, const source_filter& wanted, time_point now) {
  membership* known = find(group);
  if (known == nullptr && wanted.is_of_nobody()) return {};
  const auto m = find_or_add(group);
  if (!m) return m.failure();
  const source_filter all = source_filter::of_everybody();
  change(group, **m, (*m)->is_hosts ? all : wanted, now);
  return {};
}

void group_table::hold(const ip_address& group, bool announce, time_point now) {
  const auto m = find_or_add(group);
  if (!m) return;
  (*m)->is_hosts = true;
  (*m)->is_silent = !announce;
  change(group, **m, source_filter::of_everybody(), now);
}

void group_table::let_go(const ip_address& group, time_point now) {
  membership* m = find(group);
  if (m == nullptr) return;
  m->is_hosts = false;
  change(group, *m, {}, now);
}

void group_table::change(const ip_address& group, membership& m, const source_filter& wanted, time_point now) {
  if (m.filter.is_same(wanted)) return;
  if (m.filter.is_of_nobody() != wanted.is_of_nobody()) device_.admit_group(group_mac(group), !wanted.is_of_nobody());
  note_change(m, wanted);
  m.filter = wanted;
  if (wanted.is_of_nobody()) m.answer_at = never;
  m.tellings = is_told(group) && !m.is_silent ? talk_of(group).robustness : std::uint8_t{0};
  tell(group, m, now);
  set_deadline();
}

// RFC 3376 5.1: what has changed since routers were last told; a source list that only says less than the change of
// mode before it is told with that.
void group_table::note_change(membership& m, const source_filter& wanted) const {
  if (m.filter.excludes != wanted.excludes) {
    m.mode_changed = true;
    m.allowed.clear();
    m.blocked.clear();
  }
  if (m.mode_changed) return;
  source_list more = difference(wanted.sources, m.filter.sources), fewer = difference(m.filter.sources, wanted.sources);
  if (wanted.excludes) std::swap(more, fewer);
  m.allowed = difference(m.allowed, fewer);
  m.blocked = difference(m.blocked, more);
  for (const ip_address& each : more.all()) m.allowed.add(each);
  for (const ip_address& each : fewer.all()) m.blocked.add(each);
}

// The change, once more. What is left and told is forgotten by the next advance().
void group_table::tell(const ip_address& group, membership& m, time_point now) {
  talk& with = talk_of(group);
  const dialect how = dialect_of(with, now);
  m.tell_at = now;
  if (m.tellings != 0) {
    --m.tellings;
    if (how == dialect::sources) {
      tell_by_sources(group, m);
    } else if (!m.filter.is_of_nobody()) {
      with.say.report(group, how);
    } else if (how == dialect::leaves) {
      with.say.leave(group);
      m.tellings = 0;  // RFC 2236 3: once
    }
    if (m.tellings != 0)
      m.tell_at = within(how == dialect::sources ? unsolicited_interval : old_unsolicited_interval, now);
  }
  if (m.tellings != 0 || m.filter.is_of_nobody()) return;
  m.mode_changed = false;
  m.allowed.clear();
  m.blocked.clear();
  m.tell_at = never;
}

void group_table::tell_by_sources(const ip_address& group, const membership& m) {
  group_messages& say = talk_of(group).say;
  if (m.mode_changed) {
    const auto type = m.filter.excludes ? group_record_type::change_to_exclude : group_record_type::change_to_include;
    say.add({type, group, m.filter.sources.all()});
  }
  if (!m.allowed.empty()) say.add({group_record_type::allow_new_sources, group, m.allowed.all()});
  if (!m.blocked.empty()) say.add({group_record_type::block_old_sources, group, m.blocked.all()});
  say.finish();
}

// ---- What routers ask

group_table::dialect group_table::dialect_of(const talk& with, time_point now) {
  if (now < with.reports_until) return dialect::reports;
  return now < with.leaves_until ? dialect::leaves : dialect::sources;
}

// RFC 3376 7.2.1. What was to be said in another dialect isn't said any more.
void group_table::hear_version(talk& with, const group_query& what, bool is_v4, time_point now) {
  const dialect before = dialect_of(with, now);
  const time_point until = now + with.robustness * query_interval + what.most_delay;
  if (what.version == dialect::reports) with.reports_until = until;
  if (what.version == dialect::leaves) with.leaves_until = until;
  if (what.robustness != 0) with.robustness = std::max<std::uint8_t>(what.robustness, 2);
  if (dialect_of(with, now) == before) return;
  with.answer_at = never;
  for (std::uint32_t i = 0; i < count_; ++i) {
    membership& m = *places_[i].at;
    if (places_[i].group.is_v4() != is_v4) continue;
    m.answer_at = never;
    m.tellings = 0;
    m.tell_at = m.filter.is_of_nobody() ? now : never;
  }
}

void group_table::asked(const group_query& what, ip_family family, time_point now) {
  const bool is_v4 = family == ip_family::v4;
  talk& with = talks_[is_v4 ? 0 : 1];
  hear_version(with, what, is_v4, now);
  const time_point when = within(what.most_delay, now);
  if (with.answer_at <= when) return;  // RFC 3376 5.2: that says it all, and sooner
  if (!what.group.is_any()) {
    if (membership* m = find(what.group)) ask_of(*m, what, when);
  } else if (dialect_of(with, now) == dialect::sources) {
    with.answer_at = when;
  } else {
    ask_of_every(what, is_v4, now);
  }
  set_deadline();
}

// RFC 3376 5.2, rules 3 to 5.
void group_table::ask_of(membership& m, const group_query& what, time_point when) {
  if (m.filter.is_of_nobody()) return;
  if (m.answer_at == never) {
    m.asked.clear();
    m.asked_for_all = false;
  }
  m.answer_at = std::min(m.answer_at, when);
  m.asked_for_all |= what.sources.empty() || what.too_many_sources;
  for (const ip_address& each : what.sources) m.asked_for_all |= !m.asked.add(each);
}

void group_table::ask_of_every(const group_query& what, bool is_v4, time_point now) {
  for (std::uint32_t i = 0; i < count_; ++i) {
    if (places_[i].group.is_v4() == is_v4) ask_of(*places_[i].at, what, within(what.most_delay, now));
  }
}

void group_table::reported_by_another(const ip_address& group, time_point now) {
  membership* m = find(group);
  if (m != nullptr && dialect_of(talk_of(group), now) != dialect::sources) m->answer_at = never;
}

void group_table::answer(const ip_address& group, membership& m, time_point now) {
  talk& with = talk_of(group);
  const dialect how = dialect_of(with, now);
  m.answer_at = never;
  if (!is_told(group) || m.is_silent || m.filter.is_of_nobody()) return;
  if (how != dialect::sources) return with.say.report(group, how);
  if (!m.asked_for_all) return answer_about_sources(group, m);
  const auto type = m.filter.excludes ? group_record_type::mode_is_exclude : group_record_type::mode_is_include;
  with.say.add({type, group, m.filter.sources.all()});
  with.say.finish();
}

void group_table::answer_about_sources(const ip_address& group, const membership& m) {
  const source_list heard =
      m.filter.excludes ? difference(m.asked, m.filter.sources) : intersection(m.asked, m.filter.sources);
  if (heard.empty()) return;
  talk_of(group).say.add({group_record_type::mode_is_include, group, heard.all()});
  talk_of(group).say.finish();
}

void group_table::answer_all(talk& with, bool is_v4) {
  with.answer_at = never;
  for (std::uint32_t i = 0; i < count_; ++i) {
    const ip_address& group = places_[i].group;
    const membership& m = *places_[i].at;
    if (group.is_v4() != is_v4 || !is_told(group) || m.is_silent || m.filter.is_of_nobody()) continue;
    const auto type = m.filter.excludes ? group_record_type::mode_is_exclude : group_record_type::mode_is_include;
    with.say.add({type, group, m.filter.sources.all()});
  }
  with.say.finish();
}

// ---- Time

time_point group_table::within(duration most, time_point now) {
  return now + static_cast<duration>(random_.below(static_cast<std::uint32_t>(most / millisecond) + 1)) * millisecond;
}

void group_table::set_deadline() {
  deadline_ = std::min(talks_[0].answer_at, talks_[1].answer_at);
  for (std::uint32_t i = 0; i < count_; ++i) {
    deadline_ = std::min({deadline_, places_[i].at->tell_at, places_[i].at->answer_at});
  }
}

void group_table::advance(time_point now) {
  if (now < deadline_) return;
  for (talk& with : talks_) {
    if (with.answer_at <= now) answer_all(with, &with == &talks_[0]);
  }
  for (std::uint32_t i = 0; i < count_;) {
    membership& m = *places_[i].at;
    if (m.answer_at <= now) answer(places_[i].group, m, now);
    if (m.tell_at <= now && m.tellings != 0) tell(places_[i].group, m, now);
    if (m.tellings == 0 && m.filter.is_of_nobody()) {
      remove(i);
    } else {
      ++i;
    }
  }
  set_deadline();
}

}  // namespace fastudp
