#include "link/wrap/wrap.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <new>

#include "link/wrap/capture.h"
#include "link/wrap/impair.h"
#include "link/wrap/vlan.h"

namespace fastudp::wrap {
namespace {

// All of the text as a number, or nothing.
std::optional<std::uint32_t> whole(std::string_view digits) {
  std::uint32_t out = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (problem != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return out;
}

// "12", "0.5", "0.0001": percent with up to four decimals, in parts per million.
std::optional<std::uint32_t> parts_per_million(std::string_view percent) {
  const auto point = std::min(percent.find('.'), percent.size());
  const auto units = whole(percent.substr(0, point));
  if (!units || *units > 100) return std::nullopt;
  std::uint32_t out = *units * 10'000;
  if (point == percent.size()) return out;
  const auto digits = percent.substr(point + 1);
  auto decimals = whole(digits);
  if (!decimals || digits.size() > 4) return std::nullopt;
  for (std::size_t i = digits.size(); i < 4; ++i) *decimals *= 10;
  out += *decimals;
  return out <= 1'000'000 ? std::optional(out) : std::nullopt;
}

status take_percent(uri& where, std::string_view key, std::uint32_t& out, reason& why) {
  const auto text = where.take(key);
  if (!text) return {};
  const auto value = parts_per_million(*text);
  if (!value) {
    return why.fail(EINVAL, "%.*s=%.*s: a percentage from 0 to 100 is needed, with up to four decimals",
                    static_cast<int>(key.size()), key.data(), static_cast<int>(std::min<std::size_t>(text->size(), 64)),
                    text->data());
  }
  out = *value;
  return {};
}

result<impairment> take_impairment(uri& where, reason& why) {
  impairment out;
  const std::pair<const char*, std::uint32_t&> chances[] = {
      {"loss", out.loss}, {"duplicate", out.duplicate}, {"reorder", out.reorder}, {"corrupt", out.corrupt}};
  for (const auto& [key, value] : chances) {
    if (auto taken = take_percent(where, key, value, why); !taken) return taken.failure();
  }
  const auto delay = where.take_number("delay", 0, 60'000'000, 0, why);
  if (!delay) return delay.failure();
  const auto seed = where.take_number("seed", 0, UINT64_MAX, 1, why);
  if (!seed) return seed.failure();
  out.delay = static_cast<duration>(*delay) * microsecond;
  out.seed = *seed;
  return out;
}

result<link_ptr> capture(link_ptr inner, std::string_view path, reason& why) {
  char text[PATH_MAX];
  if (path.size() >= sizeof text) return why.fail(ENAMETOOLONG, "capture=%.40s...: the path is too long", path.data());
  text[path.copy(text, path.size())] = '\0';
  auto file = pcapng_file::create(text, why);
  if (!file) return file.failure();
  link_ptr out(new (std::nothrow) captured_link(std::move(inner), std::move(*file)));
  if (!out) return why.fail(ENOMEM, "no memory to capture with");
  return out;
}

result<link_ptr> tag(link_ptr inner, const vlan_membership& in, counters& count, reason& why) {
  if (inner->info().shared) {
    return why.fail(EINVAL,
                    "vlan= needs address=A/LEN, an address of our own: the host's addresses in a VLAN are those of its "
                    "VLAN device, so name that one, as in packet:eth0.100");
  }
  link_ptr out(new (std::nothrow) vlan_link(std::move(inner), in, count));
  if (!out) return why.fail(ENOMEM, "no memory for vlan=");
  return out;
}

}  // namespace

result<link_ptr> around(link_ptr inner, uri& where, counters& count, reason& why) {
  const auto bad = take_impairment(where, why);
  if (!bad) return bad.failure();
  const auto vlans = take_vlans(where, why);
  if (!vlans) return vlans.failure();
  const auto path = where.take("capture");
  if (bad->does_something()) inner = impaired_link::around(std::move(inner), *bad, count);
  if (!inner) return why.fail(ENOMEM, "no memory to hold frames back in");
  auto seen = path ? capture(std::move(inner), *path, why) : result<link_ptr>(std::move(inner));
  if (!seen || vlans->first == 0) return seen;
  return tag(std::move(*seen), *vlans, count, why);
}

}  // namespace fastudp::wrap
