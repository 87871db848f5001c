#include "stack/source_filter.h"

#include <algorithm>

namespace fastudp {
namespace {

source_list chosen(const source_list& from, const source_list& other, bool is_in_other) {
  source_list out;
  for (const ip_address& each : from.all()) {
    if (other.contains(each) == is_in_other) out.add(each);
  }
  return out;
}

}  // namespace

bool source_list::contains(const ip_address& source) const { return std::ranges::count(all(), source) != 0; }

bool source_list::add(const ip_address& source) {
  if (contains(source)) return true;
  if (count_ == capacity) return false;
  sources_[count_++] = source;
  return true;
}

void source_list::remove(const ip_address& source) {
  auto* const end = sources_.data() + count_;
  auto* const found = std::find(sources_.data(), end, source);
  if (found == end) return;
  std::copy(found + 1, end, found);
  --count_;
}

bool source_list::has_same(const source_list& other) const {
  return count_ == other.count_ &&
         std::ranges::all_of(all(), [&](const ip_address& each) { return other.contains(each); });
}

source_list difference(const source_list& a, const source_list& b) { return chosen(a, b, false); }
source_list intersection(const source_list& a, const source_list& b) { return chosen(a, b, true); }

void source_filter::widen(const source_filter& other) {
  if (excludes) {
    sources = other.excludes ? intersection(sources, other.sources) : difference(sources, other.sources);
  } else if (other.excludes) {
    *this = {.excludes = true, .sources = difference(other.sources, sources)};
  } else {
    for (const ip_address& each : other.sources.all()) {
      if (!sources.add(each)) return void(*this = of_everybody());
    }
  }
}

}  // namespace fastudp
