#pragma once
// What must hold of any header and any bytes.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "unit/wire/wire_support.h"
#include "wire/schema.h"

namespace fastudp {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

inline std::span<const std::byte> input(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

template <typename T>
void check_bounds(view<T> v, std::span<const std::byte> packet) {
  require(v.size() >= fixed_size<T> && v.size() <= packet.size(), "the header lies within the packet");
  require(v.header().data() == packet.data() && v.header().size() == v.size(), "it is the packet's front");
  require(v.payload().data() == packet.data() + v.size(), "the payload follows it");
  require(v.payload().size() <= packet.size() - v.size(), "and ends with the packet");
}

// value() and store() are each other's inverse, and store() leaves the payload alone.
template <typename T>
void check_round_trip(view<T> v, std::span<const std::byte> packet) {
  const T value = v.value();
  octet_string copy(packet.size(), std::byte{0xee});
  std::ranges::copy(v.payload(), copy.begin() + static_cast<std::ptrdiff_t>(v.size()));
  const auto m = store(value, copy);
  require(m.has_value(), "what was parsed can be stored");
  require(std::ranges::equal(copy, packet), "and gives the same bytes");
  require(m->size() == v.size() && m->value() == value, "and the same value");
}

template <typename T>
void check_fields(view<T> v, std::span<const std::byte> packet) {
  constexpr auto list = fields<T>();
  constexpr auto access = accessors<T>();
  octet_string copy(packet.begin(), packet.end());
  const auto m = mutable_view<T>::parse(copy);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const any_number value = access[i].get(v);
    require(value == oracle_get(packet, list[i]), "a field is its bits");
    access[i].set(*m, cut_to(~value, list[i].width));
    access[i].set(*m, value);
    require(std::ranges::equal(copy, packet), "setting a field changes no other");
  }
}

template <typename T>
std::optional<view<T>> check_header(std::span<const std::byte> packet) {
  const auto v = view<T>::parse(packet);
  require(v.has_value() || packet.size() < fixed_size<T> || wire::layout_of<T>.tail_members() != 0,
          "a header without variable parts needs its length, and nothing else");
  if (!v) return v;
  check_bounds(*v, packet);
  check_round_trip(*v, packet);
  check_fields(*v, packet);
  return v;
}

}  // namespace fastudp
