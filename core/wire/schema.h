#pragma once
// The header language. A protocol header is one plain struct, at once the layout on the wire, the owned value and the
// source of reflection:
//
//   struct vlan {
//     u<3> pcp = 0;
//     u<1> dei = 0;
//     u<12> vid = 0;
//     as<ether_type, 16> type = {};
//     friend bool operator==(const vlan&, const vlan&) = default;
//   };
//
//   auto v = view<vlan>::parse(frame);           // std::optional: the one check; after it nothing can fail
//   v->get<&vlan::vid>();                        // a u<12>, which converts to std::uint16_t
//   v->size(), v->payload();                     // of the header, what follows it
//   vlan tag = v->value();                       // an owned copy, == compares
//
//   auto m = store(vlan{.vid = 100}, buffer);    // std::optional<mutable_view<vlan>>: none if the buffer is too short
//   m->set<&vlan::pcp>(7);                       // 8 doesn't compile
//   m->set<&vlan::vid>(u<12>::masked(number));   // run-time values are masked or checked by name
//   for (auto& f : fields<vlan>()) ...           // name, offset and width in bits
//
// Fields are u<W>, as<Enum, W>, addresses, bytes_n<N> (field.h), then any of opt, var and padding (tail.h).
// A view doesn't own its bytes. It keeps the size it was parsed with, also if a length field is set afterwards.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "wire/field.h"
#include "wire/members.h"
#include "wire/tail.h"

namespace fastudp {

// Bytes before the tail members: the whole header of most protocols.
template <typename T>
inline constexpr std::size_t fixed_size = wire::layout_of<T>.fixed_bits / 8;

struct field_info {
  std::string_view name;
  std::size_t offset;  // bits from the start of the header
  std::size_t width;   // bits
};

// The fixed fields, in the order of the wire.
template <typename T>
consteval auto fields() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{
        field_info{wire::name_of<T, I>(), wire::layout_of<T>.offset[I], wire::width_of<wire::member_type<T, I>>()}...};
  }
  (std::make_index_sequence<wire::layout_of<T>.fixed_members>{});
}

namespace wire {

// Reads controlling fields from the owned struct, as basic_view::number does from the bytes.
template <typename T>
struct owned_source {
  const T& value;

  template <auto Member>
  std::uint64_t number() const {
    if constexpr (tail_field<field_of<Member>>) {
      return number<field_of<Member>::flag>() ? to_number((value.*Member).content) : 0;
    } else {
      return to_number(value.*Member);
    }
  }
};

}  // namespace wire

// The header at the start of a packet, and the packet's end: payload and padding.
template <typename T, typename Byte>
class basic_view {
 public:
  static std::optional<basic_view> parse(std::span<Byte> packet) {
    basic_view out(packet);
    const bool possible =
        out.measure([&]<std::size_t I>(count<I>, wire::octets rest) { return member<I>::found(out, rest); });
    if (!possible) return std::nullopt;
    return out;
  }

  // See store() below.
  static std::optional<basic_view> write(const T& value, std::span<Byte> packet) {
    basic_view out(packet);
    const auto members = wire::tie(value);
    const wire::owned_source<T> source{value};
    const bool possible =
        out.measure([&]<std::size_t I>(count<I>, wire::octets) { return std::get<I>(members).wanted(source); });
    if (!possible) return std::nullopt;
    // Setters keep the bits around them, and these may never have been set.
    std::memset(packet.data(), 0, fixed_size<T>);
    for_each(every_member{}, [&]<std::size_t I>(count<I>) { out.set_at<I>(std::get<I>(members)); });
    return out;
  }

  operator basic_view<T, const std::byte>() const requires(!std::is_const_v<Byte>) {
    return basic_view<T, const std::byte>(packet_, ends_);
  }

  template <auto Member>
  auto get() const {
    return get_at<position<Member>()>();
  }
  // An optional field that is absent stays absent.
  template <auto Member>
  void set(const wire::field_of<Member>& field) const {
    set_at<position<Member>()>(field);
  }

  std::size_t size() const { return front_end(); }
  std::span<Byte> header() const { return packet_.first(size()); }
  std::span<Byte> payload() const { return packet_.subspan(size(), packet_.size() - size() - behind()); }

  T value() const {
    T out;
    const auto members = wire::tie(out);
    for_each(every_member{}, [&]<std::size_t I>(count<I>) {
      if constexpr (I < fixed_members) {
        std::get<I>(members) = get_at<I>();
      } else {
        std::get<I>(members).load(area<I>());
      }
    });
    return out;
  }

  // By position in the struct, for code that walks over all fields.
  template <std::size_t I>
  auto get_at() const {
    if constexpr (I < fixed_members) {
      return wire::load_field<member<I>, layout.offset[I], fixed_size<T>>(packet_.data());
    } else {
      return member<I>::show(area<I>());
    }
  }
  template <std::size_t I>
  void set_at(const wire::member_type<T, I>& field) const {
    static_assert(is_mutable, "a view of constant bytes");
    if constexpr (I < fixed_members) {
      wire::store_field<member<I>, layout.offset[I], fixed_size<T>>(packet_.data(), field);
    } else {
      field.store(area<I>());
    }
  }

  // A field as a number, 0 if it is absent.
  template <auto Member>
  std::uint64_t number() const {
    if constexpr (wire::tail_field<wire::field_of<Member>>) {
      const auto field = get<Member>();
      return field ? wire::to_number(*field) : 0;
    } else {
      return wire::to_number(get<Member>());
    }
  }

 private:
  template <typename, typename>
  friend class basic_view;

  static constexpr const wire::layout<T>& layout = wire::layout_of<T>;
  static constexpr std::size_t fixed_members = layout.fixed_members;
  static constexpr std::size_t tail_members = layout.tail_members();
  static constexpr bool has_trailer = layout.has_trailer;
  static constexpr bool is_mutable = !std::is_const_v<Byte>;
  static_assert(layout.fixed_bits % 8 == 0, "the fixed fields don't fill whole bytes");
  static_assert(layout.in_order, "first the fixed fields, then the tail members, padding last");

  template <std::size_t I>
  using member = wire::member_type<T, I>;
  template <std::size_t I>
  using count = wire::count<I>;
  using every_member = std::make_index_sequence<wire::member_count<T>>;
  // Where each tail member ends; for one at the end of the packet, how long it is.
  using tail_ends = std::array<std::uint32_t, tail_members>;

  template <auto Member>
  static consteval std::size_t position() {
    static_assert(std::is_same_v<wire::owner_of<Member>, T>, "a field of another header");
    return wire::index_of<Member>;
  }

  explicit basic_view(std::span<Byte> packet) : packet_(packet) {}
  basic_view(std::span<Byte> packet, const tail_ends& ends) : packet_(packet), ends_(ends) {}

  template <std::size_t... I>
  static void for_each(std::index_sequence<I...>, const auto& visit) {
    (visit(count<I>{}), ...);
  }

  bool measure(const auto& bytes_of) {
    if (packet_.size() < fixed_size<T>) return false;
    return [&]<std::size_t... K>(std::index_sequence<K...>) {
      return (measure_member<fixed_members + K>(bytes_of) && ...);
    }
    (std::make_index_sequence<tail_members>{});
  }
  template <std::size_t I>
  bool measure_member(const auto& bytes_of) {
    const std::size_t begin = end_before<I>();
    const std::ptrdiff_t length = bytes_of(count<I>{}, packet_.subspan(begin));
    if (length < 0 || static_cast<std::size_t>(length) > packet_.size() - begin) return false;
    ends_[I - fixed_members] =
        static_cast<std::uint32_t>(length) + (member<I>::at_end ? 0 : static_cast<std::uint32_t>(begin));
    return true;
  }

  template <std::size_t I>
  std::size_t end_before() const {
    if constexpr (I == fixed_members) {
      return fixed_size<T>;
    } else {
      return ends_[I - 1 - fixed_members];
    }
  }
  std::size_t front_end() const { return end_before<fixed_members + tail_members - has_trailer>(); }
  std::size_t behind() const {
    if constexpr (has_trailer) return ends_.back();
    return 0;
  }

  template <std::size_t I>
  std::span<Byte> area() const {
    const std::size_t end = ends_[I - fixed_members];
    if constexpr (member<I>::at_end) return packet_.last(end);
    const std::size_t begin = end_before<I>();
    return packet_.subspan(begin, end - begin);
  }

  std::span<Byte> packet_;
  [[no_unique_address]] tail_ends ends_{};
};

template <typename T>
using view = basic_view<T, const std::byte>;
template <typename T>
using mutable_view = basic_view<T, std::byte>;

// Writes the header at the front of the packet (and padding at its end). None, and nothing written, if it doesn't fit
// or its length fields ask for what can't be.
template <typename T>
std::optional<mutable_view<T>> store(const T& value, std::span<std::byte> packet) {
  return mutable_view<T>::write(value, packet);
}

}  // namespace fastudp
