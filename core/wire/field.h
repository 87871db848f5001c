#pragma once
// The types that a header's fields can have. Each is a value of its own, and knows its width on the wire.

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>

#include "base/address.h"
#include "wire/bits.h"

namespace fastudp {

namespace wire {

// Not a constant expression: a consteval constructor that comes here doesn't compile.
inline void value_does_not_fit_the_field() {}

constexpr bool fits(std::uint64_t value, unsigned width) { return width == 64 || value >> width == 0; }

template <typename I, unsigned W>
concept always_fits = std::unsigned_integral<I> && std::numeric_limits<I>::digits <= W;

}  // namespace wire

// A number of W bits, and the proof that it fits: constants are checked when compiled, values of a type that is no
// wider are taken as they are, and all others have to say what happens to them: checked() or masked().
template <unsigned W>
class u {
  static_assert(W >= 1 && W <= 64);

 public:
  using value_type = wire::word_of<std::bit_ceil((W + 7) / 8)>;
  static constexpr std::size_t width = W;

  constexpr u() = default;
  template <wire::always_fits<W> I>
  constexpr u(I value) : value_(value) {}
  template <std::integral I>
  requires(!wire::always_fits<I, W>) consteval u(I constant) : value_(static_cast<value_type>(constant)) {
    if (constant < I{} || !wire::fits(static_cast<std::uint64_t>(constant), W)) wire::value_does_not_fit_the_field();
  }
  template <unsigned V>
  requires(V < W) constexpr u(u<V> narrower) : value_(narrower.value()) {}

  static constexpr std::optional<u> checked(std::uint64_t value) {
    if (!wire::fits(value, W)) return std::nullopt;
    return masked(value);
  }
  static constexpr u masked(std::uint64_t value) {
    u out;
    out.value_ = static_cast<value_type>(value & (~std::uint64_t{0} >> (64 - W)));
    return out;
  }

  constexpr value_type value() const { return value_; }
  constexpr operator value_type() const { return value_; }

 private:
  value_type value_ = 0;
};

// An enumeration of W bits. Values without a name are kept as they came.
template <typename E, unsigned W>
requires std::is_enum_v<E>
class as {
  using underlying = std::underlying_type_t<E>;
  static_assert(
      requires { E{0}; }, "without a fixed underlying type, values without a name would be undefined");
  static_assert(sizeof(E) * 8 >= W, "the enumeration couldn't keep every value of the field");
  static constexpr bool always_fits = sizeof(E) * 8 == W;

 public:
  using value_type = E;
  static constexpr std::size_t width = W;

  constexpr as() = default;
  constexpr as(E value) requires always_fits : number_(u<W>::masked(raw(value))) {}
  consteval as(E constant) requires(!always_fits) : number_(u<W>::masked(raw(constant))) {
    if (!wire::fits(raw(constant), W)) wire::value_does_not_fit_the_field();
  }

  static constexpr std::optional<as> checked(E value) {
    if (!wire::fits(raw(value), W)) return std::nullopt;
    return masked(value);
  }
  static constexpr as masked(E value) { return from_number(u<W>::masked(raw(value))); }
  static constexpr as from_number(u<W> number) {
    as out;
    out.number_ = number;
    return out;
  }

  constexpr u<W> number() const { return number_; }
  constexpr E value() const { return static_cast<E>(number_.value()); }
  constexpr operator E() const { return value(); }

 private:
  static constexpr std::uint64_t raw(E value) { return static_cast<std::make_unsigned_t<underlying>>(value); }

  u<W> number_;
};

// Opaque bytes. Any other type whose bytes stand on the wire as they are can be a field: specialise is_byte_field.
template <std::size_t N>
using bytes_n = std::array<std::uint8_t, N>;

template <typename F>
inline constexpr bool is_byte_field = false;
template <>
inline constexpr bool is_byte_field<mac_address> = true;
template <>
inline constexpr bool is_byte_field<ipv4_address> = true;
template <std::size_t N>
inline constexpr bool is_byte_field<std::array<std::uint8_t, N>> = true;
template <std::size_t N>
inline constexpr bool is_byte_field<std::array<std::byte, N>> = true;

namespace wire {

template <auto Member>
struct member_traits;
template <typename T, typename F, F T::*Member>
struct member_traits<Member> {
  using owner = T;
  using field = F;
};
template <auto Member>
using owner_of = typename member_traits<Member>::owner;
template <auto Member>
using field_of = typename member_traits<Member>::field;

template <unsigned W>
constexpr std::uint64_t to_number(u<W> field) {
  return field.value();
}
template <typename E, unsigned W>
constexpr std::uint64_t to_number(as<E, W> field) {
  return field.number().value();
}
template <typename F>
concept number_field = requires(F field) {
  to_number(field);
};
template <typename F>
concept byte_field = is_byte_field<F>;
template <typename F>
concept fixed_field = number_field<F> || byte_field<F>;

template <number_field F>
constexpr F from_number(std::uint64_t number) {
  if constexpr (std::is_enum_v<typename F::value_type>) {
    return F::from_number(u<F::width>::masked(number));
  } else {
    return F::masked(number);
  }
}

template <fixed_field F>
consteval std::size_t width_of() {
  if constexpr (byte_field<F>) {
    static_assert(alignof(F) == 1 && std::is_trivially_copyable_v<F>);
    return sizeof(F) * 8;
  } else {
    return F::width;
  }
}

template <fixed_field F, std::size_t Offset, std::size_t Region>
F load_field(const std::byte* region) {
  if constexpr (byte_field<F>) {
    static_assert(Offset % 8 == 0, "a field of bytes begins in the middle of a byte");
    F out;
    std::memcpy(&out, region + Offset / 8, sizeof out);
    return out;
  } else {
    return from_number<F>(load_bits<Offset, F::width, Region>(region));
  }
}

template <fixed_field F, std::size_t Offset, std::size_t Region>
void store_field(std::byte* region, const F& field) {
  if constexpr (byte_field<F>) {
    static_assert(Offset % 8 == 0, "a field of bytes begins in the middle of a byte");
    std::memcpy(region + Offset / 8, &field, sizeof field);
  } else {
    store_bits<Offset, F::width, Region>(region, to_number(field));
  }
}

}  // namespace wire

}  // namespace fastudp
