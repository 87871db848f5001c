#include "link/uri.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace fastudp {
namespace {

int width(std::string_view text) { return static_cast<int>(std::min<std::size_t>(text.size(), 64)); }

}  // namespace

result<uri> uri::parse(std::string_view text, reason& why) {
  const auto colon = text.find(':');
  if (colon == text.npos || colon == 0) {
    return why.fail(EINVAL, "'%.*s' is not a link URI: write scheme:device, for instance tap:fast0 or mem:lan",
                    width(text), text.data());
  }
  uri out;
  out.scheme_ = text.substr(0, colon);
  const auto rest = text.substr(colon + 1);
  const auto question = rest.find('?');
  out.device_ = rest.substr(0, question);
  auto pairs = question == rest.npos ? std::string_view{} : rest.substr(question + 1);
  while (!pairs.empty()) {
    const auto end = std::min(pairs.find('&'), pairs.size());
    if (auto added = out.add(pairs.substr(0, end), why); !added) return added.failure();
    pairs.remove_prefix(std::min(end + 1, pairs.size()));
  }
  return out;
}

status uri::add(std::string_view pair, reason& why) {
  const auto equals = pair.find('=');
  if (equals == pair.npos || equals == 0) {
    return why.fail(EINVAL, "'%.*s' in the link URI is not key=value", width(pair), pair.data());
  }
  const auto key = pair.substr(0, equals);
  if (find(key) != nullptr) {
    return why.fail(EINVAL, "key '%.*s' is in the link URI twice: leave one", width(key), key.data());
  }
  if (count_ == max_parameters) return why.fail(EINVAL, "more than %zu keys in the link URI", max_parameters);
  parameters_[count_++] = {key, pair.substr(equals + 1), false};
  return {};
}

uri::parameter* uri::find(std::string_view key) {
  for (std::size_t i = 0; i < count_; ++i) {
    if (parameters_[i].key == key) return &parameters_[i];
  }
  return nullptr;
}

bool uri::has(std::string_view key) const {
  return std::any_of(parameters_.begin(), parameters_.begin() + count_,
                     [&](const parameter& p) { return p.key == key; });
}

std::optional<std::string_view> uri::take(std::string_view key) {
  parameter* found = find(key);
  if (found == nullptr) return std::nullopt;
  found->taken = true;
  return found->value;
}

result<std::uint64_t> uri::take_number(std::string_view key, std::uint64_t low, std::uint64_t high,
                                       std::uint64_t fallback, reason& why) {
  const auto text = take(key);
  if (!text) return fallback;
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (problem != std::errc{} || end != text->data() + text->size() || value < low || value > high) {
    return why.fail(EINVAL, "%.*s=%.*s: a whole number from %llu to %llu is needed", width(key), key.data(),
                    width(*text), text->data(), static_cast<unsigned long long>(low),
                    static_cast<unsigned long long>(high));
  }
  return value;
}

result<bool> uri::take_switch(std::string_view key, bool fallback, reason& why) {
  const auto text = take(key);
  if (!text) return fallback;
  if (*text == "on" || *text == "1") return true;
  if (*text == "off" || *text == "0") return false;
  return why.fail(EINVAL, "%.*s=%.*s: on or off is needed", width(key), key.data(), width(*text), text->data());
}

result<mac_address> uri::take_mac(std::string_view key, reason& why) {
  const auto text = take(key);
  if (!text) return mac_address{};
  const auto mac = parse_mac(*text);
  if (!mac || mac->is_group() || mac->is_zero()) {
    return why.fail(EINVAL, "%.*s=%.*s: a unicast address is needed, such as 02:00:00:00:00:01", width(key), key.data(),
                    width(*text), text->data());
  }
  return *mac;
}

void uri::set_default(std::string_view key, std::string_view value) {
  if (find(key) == nullptr && count_ < max_parameters) parameters_[count_++] = {key, value, true};
}

status uri::expect_all_taken(reason& why) const {
  for (std::size_t i = 0; i < count_; ++i) {
    if (parameters_[i].taken) continue;
    const auto key = parameters_[i].key;
    return why.fail(EINVAL, "unknown key '%.*s' for a %.*s: link", width(key), key.data(), width(scheme_),
                    scheme_.data());
  }
  return {};
}

}  // namespace fastudp
