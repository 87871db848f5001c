#include "socket/memberships.h"

#include <cerrno>
#include <new>

namespace fastudp {
namespace {

bool is_full(const ip_address& group, const source_list& sources) {
  return sources.size() >= (group.is_v4() ? memberships::most_v4_sources : source_list::capacity);
}

}  // namespace

memberships::membership* memberships::get(const ip_address& group) const {
  membership* m = first_.get();
  while (m != nullptr && m->group != group) m = m->next.get();
  return m;
}

const source_filter* memberships::find(const ip_address& group) const {
  const membership* m = get(group);
  return m != nullptr ? &m->filter : nullptr;
}

std::size_t memberships::count_v4() const {
  std::size_t out = 0;
  for (const membership* m = first_.get(); m != nullptr; m = m->next.get()) out += m->group.is_v4();
  return out;
}

status memberships::add(const ip_address& group, const source_filter& filter) {
  if (group.is_v4() && count_v4() >= most_v4_groups) return error{ENOBUFS};
  std::unique_ptr<membership> fresh(new (std::nothrow) membership{group, filter, nullptr});
  if (!fresh) return error{ENOMEM};
  fresh->next = std::move(first_);
  first_ = std::move(fresh);
  return {};
}

status memberships::join(const ip_address& group) {
  return get(group) != nullptr ? status(error{EADDRINUSE}) : add(group, source_filter::of_everybody());
}

status memberships::leave(const ip_address& group) {
  for (std::unique_ptr<membership>* at = &first_; *at != nullptr; at = &(*at)->next) {
    if ((*at)->group != group) continue;
    *at = std::move((*at)->next);
    return {};
  }
  return error{EADDRNOTAVAIL};
}

status memberships::add_source(const ip_address& group, const ip_address& source, bool excludes) {
  membership* m = get(group);
  if (m == nullptr) return error{EINVAL};
  source_list& sources = m->filter.sources;
  if (m->filter.excludes != excludes && !sources.empty()) return error{EINVAL};
  if (is_full(group, sources)) return error{ENOBUFS};
  if (sources.contains(source)) return error{EADDRNOTAVAIL};
  m->filter.excludes = excludes;
  sources.add(source);
  return {};
}

// Who listens to nobody any more has left.
status memberships::remove_source(const ip_address& group, const ip_address& source, bool excludes) {
  membership* m = get(group);
  if (m == nullptr) return error{EINVAL};
  source_list& sources = m->filter.sources;
  if (m->filter.excludes != excludes && !sources.empty()) return error{EINVAL};
  if (!sources.contains(source)) return error{EADDRNOTAVAIL};
  sources.remove(source);
  return m->filter.is_of_nobody() ? leave(group) : status{};
}

status memberships::join_source(const ip_address& group, const ip_address& source) {
  if (get(group) != nullptr) return add_source(group, source, false);
  source_filter filter;
  filter.sources.add(source);
  return add(group, filter);
}

status memberships::set(const ip_address& group, const source_filter& wanted) {
  if (wanted.is_of_nobody()) return leave(group);
  membership* m = get(group);
  if (m == nullptr) return error{EINVAL};
  if (group.is_v4() && wanted.sources.size() > most_v4_sources) return error{ENOBUFS};
  m->filter = wanted;
  return {};
}

}  // namespace fastudp
