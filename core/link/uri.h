#pragma once
// Link URIs: scheme ':' device ['?' key=value ('&' key=value)*]. The device is verbatim up to the '?'.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp {

// Each layer takes the keys that it knows; what nobody took is an unknown key. Views point into the text given to
// parse.
class uri {
 public:
  static result<uri> parse(std::string_view text, reason& why);

  std::string_view scheme() const { return scheme_; }
  std::string_view device() const { return device_; }

  // Whether the URI has a key, which stays untaken.
  bool has(std::string_view key) const;
  // The value of a key, which is then known; nullopt when the URI doesn't have it.
  std::optional<std::string_view> take(std::string_view key);
  // As take, for a whole number in [low, high]; `fallback` when the URI doesn't have the key.
  result<std::uint64_t> take_number(std::string_view key, std::uint64_t low, std::uint64_t high, std::uint64_t fallback,
                                    reason& why);
  // "on" or "1", "off" or "0".
  result<bool> take_switch(std::string_view key, bool fallback, reason& why);
  // An address that a host may have: unicast and not zero. Zero when the URI doesn't have the key.
  result<mac_address> take_mac(std::string_view key, reason& why);
  // What a key is worth when the URI doesn't have it. Not a demand of the user's: links that don't know it ignore it.
  void set_default(std::string_view key, std::string_view value);
  // Fails with EINVAL and the key's name when a key is left that nobody took.
  status expect_all_taken(reason& why) const;

 private:
  struct parameter {
    std::string_view key, value;
    bool taken = false;  // somebody knows this key
  };
  static constexpr std::size_t max_parameters = 24;

  status add(std::string_view pair, reason& why);
  parameter* find(std::string_view key);

  std::string_view scheme_, device_;
  std::array<parameter, max_parameters> parameters_{};
  std::size_t count_ = 0;
};

}  // namespace fastudp
