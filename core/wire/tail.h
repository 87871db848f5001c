#pragma once
// The members of a header that have no fixed place: optional fields, variable lengths, trailers counted from the end.
// In the owned struct the controlling fields alone say what is present: a tail member only has the room for it.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "wire/field.h"

namespace fastudp {

namespace wire {

// A tail member answers: how many bytes it `found` in a packet, or `wanted` as an owned value; how a view shows its
// bytes; and how they are loaded and stored. `source.number<&T::field>()` reads a controlling field of either.
template <typename F>
concept tail_field = requires {
  F::at_end;
};

// Instead of a length: this packet can't be.
inline constexpr std::ptrdiff_t impossible = -1;

using octets = std::span<const std::byte>;

}  // namespace wire

// The length of a var: Length * Scale + Bias bytes. An absent Length counts as 0. A schema with a wide length field
// says the longest that it accepts, since the owned struct has the room for it.
template <auto Length, std::ptrdiff_t Scale = 1, std::ptrdiff_t Bias = 0, std::ptrdiff_t Longest = 0>
struct bytes {
  static constexpr std::ptrdiff_t of(std::uint64_t length) {
    return static_cast<std::ptrdiff_t>(length) * Scale + Bias;
  }
  static constexpr std::ptrdiff_t longest =
      Longest != 0 ? Longest : of(~std::uint64_t{0} >> (64 - wire::field_of<Length>::width));
  static_assert(longest > 0 && longest <= 0xffff, "say the longest that is accepted");

  template <typename Source>
  static constexpr std::ptrdiff_t count(const Source& source) {
    const std::ptrdiff_t wanted = of(source.template number<Length>());
    return wanted <= longest ? wanted : wire::impossible;
  }
};

// As many bytes as the rule says. A view shows them as a span.
template <typename Rule>
struct var {
  static constexpr bool at_end = false;
  std::array<std::byte, static_cast<std::size_t>(Rule::longest)> content{};

  friend bool operator==(const var&, const var&) = default;

  static std::ptrdiff_t found(const auto& source, wire::octets) { return Rule::count(source); }
  std::ptrdiff_t wanted(const auto& source) const { return Rule::count(source); }
  static auto show(auto area) { return area; }
  void load(wire::octets area) { std::ranges::copy(area, content.begin()); }
  void store(std::span<std::byte> area) const { std::copy_n(content.begin(), area.size(), area.begin()); }
};

// A field that is there when Flag isn't zero. A view shows it as an std::optional.
template <wire::fixed_field F, auto Flag>
struct opt {
  static constexpr bool at_end = false;
  static constexpr auto flag = Flag;
  static constexpr std::size_t width = wire::width_of<F>();
  static_assert(width % 8 == 0, "optional fields are whole bytes");
  F content{};

  friend bool operator==(const opt&, const opt&) = default;

  static std::ptrdiff_t found(const auto& source, wire::octets) {
    return source.template number<Flag>() ? width / 8 : 0;
  }
  std::ptrdiff_t wanted(const auto& source) const { return found(source, {}); }
  static std::optional<F> show(wire::octets area) {
    if (area.empty()) return std::nullopt;
    return wire::load_field<F, 0, width / 8>(area.data());
  }
  void load(wire::octets area) { content = show(area).value_or(F{}); }
  void store(std::span<std::byte> area) const {
    if (!area.empty()) wire::store_field<F, 0, width / 8>(area.data(), content);
  }
};

// Bytes at the end of the packet, the last of which says how many they are; there when Flag isn't zero.
template <auto Flag>
struct padding {
  static constexpr bool at_end = true;
  std::uint8_t count = 0;
  std::array<std::byte, 255> content{};  // of the count bytes the last is written as count, whatever stands here

  friend bool operator==(const padding&, const padding&) = default;

  static std::ptrdiff_t found(const auto& source, wire::octets rest) {
    if (!source.template number<Flag>()) return 0;
    if (rest.empty() || rest.back() == std::byte{0}) return wire::impossible;
    return std::to_integer<std::ptrdiff_t>(rest.back());
  }
  std::ptrdiff_t wanted(const auto& source) const {
    if (!source.template number<Flag>()) return 0;
    return count == 0 ? wire::impossible : count;
  }
  static auto show(auto area) { return area; }
  void load(wire::octets area) {
    count = static_cast<std::uint8_t>(area.size());
    std::ranges::copy(area, content.begin());
  }
  void store(std::span<std::byte> area) const {
    std::copy_n(content.begin(), area.size(), area.begin());
    if (!area.empty()) area.back() = std::byte{count};
  }
};

}  // namespace fastudp
