// The link packet:IFNAME: an AF_PACKET socket on an interface that the kernel keeps, with the kernel's addresses or
// with one of our own.
//
// A frame is copied once, from the kernel's ring into a frame of the link's pool, and its slot is given back at once:
// the ring is used in order, so a slot that a slow program held would keep all later ones from the kernel.

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <new>
#include <optional>
#include <span>
#include <variant>

#include "link/link.h"
#include "link/own_mac.h"
#include "link/packet/intake.h"
#include "link/packet/own_filter.h"
#include "link/packet/ring.h"
#include "link/packet/socket.h"
#include "link/packet/transmitter.h"
#include "link/steering.h"
#include "link/uri.h"

namespace fastudp::af_packet {
namespace {

constexpr std::uint32_t frame_count = 8192;
// The losses of the ring are asked for this often, in calls that found it empty.
constexpr unsigned looks_between_statistics = 1024;

std::uint32_t frame_size(std::uint32_t mtu) { return (default_headroom + longest_link_header + mtu + 63) / 64 * 64; }

class packet_link final : public link {
 public:
  packet_link(descriptor&& socket, ring&& rx, std::optional<transmit_ring>&& tx, const link_info& info,
              std::unique_ptr<pool> frames, counters& count)
      : socket_(std::move(socket)),
        ring_(std::move(rx)),
        transmitter_(socket_.number(), std::move(tx), count),
        info_(info),
        frames_(std::move(frames)),
        intake_(*frames_, count, !info.shared),
        count_(count) {
    info_.name = name_;
    if (!info.shared) filter_.emplace(socket_.number(), info.interface, info.mac);
  }
  void set_name(const char* interface) { std::snprintf(name_, sizeof name_, "packet:%s", interface); }

  std::size_t rx_burst(burst& out) override;
  std::size_t tx_burst(const burst& in) override;
  void tx_flush() override {}

  int wait_fd() const override { return socket_.number(); }
  bool arm() override;
  void admit_group(const mac_address& group, bool wanted) override;

  const link_info& info() const override { return info_; }
  pool& frames() override { return *frames_; }

 private:
  template <typename Kind>
  void receive(Kind& from, burst& out);
  void ask_for_losses();

  descriptor socket_;
  std::optional<own_filter> filter_;  // of an address of our own
  ring ring_;
  transmitter transmitter_;
  link_info info_;
  std::unique_ptr<pool> frames_;
  intake intake_;
  counters& count_;
  unsigned empty_looks_ = 0;
  char name_[32];
};

std::size_t packet_link::rx_burst(burst& out) {
  const std::size_t before = out.size();
  std::visit([&](auto& from) { receive(from, out); }, ring_);
  if (out.size() == before && ++empty_looks_ % looks_between_statistics == 0) ask_for_losses();
  return out.size() - before;
}

template <typename Kind>
void packet_link::receive(Kind& from, burst& out) {
  if (intake_.is_amid_frame()) {
    if (!intake_.go_on(out)) return;
    from.give_back();
  }
  received_frame f;
  for (std::size_t budget = out.room(); budget != 0 && out.room() != 0 && from.next(f); --budget) {
    if (!intake_.take(f, out)) return;
    from.give_back();
  }
}

bool packet_link::arm() {
  if (intake_.is_amid_frame() || !std::visit([](const auto& from) { return from.is_empty(); }, ring_)) return false;
  // That the interface was down makes the descriptor readable until somebody asks why.
  int problem;
  socklen_t size = sizeof problem;
  (void)::getsockopt(socket_.number(), SOL_SOCKET, SO_ERROR, &problem, &size);
  return true;
}

void packet_link::admit_group(const mac_address& group, bool wanted) {
  if (filter_) filter_->admit(group, wanted);
}

void packet_link::ask_for_losses() {
  tpacket_stats lost{};
  socklen_t size = sizeof lost;
  if (::getsockopt(socket_.number(), SOL_PACKET, PACKET_STATISTICS, &lost, &size) != 0 || lost.tp_drops == 0) return;
  count_.dropped(drop::link_rx_full, lost.tp_drops);
}

std::size_t packet_link::tx_burst(const burst& in) {
  std::array<packet*, burst::capacity> frames;
  std::size_t count = 0;
  for (packet* p : in.packets()) {
    if (info_.carries(p->bytes())) {
      frames[count++] = p;
    } else {
      count_.dropped(drop::link_error);
    }
  }
  if (count != 0) transmitter_.send({frames.data(), count});
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
    if (auto filtered = own_filter(socket, device.index, info.mac).attach(why); !filtered) return filtered;
    return receive_for(socket, device, info.mac, why);
  }
  if (!asked->is_zero())
    return why.fail(EINVAL, "mac= needs address=: the host's addresses have the interface's own MAC");
  info.mac = device.mac;
  info.shared = true;
  info.steered = *may_steer && services.claims != nullptr && attach(*services.claims, socket, device, services);
  return info.steered ? status{} : filter_shared(socket, why);
}

result<std::optional<transmit_ring>> open_transmit_ring(std::string_view kind, const interface_facts& device,
                                                        std::uint32_t frame, reason& why) {
  if (kind == "off") return std::optional<transmit_ring>();
  auto opened = transmit_ring::open(device, frame, why);
  if (!opened) return opened.failure();
  return std::optional<transmit_ring>(std::move(*opened));
}

// The kernel lets a packet socket's frame be longer than the device's MTU by one tag of 802.1Q, and by no other. Of two
// tags the outer is another.
std::uint32_t most_mtu(const interface_facts& device, uri& where) {
  const auto vlan = where.take("vlan").value_or("");
  return vlan.find('.') == vlan.npos ? device.mtu : device.mtu - 2 * vlan_tag_length;
}

}  // namespace

// Keys: ring=v2|v3|off, steer=off, mac with address. `address` is the stack's to take; here it decides whose the MAC
// is. So is `vlan` the wrapper's.
result<link_ptr> open(uri& where, const link_services& services, reason& why) {
  const auto device = look_up(where.device(), why);
  if (!device) return device.failure();
  const std::uint32_t most = most_mtu(*device, where);
  const auto mtu = where.take_number("mtu", 68, most, most, why);
  if (!mtu) return mtu.failure();
  auto socket = open_socket(*device, why);
  if (!socket) return socket.failure();
  link_info info{.name = "", .mac = {}, .mtu = static_cast<std::uint32_t>(*mtu), .interface = device->index};
  if (auto done = configure(socket->number(), *device, where, services, info, why); !done) return done.failure();
  const auto kind = where.take("ring").value_or("v2");
  auto rx = open_ring(kind, socket->number(), info.mtu + longest_link_header, why);
  if (!rx) return rx.failure();
  auto tx = open_transmit_ring(kind, *device, info.mtu + longest_link_header, why);
  if (!tx) return tx.failure();
  auto frames = pool::create(frame_count, frame_size(info.mtu));
  std::unique_ptr<packet_link> out;
  const int number = socket->number();
  if (frames) {
    out.reset(new (std::nothrow) packet_link(std::move(*socket), std::move(*rx), std::move(*tx), info,
                                             std::move(*frames), services.count));
  }
  if (!out) return why.fail(ENOMEM, "no memory for the frames of packet:%s", device->name);
  out->set_name(device->name);
  if (auto started = start(number, *device, why); !started) return started.failure();
  return link_ptr(std::move(out));
}

}  // namespace fastudp::af_packet
