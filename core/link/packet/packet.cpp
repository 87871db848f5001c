// The link packet:IFNAME: an AF_PACKET socket on an interface that the kernel keeps, with the kernel's addresses or
// with one of our own.
//
// A frame is copied once, from the kernel's ring into a frame of the link's pool, and its slot is given back at once:
// the ring is used in order, so a slot that a slow program held would keep all later ones from the kernel.

#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <optional>

#include "link/link.h"
#include "link/own_mac.h"
#include "link/packet/block_ring.h"
#include "link/packet/ring.h"
#include "link/packet/segments.h"
#include "link/packet/socket.h"
#include "link/steering.h"
#include "link/uri.h"

namespace fastudp::af_packet {
namespace {

constexpr std::uint32_t frame_count = 8192, ring_slots = 4096;
constexpr std::size_t longest_frame = 65'536 + longest_link_header;
// The losses of the ring are asked for this often, in calls that found it empty.
constexpr unsigned looks_between_statistics = 1024;

// Of the virtio-net header (virtio 1.2, 5.1.6): flags at 0, the kind of super-packet at 1, its segments' size at 4.
constexpr std::byte needs_checksum{1}, checksum_valid{2};

checksum_state said_of_checksum(const received_frame& f) {
  if ((f.header[0] & needs_checksum) != std::byte{}) return checksum_state::partial;
  if ((f.header[0] & checksum_valid) != std::byte{}) return checksum_state::verified;
  if ((f.status & TP_STATUS_CSUMNOTREADY) != 0) return checksum_state::partial;
  return (f.status & TP_STATUS_CSUM_VALID) != 0 ? checksum_state::verified : checksum_state::unknown;
}

std::uint32_t segment_size(const received_frame& f) {
  std::uint16_t size;
  std::memcpy(&size, f.header.data() + 4, sizeof size);
  return f.header[1] != std::byte{} ? size : 0;
}

std::uint32_t frame_size(std::uint32_t mtu) { return (default_headroom + longest_link_header + mtu + 63) / 64 * 64; }

// The mapped receive ring, of one kind or the other, or none.
struct rings {
  std::optional<ring> slots;
  std::optional<block_ring> blocks;

  bool are_used() const { return slots || blocks; }
  bool front(received_frame& out) { return slots ? slots->front(out) : blocks->front(out); }
  void give_back() { slots ? slots->give_back() : blocks->give_back(); }
};

class packet_link final : public link {
 public:
  packet_link(descriptor&& socket, rings&& rx, const link_info& info, std::unique_ptr<pool> frames,
              std::unique_ptr<std::byte[]> large, counters& count)
      : socket_(std::move(socket)),
        rings_(std::move(rx)),
        info_(info),
        frames_(std::move(frames)),
        large_(std::move(large)),
        count_(count) {
    info_.name = name_;
  }
  void set_name(const char* interface) { std::snprintf(name_, sizeof name_, "packet:%s", interface); }

  std::size_t rx_burst(burst& out) override;
  std::size_t tx_burst(const burst& in) override;
  void tx_flush() override {}

  int wait_fd() const override { return socket_.number(); }
  bool arm() override;

  const link_info& info() const override { return info_; }
  pool& frames() override { return *frames_; }

 private:
  bool receive_from_ring(burst& out);
  bool receive_plain(burst& out);
  void take(const received_frame& f, burst& out);
  void take_whole(const received_frame& f, burst& out);
  void take_pieces(burst& out);
  bool read_large(received_frame& f);
  packet* make_room();
  void ask_for_losses();

  descriptor socket_;
  rings rings_;
  link_info info_;
  std::unique_ptr<pool> frames_;
  // A super-packet that is being cut up, or a frame that is read without a ring: header and bytes.
  std::unique_ptr<std::byte[]> large_;
  std::optional<segments> pieces_;
  std::size_t next_piece_ = 0;
  counters& count_;
  unsigned empty_looks_ = 0;
  char name_[32];
};

std::size_t packet_link::rx_burst(burst& out) {
  const std::size_t before = out.size();
  if (pieces_) take_pieces(out);
  for (std::size_t budget = out.room(); budget != 0 && out.room() != 0; --budget) {
    if (!(rings_.are_used() ? receive_from_ring(out) : receive_plain(out))) break;
  }
  if (out.size() == before && ++empty_looks_ % looks_between_statistics == 0) ask_for_losses();
  return out.size() - before;
}

bool packet_link::receive_from_ring(burst& out) {
  received_frame f;
  if (!rings_.front(f)) return false;
  const bool is_cut = f.length > f.bytes.size();
  if (is_cut) {
    // What doesn't fit into a slot came whole by the socket's queue, in the same order.
    const bool is_there = (f.status & TP_STATUS_COPY) != 0 && read_large(f);
    rings_.give_back();
    if (is_there) {
      take(f, out);
    } else {
      count_.dropped(drop::link_rx_full);
    }
    return true;
  }
  take(f, out);
  rings_.give_back();
  return true;
}

// Reads header and frame; what the ring has said of the frame otherwise stays.
bool packet_link::read_large(received_frame& f) {
  const ssize_t size = ::recv(socket_.number(), large_.get(), virtio_header_length + longest_frame, MSG_DONTWAIT);
  if (size < static_cast<ssize_t>(virtio_header_length)) return false;
  f.header = {large_.get(), virtio_header_length};
  f.bytes = {large_.get() + virtio_header_length, static_cast<std::size_t>(size) - virtio_header_length};
  f.length = static_cast<std::uint32_t>(f.bytes.size());
  return true;
}

bool packet_link::receive_plain(burst& out) {
  iovec room{large_.get(), virtio_header_length + longest_frame};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(tpacket_auxdata))];
  msghdr header{};
  header.msg_iov = &room;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(socket_.number(), &header, MSG_DONTWAIT);
  if (size < static_cast<ssize_t>(virtio_header_length)) return false;
  received_frame f;
  f.header = {large_.get(), virtio_header_length};
  f.bytes = {large_.get() + virtio_header_length, static_cast<std::size_t>(size) - virtio_header_length};
  f.length = static_cast<std::uint32_t>(f.bytes.size());
  if (const cmsghdr* said = CMSG_FIRSTHDR(&header); said != nullptr && said->cmsg_type == PACKET_AUXDATA) {
    tpacket_auxdata facts;
    std::memcpy(&facts, CMSG_DATA(said), sizeof facts);
    f.status = facts.tp_status;
    f.vlan_tci = facts.tp_vlan_tci;
    f.vlan_tpid = facts.tp_vlan_tpid;
  }
  take(f, out);
  return true;
}

void packet_link::take(const received_frame& f, burst& out) {
  const std::uint32_t each = segment_size(f);
  if (each == 0) return take_whole(f, out);
  if (f.bytes.data() != large_.get() + virtio_header_length) {  // it fitted into a slot, which is given back now
    std::memcpy(large_.get() + virtio_header_length, f.bytes.data(), f.bytes.size());
  }
  pieces_.emplace(std::span<const std::byte>(large_.get() + virtio_header_length, f.bytes.size()), each);
  next_piece_ = 0;
  if (pieces_->is_whole()) {
    pieces_.reset();
    return take_whole(f, out);
  }
  take_pieces(out);
}

packet* packet_link::make_room() {
  packet* p = frames_->take();
  if (p == nullptr) count_.dropped(drop::no_memory);
  return p;
}

void packet_link::take_whole(const received_frame& f, burst& out) {
  const bool is_tagged = (f.status & TP_STATUS_VLAN_VALID) != 0;
  const std::size_t tag = is_tagged ? vlan_tag_length : 0;
  packet* p = make_room();
  if (p == nullptr) return;
  if (f.bytes.size() < ethernet_header_length || f.bytes.size() + tag > p->tailroom()) {
    count_.dropped(drop::link_error);
    return release(p);
  }
  // The device or the kernel has taken the tag out of the frame; here it stands where it was on the wire.
  constexpr std::size_t addresses = 12;
  std::memcpy(p->data(), f.bytes.data(), addresses);
  if (is_tagged) {
    const std::uint16_t type = (f.status & TP_STATUS_VLAN_TPID_VALID) != 0 ? f.vlan_tpid : 0x8100;
    const std::array<std::uint8_t, 4> bytes{static_cast<std::uint8_t>(type >> 8), static_cast<std::uint8_t>(type),
                                            static_cast<std::uint8_t>(f.vlan_tci >> 8),
                                            static_cast<std::uint8_t>(f.vlan_tci)};
    std::memcpy(p->data() + addresses, bytes.data(), bytes.size());
  }
  std::memcpy(p->data() + addresses + tag, f.bytes.data() + addresses, f.bytes.size() - addresses);
  p->length = static_cast<std::uint32_t>(f.bytes.size() + tag);
  p->checksum = said_of_checksum(f);
  out.append(p);
}

void packet_link::take_pieces(burst& out) {
  for (; next_piece_ < pieces_->count() && out.room() != 0; ++next_piece_) {
    packet* p = make_room();
    if (p == nullptr) continue;
    if (pieces_->room_needed() > p->tailroom()) {
      count_.dropped(drop::link_error);
      release(p);
      continue;
    }
    p->length = static_cast<std::uint32_t>(pieces_->write(next_piece_, {p->data(), p->tailroom()}));
    p->checksum = checksum_state::verified;  // the kernel that made it vouches for it
    out.append(p);
  }
  if (next_piece_ == pieces_->count()) pieces_.reset();
}

bool packet_link::arm() {
  received_frame f;
  if (pieces_ || (rings_.are_used() && rings_.front(f))) return false;
  if (rings_.are_used()) return true;
  pollfd self{socket_.number(), POLLIN, 0};
  return ::poll(&self, 1, 0) == 0;
}

void packet_link::ask_for_losses() {
  tpacket_stats lost{};
  socklen_t size = sizeof lost;
  if (::getsockopt(socket_.number(), SOL_PACKET, PACKET_STATISTICS, &lost, &size) != 0 || lost.tp_drops == 0) return;
  count_.dropped(drop::link_rx_full, lost.tp_drops);
}

// One system call for the burst. A mapped transmit ring whose frames go without a copy isn't faster: over a veth cable,
// in turns, 0.89 to 0.97 times the rate of this for bursts of 1, 8 and 64 frames of 106 and 1042 bytes.
std::size_t packet_link::tx_burst(const burst& in) {
  static constexpr std::array<std::byte, virtio_header_length> nothing_left_undone{};
  std::array<mmsghdr, burst::capacity> calls;
  std::array<std::array<iovec, 2>, burst::capacity> parts;
  std::size_t count = 0;
  for (packet* p : in.packets()) {
    if (!info_.carries(p->bytes())) {
      count_.dropped(drop::link_error);
      continue;
    }
    parts[count] = {iovec{const_cast<std::byte*>(nothing_left_undone.data()), nothing_left_undone.size()},
                    iovec{p->data(), p->length}};
    calls[count] = {};
    calls[count].msg_hdr.msg_iov = parts[count].data();
    calls[count].msg_hdr.msg_iovlen = 2;
    ++count;
  }
  std::size_t sent = 0;
  while (sent < count) {
    const int went = ::sendmmsg(socket_.number(), &calls[sent], static_cast<unsigned>(count - sent), MSG_DONTWAIT);
    if (went > 0) {
      sent += static_cast<std::size_t>(went);
      continue;
    }
    // A full device, or one that is down, loses what it is given, as it does with the kernel's own.
    count_.dropped(errno == ENOBUFS || errno == EAGAIN ? drop::link_tx_full : drop::link_error);
    ++sent;
  }
  for (packet* p : in.packets()) release(p);
  return in.size();
}

bool attach(steering& claims, int socket, const interface_facts& device, const link_services& services) {
  reason why;
  if (claims.attach(device.index, why) && filter_by_program(socket, claims.tap_filter(), why)) return true;
  if (services.why_not_steered != nullptr) *services.why_not_steered = why;
  return false;
}

// What comes in, and whose address it is.
status configure(int socket, const interface_facts& device, uri& where, const link_services& services, link_info& info,
                 reason& why) {
  const auto asked = where.take_mac("mac", why);
  if (!asked) return asked.failure();
  const auto may_steer = where.take_switch("steer", true, why);
  if (!may_steer) return may_steer.failure();
  if (where.has("address")) {
    const auto mac = own_mac(*asked, device.mac, why);
    if (!mac) return mac.failure();
    info.mac = *mac;
    if (auto filtered = filter_own(socket, info.mac, why); !filtered) return filtered;
    return receive_for(socket, device, info.mac, why);
  }
  if (!asked->is_zero())
    return why.fail(EINVAL, "mac= needs address=: the host's addresses have the interface's own MAC");
  info.mac = device.mac;
  info.shared = true;
  info.steered = *may_steer && services.claims != nullptr && attach(*services.claims, socket, device, services);
  return info.steered ? status{} : filter_shared(socket, why);
}

result<rings> open_rings(int socket, uri& where, std::uint32_t mtu, reason& why) {
  rings out;
  const auto kind = where.take("ring").value_or("v2");
  if (kind == "off") {
    const int on = 1;
    (void)::setsockopt(socket, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on);
    return out;
  }
  if (kind == "v3") {
    auto made = block_ring::open(socket, why);
    if (!made) return made.failure();
    out.blocks = std::move(*made);
    return out;
  }
  if (kind != "v2") {
    return why.fail(EINVAL, "ring=%.*s: write v2, v3 or off", static_cast<int>(kind.size()), kind.data());
  }
  const int longest = static_cast<int>(longest_frame);
  (void)::setsockopt(socket, SOL_PACKET, PACKET_COPY_THRESH, &longest, sizeof longest);
  auto made = ring::open(socket, mtu + longest_link_header, ring_slots, why);
  if (!made) return made.failure();
  out.slots = std::move(*made);
  return out;
}

}  // namespace

// Keys: ring=v2|v3|off, steer=off, mac with address. `address` is the stack's to take; here it decides whose the MAC
// is.
result<link_ptr> open(uri& where, const link_services& services, reason& why) {
  const auto device = look_up(where.device(), why);
  if (!device) return device.failure();
  const auto mtu = where.take_number("mtu", 68, device->mtu, device->mtu, why);
  if (!mtu) return mtu.failure();
  auto socket = open_socket(*device, why);
  if (!socket) return socket.failure();
  link_info info{.name = "", .mac = {}, .mtu = static_cast<std::uint32_t>(*mtu), .interface = device->index};
  if (auto done = configure(socket->number(), *device, where, services, info, why); !done) return done.failure();
  auto rx = open_rings(socket->number(), where, info.mtu, why);
  if (!rx) return rx.failure();
  auto frames = pool::create(frame_count, frame_size(info.mtu));
  std::unique_ptr<std::byte[]> large(new (std::nothrow) std::byte[virtio_header_length + longest_frame]);
  std::unique_ptr<packet_link> out;
  const int number = socket->number();
  if (frames && large != nullptr) {
    out.reset(new (std::nothrow) packet_link(std::move(*socket), std::move(*rx), info, std::move(*frames),
                                             std::move(large), services.count));
  }
  if (!out) return why.fail(ENOMEM, "no memory for the frames of packet:%s", device->name);
  out->set_name(device->name);
  if (auto started = start(number, *device, why); !started) return started.failure();
  return link_ptr(std::move(out));
}

}  // namespace fastudp::af_packet
