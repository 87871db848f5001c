#pragma once
// Frames of every protocol that a stack hears, from hosts on the link and from strangers, and what an enemy makes of
// them: bits flipped, cut, extended, spliced; with their checksums repaired, so that more than the first check is met.

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "support/packets.h"
#include "support/repair.h"
#include "unit/stack/stack_support.h"
#include "wire/igmp.h"
#include "wire/mld.h"
#include "wire/vlan.h"

namespace fastudp::test {

inline constexpr mac_address our_mac{{2, 0, 0, 0, 0, 1}};
inline constexpr std::uint32_t longest_frame = 1514;

inline ip_address host_v4(unsigned n) { return ipv4_address::from_number(0x0a000000 + n); }
inline ip_address stranger_v4(unsigned n) { return ipv4_address::from_number(0xc0000200 + n); }
inline ip_address group_v4(unsigned n) { return ipv4_address::from_number(0xef010200 + n); }
inline ip_address numbered_v6(const char* prefix, unsigned n) {
  ip_address out = parse_ip(prefix).value();
  out.bytes[15] = static_cast<std::uint8_t>(n);
  return out;
}
inline ip_address host_v6(unsigned n) { return numbered_v6("fd00::", n); }
inline ip_address near_v6(unsigned n) { return numbered_v6("fe80::", n); }
inline ip_address stranger_v6(unsigned n) { return numbered_v6("2001:db8::", n); }
inline ip_address group_v6(unsigned n) { return numbered_v6("ff15::", n); }
inline ip_address our_near_v6() { return parse_ip("fe80::ff:fe00:1").value(); }

inline mac_address mac_towards(const ip_address& to) {
  return to.is_limited_broadcast() || to == host_v4(255) ? broadcast_mac : to.is_multicast() ? group_mac(to) : our_mac;
}

inline bool is_ipv4_fragment(std::string_view frame) {
  const auto outer = view<ethernet>::parse(octets(frame));
  if (!outer || outer->get<&ethernet::type>() != ether_type::ipv4) return false;
  const auto ip = view<ipv4>::parse(outer->payload());
  return ip &&
         (ip->get<&ipv4::fragment_offset>() != 0 || (ip->get<&ipv4::flags>() & ipv4::more_fragments.value()) != 0);
}

// What another host's card would not even look at says little about ours.
inline void readdress(std::string& frame) {
  const auto outer = mutable_view<ethernet>::parse(octets(frame));
  if (outer && !mac_address(outer->get<&ethernet::destination>()).is_group()) {
    outer->set<&ethernet::destination>(our_mac);
  }
}

// A fragment's transport checksum is the whole datagram's, and not to be touched.
inline void repair_unless_fragment(std::string& frame) {
  if (!is_ipv4_fragment(frame)) return repair(octets(frame));
  std::string packet = frame.substr(fixed_size<ethernet>);
  fix_ip_checksum(packet);
  frame.replace(fixed_size<ethernet>, packet.npos, packet);
}

// An address of a list of sources.
struct on_wire {
  ipv4_address source = {};
  friend bool operator==(const on_wire&, const on_wire&) = default;
};
struct on_wire_v6 {
  ipv6_address source = {};
  friend bool operator==(const on_wire_v6&, const on_wire_v6&) = default;
};

class hostile_frames {
 public:
  static constexpr std::array<std::uint16_t, 7> ports{7, 8, 9, 53, 5353, 5354, 6000};

  explicit hostile_frames(random_source& random) : random_(random) {}

  std::string next() {
    std::string out = whole();
    const std::uint32_t changes = random_.below(4) == 0 ? 0 : 1 + random_.below(3);
    for (std::uint32_t i = 0; i < changes; ++i) mutate(out);
    if (out.size() > longest_frame) out.resize(longest_frame);
    if (changes == 0 || random_.below(10) < 4) return out;
    readdress(out);
    repair_unless_fragment(out);
    return out;
  }

  // An IP packet that a socket has sent: what errors quote.
  void remember(std::string_view packet) {
    constexpr std::size_t most = 32;
    if (sent_.size() < most) return sent_.emplace_back(packet), void();
    sent_[random_.below(most)] = packet;
  }

 private:
  std::uint32_t below(std::uint32_t n) { return random_.below(n); }
  bool once_in(std::uint32_t n) { return random_.below(n) == 0; }
  template <typename T, std::size_t N>
  T one_of(const std::array<T, N>& all) {
    return all[random_.below(N)];
  }
  std::uint16_t port() { return one_of(ports); }
  mac_address any_mac() { return once_in(50) ? broadcast_mac : mac_of(2 + below(40)); }
  std::string some_bytes(std::uint32_t size) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(random_.next());
    return out;
  }

  // ---- Addresses

  std::uint32_t some_host() { return 2 + below(once_in(2) ? 6 : 40); }
  // Where the sockets that are in groups are, more often than not.
  std::uint16_t port_at(const ip_address& to) {
    if (!to.is_multicast() || once_in(4)) return port();
    return to.is_v4() ? 5353 : 5354;
  }

  ip_address from_v4() {
    const std::uint32_t kind = below(20);
    if (kind < 15) return host_v4(some_host());
    if (kind < 18) return stranger_v4(below(8));
    constexpr std::array<std::uint32_t, 6> strange{0, 0x7f000001, 0xe0000001, 0xf0000001, 0x0a000001, 0x0a0000ff};
    return ipv4_address::from_number(one_of(strange));
  }
  ip_address to_v4() {
    const std::uint32_t kind = below(20);
    if (kind < 13) return host_v4(1);
    if (kind < 18) return group_v4(below(4));
    return kind == 18 ? host_v4(255) : ip_address(ipv4_address::from_number(0xffffffff));
  }
  ip_address from_v6() {
    const std::uint32_t kind = below(20);
    if (kind < 11) return host_v6(some_host());
    if (kind < 15) return near_v6(some_host());
    if (kind < 18) return stranger_v6(below(8));
    const std::array<ip_address, 5> strange{ip_address(), host_v6(1), all_nodes_group, numbered_v6("::", 1),
                                            host_v4(2)};
    return one_of(strange);
  }
  ip_address to_v6() {
    const std::uint32_t kind = below(20);
    if (kind < 12) return host_v6(1);
    if (kind < 14) return our_near_v6();
    if (kind < 19) return group_v6(below(4));
    const std::array<ip_address, 3> strange{all_nodes_group, host_v4(1), group_v4(below(4))};
    return one_of(strange);
  }

  // ---- Frames as they should be

  std::string whole() {
    std::string out;
    switch (below(16)) {
      case 0:
        return arp_message();
      case 1:
      case 2:
        return fragment_v4();
      case 3:
      case 4:
        return fragment_v6();
      case 5:
        out = echo_v4();
        break;
      case 6:
        out = echo_v6();
        break;
      case 7:
        out = error_v4();
        break;
      case 8:
        out = error_v6();
        break;
      case 9:
        out = solicitation();
        break;
      case 10:
        out = advertisement();
        break;
      case 11:
        out = igmp_message();
        break;
      case 12:
        out = mld_message();
        break;
      case 13:
        out = datagram_v6();
        break;
      default:
        out = datagram_v4();
    }
    repair_unless_fragment(out);
    return out;
  }

  std::string frame_v4(const ip_address& to, std::string_view packet) {
    return ethernet_frame(mac_towards(to), any_mac(), ether_type::ipv4, packet);
  }
  std::string frame_v6(const ip_address& to, std::string_view packet) {
    return ethernet_frame(mac_towards(to), any_mac(), ether_type::ipv6, packet);
  }

  std::string arp_message() {
    const bool probe = once_in(8);
    const arp message{.operation = once_in(2) ? arp_operation::request : arp_operation::reply,
                      .sender_mac = any_mac(),
                      .sender_address = probe ? ipv4_address{} : from_v4().ipv4(),
                      .target_mac = our_mac,
                      .target_address = (once_in(3) ? from_v4() : host_v4(1)).ipv4()};
    return arp_frame(once_in(2) ? our_mac : broadcast_mac, message);
  }

  // Router alert, record route, no-ops.
  void add_options(std::string& packet) {
    const std::string options = once_in(2) ? std::string("\x94\4\0\0", 4) : std::string("\1\7\7\4\0\0\0\0", 8);
    packet.insert(fixed_size<ipv4>, options);
    const auto header = *mutable_view<ipv4>::parse(octets(packet));
    header.set<&ipv4::ihl>(u<4>::masked(5 + options.size() / 4));
    header.set<&ipv4::total_length>(u<16>::masked(packet.size()));
  }

  std::string datagram_v4() {
    const ip_address to = to_v4();
    std::string packet =
        udp_packet({{to, port_at(to)}, {from_v4(), port()}}, some_bytes(below(once_in(8) ? 1400 : 60)));
    if (once_in(4)) add_options(packet);
    std::string out = frame_v4(to, packet);
    if (once_in(8)) out.insert(2 * sizeof(mac_address), packet_of(vlan{}, "").insert(0, "\x81\0", 2).substr(0, 4));
    return out;
  }

  std::string with_extensions(const ip_address& from, const ip_address& to, ip_protocol protocol, std::string body) {
    constexpr std::array<ip_protocol, 4> kinds{ip_protocol::destination_options, ip_protocol::routing,
                                               ip_protocol::fragment, ip_protocol::hop_by_hop};
    for (std::uint32_t left = once_in(2) ? 0 : 1 + below(3); left != 0; --left) {
      const ip_protocol kind = one_of(kinds);
      const bool has_options = kind != ip_protocol::routing && kind != ip_protocol::fragment;
      const std::string padding("\1\4\0\0\0\0", 6);
      std::string header{static_cast<char>(protocol), '\0'};
      body = header + (has_options ? padding : std::string(6, '\0')) + body;
      protocol = kind;
    }
    return ipv6_packet(from, to, protocol, body);
  }

  std::string datagram_v6() {
    const ip_address from = from_v6(), to = to_v6();
    const std::string datagram = udp_segment({{to, port_at(to)}, {from, port()}}, some_bytes(below(60)));
    return frame_v6(to, with_extensions(from, to, ip_protocol::udp, datagram));
  }

  // One piece of one of a few datagrams, each always cut in the same way, so that some come together.
  std::string fragment_v4() {
    const std::uint16_t number = static_cast<std::uint16_t>(below(24));
    random_source own(number);
    const flow where{{host_v4(1), ports[own.below(ports.size())]}, {host_v4(2 + number % 6), 9}};
    std::string datagram = udp_segment(where, std::string(32 + own.below(300), 'f'));
    const std::string packet = ip_packet({.identification = number,
                                          .protocol = ip_protocol::udp,
                                          .source = where.remote.address.ipv4(),
                                          .destination = where.local.address.ipv4()},
                                         datagram);
    const auto pieces = fragments_of(packet, 8 * (4 + own.below(12)));
    return frame_v4(host_v4(1), pieces[below(static_cast<std::uint32_t>(pieces.size()))]);
  }

  std::string fragment_v6() {
    const std::uint32_t number = below(24);
    random_source own(number);
    const flow where{{host_v6(1), ports[own.below(ports.size())]}, {host_v6(2 + number % 6), 9}};
    const std::string datagram = udp_segment(where, std::string(32 + own.below(300), 'f'));
    const std::uint32_t step = 8 * (4 + own.below(12)), size = static_cast<std::uint32_t>(datagram.size());
    const std::uint32_t at = step * below((size + step - 1) / step);
    const auto more = static_cast<std::uint16_t>(at + step < size ? ipv6_fragment::more : 0);
    const ipv6_fragment header{
        .next_header = ip_protocol::udp, .place = static_cast<std::uint16_t>(at | more), .identification = number};
    return frame_v6(host_v6(1), ipv6_packet(where.remote.address, where.local.address, ip_protocol::fragment,
                                            packet_of(header, datagram.substr(at, step))));
  }

  std::string echo_v4() {
    const ip_address to = to_v4();
    const auto type = once_in(4) ? icmpv4_type::echo_reply : icmpv4_type::echo_request;
    return frame_v4(to, icmp_packet(from_v4(), to, {.type = type}, some_bytes(below(100))));
  }
  std::string echo_v6() {
    const ip_address to = to_v6();
    const auto type = once_in(4) ? icmpv6_type::echo_reply : icmpv6_type::echo_request;
    return frame_v6(to, with_extensions(from_v6(), to, ip_protocol::icmpv6,
                                        packet_of(icmpv6{.type = type}, some_bytes(below(100)))));
  }

  std::uint32_t some_mtu() {
    constexpr std::array<std::uint32_t, 9> likely{0, 68, 551, 552, 576, 1279, 1280, 1400, 1500};
    return once_in(3) ? below(65'536) : one_of(likely);
  }
  // What a socket has sent, or what none can have.
  std::string quote(ip_family family) {
    const std::string found = sent_.empty() ? "" : sent_[below(static_cast<std::uint32_t>(sent_.size()))];
    if (!found.empty() && is_ipv4(octets(found)[0]) == (family == ip_family::v4) && !once_in(4)) return found;
    if (family == ip_family::v4) return udp_packet({{from_v4(), port()}, {host_v4(1), port()}}, "nobody's");
    const flow where{{once_in(3) ? host_v4(2) : from_v6(), port()}, {once_in(8) ? host_v4(1) : host_v6(1), port()}};
    return ipv6_packet(where.remote.address, where.local.address, ip_protocol::udp, udp_segment(where, "nobody's"));
  }
  std::string error_v4() {
    constexpr std::array<icmpv4_type, 7> types{icmpv4_type::unreachable,   icmpv4_type::unreachable,
                                               icmpv4_type::unreachable,   icmpv4_type::source_quench,
                                               icmpv4_type::time_exceeded, icmpv4_type::parameter_problem,
                                               icmpv4_type::redirect};
    const auto code = static_cast<std::uint8_t>(once_in(2) ? 4 : below(17));
    const std::string quoted = quote(ip_family::v4).substr(0, once_in(4) ? below(40) : 548);
    return frame_v4(host_v4(1), icmp_error(from_v4(), host_v4(1), one_of(types), code, quoted, some_mtu()));
  }
  std::string error_v6() {
    const auto type = static_cast<icmpv6_type>(1 + below(4));
    const std::string quoted = quote(ip_family::v6).substr(0, once_in(4) ? below(60) : 1232);
    const icmpv6 header{
        .type = as<icmpv6_type, 8>(type), .code = static_cast<std::uint8_t>(below(7)), .rest = some_mtu()};
    return frame_v6(host_v6(1), ipv6_packet(from_v6(), host_v6(1), ip_protocol::icmpv6, packet_of(header, quoted)));
  }

  std::string nd_options(nd_option_type type) {
    std::string out;
    for (std::uint32_t left = below(3); left != 0; --left) {
      out += packet_of(nd_link_layer_option{.type = type, .length = once_in(8) ? u<8>(2) : u<8>(1), .mac = any_mac()},
                       once_in(8) ? std::string(8, '\0') : "");
    }
    return out;
  }
  std::string solicitation() {
    const std::array<ip_address, 5> targets{from_v6(), host_v6(1), host_v6(1), our_near_v6(), host_v4(1 + below(3))};
    const ip_address target = one_of(targets);
    const ip_address to = once_in(2) ? target : solicited_node_group(target);
    const neighbour_solicitation message{.target = target.ipv6()};
    const std::string body = packet_of(message, nd_options(nd_option_type::source_link_layer));
    const ip_address from = once_in(8) ? ip_address() : from_v6();
    return frame_v6(to, nearby(from, to, body));
  }
  std::string advertisement() {
    const ip_address to = once_in(3) ? all_nodes_group : host_v6(1), from = from_v6();
    const std::array<ip_address, 3> claimed{host_v6(1), host_v4(1), host_v4(2)};
    const neighbour_advertisement message{.router = u<1>::masked(below(2)),
                                          .solicited = u<1>::masked(below(2)),
                                          .override_flag = u<1>::masked(below(2)),
                                          .target = (once_in(8) ? one_of(claimed) : from).ipv6()};
    return frame_v6(to, nearby(from, to, packet_of(message, nd_options(nd_option_type::target_link_layer))));
  }
  // As RFC 4861 wants it, and at times in a fragment header, which RFC 6980 forbids.
  std::string nearby(const ip_address& from, const ip_address& to, const std::string& body) {
    constexpr std::uint8_t hops = 255;
    const std::string plain = ipv6_packet(from, to, ip_protocol::icmpv6, body, hops);
    if (!once_in(8)) return plain;
    std::string summed = frame_v6(to, plain);
    repair(octets(summed));
    const std::string inner = summed.substr(fixed_size<ethernet> + fixed_size<ipv6>);
    const std::string cut = packet_of(ipv6_fragment{.next_header = ip_protocol::icmpv6}, inner);
    return ipv6_packet(from, to, ip_protocol::fragment, cut, hops);
  }

  std::string igmp_message() {
    const ip_address group = once_in(3) ? ip_address(ipv4_address{}) : group_v4(below(4));
    std::string body;
    const std::uint32_t kind = below(6);
    if (kind < 3) {
      const std::uint32_t sources = once_in(2) ? 0 : below(70);
      const igmpv3_query query{.max_response_code = u<8>::masked(below(256)),
                               .group = group.ipv4(),
                               .robustness = u<3>::masked(below(8)),
                               .sources = u<16>::masked(sources)};
      for (std::uint32_t i = 0; i < sources; ++i) body += packet_of(on_wire{from_v4().ipv4()}, "");
      body = kind == 0 ? packet_of(igmp{.max_response = u<8>::masked(below(2) * below(200)), .group = group.ipv4()}, "")
                       : packet_of(query, body);
    } else {
      constexpr std::array<igmp_type, 4> types{igmp_type::report_v1, igmp_type::report_v2, igmp_type::leave,
                                               igmp_type::report_v3};
      body = packet_of(igmp{.type = as<igmp_type, 8>(one_of(types)), .group = group.ipv4()}, "");
    }
    const ip_address to = once_in(4) ? to_v4() : kind < 3 && group.is_any() ? all_systems_group : group;
    std::string packet = ip_packet(
        {.ttl = 1, .protocol = ip_protocol::igmp, .source = from_v4().ipv4(), .destination = to.ipv4()}, body);
    if (!once_in(4)) add_options(packet);
    return frame_v4(to, packet);
  }

  std::string mld_message() {
    const ip_address group = once_in(3) ? ip_address() : once_in(8) ? group_v4(below(4)) : group_v6(below(4));
    const std::uint32_t kind = below(6);
    std::string body;
    if (kind < 3) {
      const std::uint32_t sources = once_in(2) ? 0 : below(70);
      const mldv2_query query{.max_response_code = u<16>::masked(below(65'536)),
                              .group = group.ipv6(),
                              .robustness = u<3>::masked(below(8)),
                              .sources = u<16>::masked(sources)};
      for (std::uint32_t i = 0; i < sources; ++i) body += packet_of(on_wire_v6{from_v6().ipv6()}, "");
      body = kind == 0 ? packet_of(mld{.max_response = u<16>::masked(below(10'000)), .group = group.ipv6()}, "")
                       : packet_of(query, body);
    } else {
      constexpr std::array<icmpv6_type, 3> types{icmpv6_type::listener_report, icmpv6_type::listener_done,
                                                 icmpv6_type::listener_report_v2};
      body = packet_of(mld{.type = as<icmpv6_type, 8>(one_of(types)), .group = group.ipv6()}, "");
    }
    const std::string alert("\x3a\0\5\2\0\0\1\0", 8);
    const ip_address to = once_in(4) ? to_v6() : kind < 3 && group.is_any() ? all_nodes_group : group;
    const ip_address from = once_in(8) ? from_v6() : near_v6(2 + below(8));
    return frame_v6(to, ipv6_packet(from, to, ip_protocol::hop_by_hop, alert + body, 1));
  }

  // ---- What becomes of them

  void mutate(std::string& frame) {
    constexpr std::array<std::uint16_t, 10> likely{0, 1, 7, 8, 0x7fff, 0x8000, 0x8100, 0xff, 0xfff8, 0xffff};
    const auto size = static_cast<std::uint32_t>(frame.size());
    switch (size < 2 ? 2 : below(8)) {
      case 0:
        frame.resize(below(size + 1));
        return;
      case 1:
        frame.resize(fixed_size<ethernet> + below(size));
        return;
      case 2:
        frame += some_bytes(1 + below(64));
        return;
      case 3: {
        const std::string other = whole();
        const std::uint32_t at = below(size), from = once_in(2) ? at : below(static_cast<std::uint32_t>(other.size()));
        frame = frame.substr(0, at) + (from < other.size() ? other.substr(from) : "");
        return;
      }
      case 4: {
        const std::uint32_t at = below(size - 1);
        const std::uint16_t word = one_of(likely);
        frame[at] = static_cast<char>(word >> 8);
        frame[at + 1] = static_cast<char>(word);
        return;
      }
      case 5:
        frame[below(size)] = static_cast<char>(one_of(likely));
        return;
      default:
        for (std::uint32_t left = 1 + below(8); left != 0; --left)
          frame[below(size)] ^= static_cast<char>(1 << below(8));
    }
  }

  random_source& random_;
  std::vector<std::string> sent_;
};

}  // namespace fastudp::test
