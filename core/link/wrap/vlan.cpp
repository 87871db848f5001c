#include "link/wrap/vlan.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/byte_order.h"

namespace fastudp::wrap {
namespace {

constexpr std::uint16_t customer_type = 0x8100, service_type = 0x88a8;  // 802.1Q, 802.1ad
constexpr std::uint16_t vid_bits = 0x0fff, last_vid = 4094;
constexpr unsigned priority_shift = 13;
constexpr std::uint32_t addresses = 12;  // what stands before a tag

// ---- Keys

int width(std::string_view text) { return static_cast<int>(std::min<std::size_t>(text.size(), 64)); }

error bad(reason& why, std::string_view key, std::string_view value, const char* wanted) {
  return why.fail(EINVAL, "%.*s=%.*s: %s", width(key), key.data(), width(value), value.data(), wanted);
}

// 0: not a VID.
std::uint16_t vid_of(std::string_view digits) {
  std::uint16_t out = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  const bool whole = problem == std::errc{} && end == digits.data() + digits.size();
  return whole && out <= last_vid ? out : std::uint16_t{0};
}

status read_list(std::string_view text, vlan_membership& out, reason& why) {
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    const auto vid = vid_of(text.substr(at, end - at));
    if (vid == 0) return bad(why, "vlan", text, "VIDs from 1 to 4094 are needed: 100, or 100,200 for a trunk");
    if (out.first == 0) out.first = vid;
    out.members[vid] = true;
    at = end + 1;
  }
  return {};
}

status read_vids(std::string_view text, vlan_membership& out, reason& why) {
  const auto point = text.find('.');
  if (point == text.npos) return read_list(text, out, why);
  out.customer = vid_of(text.substr(point + 1));
  if (out.customer == 0) return bad(why, "vlan", text, "of OUTER.INNER both are VIDs from 1 to 4094, as in 10.100");
  return read_list(text.substr(0, point), out, why);
}

status read_native(std::string_view text, vlan_membership& out, reason& why) {
  out.native = vid_of(text);
  if (out.native != 0 && out.members[out.native]) return {};
  return bad(why, "vlan_native", text, "one of the VIDs that vlan= lists is needed");
}

status apply_mode(std::string_view mode, std::string_view vids, vlan_membership& out, reason& why) {
  if (mode != "tagged" && mode != "access" && mode != "trunk")
    return bad(why, "vlan_mode", mode, "tagged, access or trunk is needed");
  if (mode != "tagged" && out.customer != 0) return bad(why, "vlan", vids, "two tags are for vlan_mode=tagged");
  if (mode != "trunk" && out.has_several()) return bad(why, "vlan", vids, "a list of VIDs is for vlan_mode=trunk");
  if (mode == "access") out.native = out.first;
  return {};
}

// ---- Tags

mac_address mac_at(const std::byte* at) {
  mac_address out;
  std::memcpy(out.bytes.data(), at, out.bytes.size());
  return out;
}

std::optional<std::uint16_t> tagged_with(packet& p, std::uint16_t type) {
  if (p.length < ethernet_header_length + vlan_tag_length) return std::nullopt;
  if (load_network<std::uint16_t>(p.data() + addresses) != type) return std::nullopt;
  return load_network<std::uint16_t>(p.data() + addresses + sizeof type) & vid_bits;
}

void push_tag(packet& p, std::uint16_t type, std::uint16_t vid) {
  std::byte* at = p.insert(addresses, vlan_tag_length);
  store_network(at, type);
  store_network(at + sizeof type, static_cast<std::uint16_t>(p.priority << priority_shift | vid));
}

// Frames begin with headroom; those of a program's own making may not.
bool has_headroom(packet& p, std::uint32_t size) {
  if (p.headroom() >= size) return true;
  if (p.tailroom() < size) return false;
  std::memmove(p.data() + size, p.data(), p.length);
  p.begin += size;
  return true;
}

}  // namespace

result<vlan_membership> take_vlans(uri& where, reason& why) {
  vlan_membership out;
  const auto vids = where.take("vlan"), mode = where.take("vlan_mode"), native = where.take("vlan_native");
  if (!vids && !mode && !native) return out;
  if (!vids) return why.fail(EINVAL, "vlan_mode= and vlan_native= need vlan=VID, which says the VLAN");
  if (auto read = read_vids(*vids, out, why); !read) return read.failure();
  if (auto applied = apply_mode(mode.value_or("tagged"), *vids, out, why); !applied) return applied.failure();
  if (!native) return out;
  if (mode != "trunk") return bad(why, "vlan_native", *native, "only vlan_mode=trunk has a native VLAN");
  if (auto read = read_native(*native, out, why); !read) return read.failure();
  return out;
}

std::size_t vlan_link::rx_burst(burst& out) {
  const std::size_t before = out.size();
  burst heard;
  heard.limit_to(out.room());
  inner().rx_burst(heard);
  for (packet* p : heard.packets()) {
    if (enter(*p)) {
      out.append(p);
    } else {
      count_.dropped(drop::vlan);
      release(p);
    }
  }
  heard.forget_all();
  return out.size() - before;
}

// Takes the tags off a frame of our VLANs. The VID 0 is no VLAN (802.1Q 9.6): the tag says a priority alone.
bool vlan_link::enter(packet& p) {
  const auto tag = tagged_with(p, in_.customer != 0 ? service_type : customer_type);
  const std::uint16_t vid = tag && *tag != 0 ? *tag : in_.native;
  if (!in_.members[vid]) return false;
  if (tag) p.remove(addresses, vlan_tag_length);
  if (in_.customer != 0) {
    if (tagged_with(p, customer_type) != in_.customer) return false;
    p.remove(addresses, vlan_tag_length);
  }
  if (several_ && p.length >= ethernet_header_length) memory_.heard(mac_at(p.data() + sizeof(mac_address)), vid);
  return true;
}

std::uint16_t vlan_link::vid_towards(packet& p) const {
  return several_ ? memory_.vid_of(mac_at(p.data())).value_or(in_.first) : in_.first;
}

// What is no frame is the inner link's to refuse; a frame that there is no room to tag becomes such.
void vlan_link::tag(packet& p) const {
  if (p.length < ethernet_header_length) return;
  const auto vid = vid_towards(p);
  const std::uint32_t size = in_.tag_size(vid);
  if (size == 0) return;
  if (!has_headroom(p, size)) {
    p.length = 0;
    return;
  }
  if (in_.customer != 0) push_tag(p, customer_type, in_.customer);
  push_tag(p, in_.customer != 0 ? service_type : customer_type, vid);
}

void vlan_link::untag(packet& p) const {
  if (p.length < ethernet_header_length) return;
  const std::uint32_t size = in_.tag_size(vid_towards(p));
  if (size != 0) p.remove(addresses, size);
}

std::size_t vlan_link::tx_burst(const burst& in) {
  for (packet* p : in.packets()) tag(*p);
  const std::size_t taken = inner().tx_burst(in);
  for (packet* p : in.packets().subspan(taken)) untag(*p);
  return taken;
}

}  // namespace fastudp::wrap
