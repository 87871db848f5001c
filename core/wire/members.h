#pragma once
// What the compiler knows about a plain struct, without macros: its members, where they stand on the wire, their names.

#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "wire/field.h"
#include "wire/tail.h"

namespace fastudp::wire {

struct any_field {
  template <typename F>
  constexpr operator F() const;
};

template <typename T, std::size_t... I>
consteval bool takes(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), any_field{})...}; };
}

template <typename T, std::size_t N = 17>
consteval std::size_t count_members() {
  if constexpr (N == 0 || takes<T>(std::make_index_sequence<N>{})) {
    return N;
  } else {
    return count_members<T, N - 1>();
  }
}

template <typename T>
inline constexpr std::size_t member_count = count_members<T>();

template <std::size_t N>
using count = std::integral_constant<std::size_t, N>;

// clang-format off
template <typename T> constexpr auto tie(T& t, count<1>) {
  auto& [a] = t; return std::tie(a);
}
template <typename T> constexpr auto tie(T& t, count<2>) {
  auto& [a, b] = t; return std::tie(a, b);
}
template <typename T> constexpr auto tie(T& t, count<3>) {
  auto& [a, b, c] = t; return std::tie(a, b, c);
}
template <typename T> constexpr auto tie(T& t, count<4>) {
  auto& [a, b, c, d] = t; return std::tie(a, b, c, d);
}
template <typename T> constexpr auto tie(T& t, count<5>) {
  auto& [a, b, c, d, e] = t; return std::tie(a, b, c, d, e);
}
template <typename T> constexpr auto tie(T& t, count<6>) {
  auto& [a, b, c, d, e, f] = t; return std::tie(a, b, c, d, e, f);
}
template <typename T> constexpr auto tie(T& t, count<7>) {
  auto& [a, b, c, d, e, f, g] = t; return std::tie(a, b, c, d, e, f, g);
}
template <typename T> constexpr auto tie(T& t, count<8>) {
  auto& [a, b, c, d, e, f, g, h] = t; return std::tie(a, b, c, d, e, f, g, h);
}
template <typename T> constexpr auto tie(T& t, count<9>) {
  auto& [a, b, c, d, e, f, g, h, i] = t; return std::tie(a, b, c, d, e, f, g, h, i);
}
template <typename T> constexpr auto tie(T& t, count<10>) {
  auto& [a, b, c, d, e, f, g, h, i, j] = t; return std::tie(a, b, c, d, e, f, g, h, i, j);
}
template <typename T> constexpr auto tie(T& t, count<11>) {
  auto& [a, b, c, d, e, f, g, h, i, j, k] = t; return std::tie(a, b, c, d, e, f, g, h, i, j, k);
}
template <typename T> constexpr auto tie(T& t, count<12>) {
  auto& [a, b, c, d, e, f, g, h, i, j, k, l] = t; return std::tie(a, b, c, d, e, f, g, h, i, j, k, l);
}
template <typename T> constexpr auto tie(T& t, count<13>) {
  auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = t; return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m);
}
template <typename T> constexpr auto tie(T& t, count<14>) {
  auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = t; return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, n);
}
template <typename T> constexpr auto tie(T& t, count<15>) {
  auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = t; return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o);
}
template <typename T> constexpr auto tie(T& t, count<16>) {
  auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = t; return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
}
// clang-format on

template <typename T>
constexpr auto tie(T& value) {
  constexpr std::size_t members = member_count<std::remove_const_t<T>>;
  static_assert(members >= 1 && members <= 16, "a header has 1 to 16 members");
  return tie(value, count<members>{});
}

template <typename T, std::size_t I>
using member_type = std::remove_cvref_t<std::tuple_element_t<I, decltype(tie(std::declval<T&>()))>>;

// The object whose members' addresses tell them apart.
template <typename T>
inline constexpr T specimen{};

// Where the members stand: fixed fields in bits from the start, tail members in the order in which they follow.
template <typename T>
struct layout {
  std::array<const void*, member_count<T>> address{};
  std::array<std::size_t, member_count<T>> offset{};
  std::size_t fixed_members = 0;
  std::size_t fixed_bits = 0;
  bool has_trailer = false;
  bool in_order = true;

  constexpr std::size_t tail_members() const { return member_count<T> - fixed_members; }
};

template <typename T, std::size_t I>
constexpr void place(layout<T>& out) {
  using field = member_type<T, I>;
  static_assert(fixed_field<field> || tail_field<field>, "a header's members are fields");
  out.address[I] = &std::get<I>(tie(specimen<T>));
  if (out.has_trailer || (fixed_field<field> && out.fixed_members != I)) out.in_order = false;
  if constexpr (fixed_field<field>) {
    out.offset[I] = out.fixed_bits;
    out.fixed_bits += width_of<field>();
    ++out.fixed_members;
  } else {
    out.has_trailer = field::at_end;
  }
}

template <typename T>
consteval layout<T> lay_out() {
  layout<T> out;
  [&]<std::size_t... I>(std::index_sequence<I...>) { (place<T, I>(out), ...); }
  (std::make_index_sequence<member_count<T>>{});
  return out;
}

template <typename T>
inline constexpr layout<T> layout_of = lay_out<T>();

template <auto Member>
consteval std::size_t find_member() {
  using owner = owner_of<Member>;
  const void* wanted = &(specimen<owner>.*Member);
  std::size_t i = 0;
  while (layout_of<owner>.address[i] != wanted) ++i;
  return i;
}

template <auto Member>
inline constexpr std::size_t index_of = find_member<Member>();

// clang 14 takes a pointer to a subobject as template argument only inside a class.
template <typename F>
struct pointer_to {
  const F* field;
};

template <typename T, auto Pointer>
consteval std::string_view spelled() {
  return __PRETTY_FUNCTION__;
}

// The compilers spell "{(& specimen<T>.T::name)}" and "{&specimen.name}".
consteval std::string_view last_identifier(std::string_view text) {
  text = text.substr(0, text.rfind('}'));
  if (text.ends_with(')')) text.remove_suffix(1);
  return text.substr(text.find_last_of(".:") + 1);
}

template <typename T, std::size_t I>
consteval std::string_view name_of() {
  constexpr auto* field = &std::get<I>(tie(specimen<T>));
  return last_identifier(spelled<T, pointer_to<member_type<T, I>>{field}>());
}

}  // namespace fastudp::wire
