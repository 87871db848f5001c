// The link packet:IFNAME: an AF_PACKET socket on an interface that the kernel keeps, with the kernel's addresses or
// with one of our own.
//
// A frame is copied once, from the kernel's ring into a frame of the link's pool, and its slot is given back at once:
// the ring is used in order, so a slot that a slow program held would keep all later ones from the kernel.

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <new>
#include <optional>
#include <span>
#include <variant>

#include "link/intake.h"
#include "link/link.h"
#include "link/own_mac.h"
#include "link/packet/own_filter.h"
#include "link/packet/plan.h"
#include "link/packet/ring.h"
#include "link/packet/socket.h"
#include "link/packet/spare_ends.h"
#include "link/packet/transmitter.h"
#include "link/steering.h"
#include "link/uri.h"

namespace fastudp::af_packet {
namespace {

constexpr std::uint32_t frame_count = 8192;

std::uint32_t frame_size(std::uint32_t mtu) { return (default_headroom + longest_link_header + mtu + 63) / 64 * 64; }

class packet_link final : public link {
 public:
  packet_link(const plan& made_by, descriptor&& socket, ring&& rx, std::optional<transmit_ring>&& tx,
              std::unique_ptr<pool> frames, counters& count)
      : plan_(made_by),
        socket_(std::move(socket)),
        ring_(std::move(rx)),
        transmitter_(socket_.number(), std::move(tx), made_by.joins, count),
        info_(made_by.info),
        frames_(std::move(frames)),
        intake_(*frames_, count, !info_.shared),
        count_(count) {
    std::snprintf(name_, sizeof name_, "packet:%s", plan_.device.name);
    info_.name = name_;
    if (!info_.shared) filter_.emplace(socket_.number(), info_.interface, info_.mac);
  }
  // The socket receives from now on.
  status start(reason& why) { return af_packet::start(socket_.number(), plan_.device, why); }
  void keep(std::unique_ptr<spare_ends> ends) { ends_ = std::move(ends); }

  std::size_t rx_burst(burst& out) override;
  std::size_t tx_burst(const burst& in) override;
  void tx_flush() override {}

  int wait_fd() const override { return socket_.number(); }
  bool arm() override;
  void admit_group(const mac_address& group, bool wanted) override;
  void count_losses() override { count_.dropped(drop::link_rx_full, take_losses(socket_.number())); }
  bool has_device() const override { return has_interface(socket_.number()); }
  status set_ends_aside(reason& why) override;
  result<link_ptr> open_end(unsigned number, counters& count, reason& why) override;
  void close_end(unsigned number) override;

  const link_info& info() const override { return info_; }
  pool& frames() override { return *frames_; }

 private:
  void leave();

  plan plan_;
  descriptor socket_;
  std::optional<own_filter> filter_;  // of an address of our own
  ring ring_;
  transmitter transmitter_;
  link_info info_;
  std::unique_ptr<pool> frames_;
  intake intake_;
  counters& count_;
  std::unique_ptr<spare_ends> ends_;
  char name_[32];
};

std::size_t packet_link::rx_burst(burst& out) {
  const std::size_t before = out.size();
  std::visit([&](auto& from) { intake_.take_all(from, out); }, ring_);
  return out.size() - before;
}

bool packet_link::arm() {
  if (intake_.is_amid_frame() || !std::visit([](const auto& from) { return from.is_empty(); }, ring_)) return false;
  forget_problem(socket_.number());
  return true;
}

void packet_link::admit_group(const mac_address& group, bool wanted) {
  if (filter_) filter_->admit(group, wanted);
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
  const auto filter = claims.attach(device.index, why) ? claims.tap_filter(0) : error{ENOTSUP};
  if (filter && filter_by_program(socket, filter->number(), why)) return true;
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

// The sockets are configured, and have no rings yet; the one to send by is none where the plan has no rings.
result<std::unique_ptr<packet_link>> make_link(const plan& by, descriptor&& socket, descriptor&& sending,
                                               counters& count, reason& why) {
  auto rx = open_ring(by.ring, socket.number(), by.longest(), why);
  if (!rx) return rx.failure();
  std::optional<transmit_ring> tx;
  if (sending) {
    auto opened = transmit_ring::open(std::move(sending), by.longest(), why);
    if (!opened) return opened.failure();
    tx.emplace(std::move(*opened));
  }
  auto frames = pool::create(frame_count, frame_size(by.info.mtu));
  std::unique_ptr<packet_link> out;
  if (frames) {
    out.reset(new (std::nothrow)
                  packet_link(by, std::move(socket), std::move(*rx), std::move(tx), std::move(*frames), count));
  }
  if (!out) return why.fail(ENOMEM, "no memory for the frames of packet:%s", by.device.name);
  return out;
}

status packet_link::set_ends_aside(reason& why) {
  if (!info_.steered) return link::set_ends_aside(why);
  if (ends_) return {};
  auto made = spare_ends::make(plan_, why);
  if (!made) return made.failure();
  ends_ = std::move(*made);
  return {};
}

result<link_ptr> packet_link::open_end(unsigned number, counters& count, reason& why) {
  if (!ends_) return link::open_end(number, count, why);
  auto opened = af_packet::open_end(ends_, number, count, why);
  if (opened) leave();
  return opened;
}

void packet_link::close_end(unsigned number) {
  if (ends_) ends_->put_back(number);
}

// The socket is another process's, and so is its ring.
void packet_link::leave() {
  ring_.emplace<socket_queue>();
  transmitter_.close();
  socket_ = descriptor();
}

result<std::unique_ptr<packet_link>> make_end(const spare_ends& of, unsigned number, counters& count, reason& why) {
  auto sockets = of.take(number, why);
  if (!sockets) return error{sockets.code()};
  return make_link(of.made_by(), std::move(sockets->receiving), std::move(sockets->sending), count, why);
}

// The kernel lets a packet socket's frame be longer than the device's MTU by one tag of 802.1Q, and by no other. Of two
// tags the outer is another.
std::uint32_t most_mtu(const interface_facts& device, uri& where) {
  const auto vlan = where.take("vlan").value_or("");
  return vlan.find('.') == vlan.npos ? device.mtu : device.mtu - 2 * vlan_tag_length;
}

}  // namespace

// Clearing away takes time, and there is only something to clear away where a process was killed.
result<link_ptr> open_end(std::unique_ptr<spare_ends>& of, unsigned number, counters& count, reason& why) {
  auto made = make_end(*of, number, count, why);
  if (made.code() == EBUSY) {
    of->put_back(number);
    made = make_end(*of, number, count, why);
  }
  if (!made) return error{made.code()};
  if (auto started = (*made)->start(why); !started) return started.failure();
  (*made)->keep(std::move(of));
  return link_ptr(std::move(*made));
}

// Keys: ring=v2|v3|off, steer=off, segmentation=off, mac with address. `address` is the stack's to take; here it
// decides whose the MAC is. So is `vlan` the wrapper's.
result<link_ptr> open(uri& where, const link_services& services, reason& why) {
  const auto device = look_up(where.device(), why);
  if (!device) return device.failure();
  const std::uint32_t most = most_mtu(*device, where);
  const auto mtu = where.take_number("mtu", 68, most, most, why);
  if (!mtu) return mtu.failure();
  auto socket = open_socket(*device, why);
  if (!socket) return socket.failure();
  plan by{.device = *device,
          .info = {.name = "",
                   .mac = {},
                   .mtu = static_cast<std::uint32_t>(*mtu),
                   .interface = device->index,
                   .lost = lost_frames::missed},
          .claims = services.claims};
  if (auto done = configure(socket->number(), *device, where, services, by.info, why); !done) return done.failure();
  const auto joins = where.take_switch("segmentation", true, why);
  if (!joins) return joins.failure();
  by.joins = *joins;
  const auto kind = where.take("ring").value_or(by.ring);
  by.ring[kind.substr(0, sizeof by.ring - 1).copy(by.ring, sizeof by.ring - 1)] = '\0';
  descriptor sending;
  if (by.has_rings()) {
    auto opened = open_to_send(*device, why);
    if (!opened) return opened.failure();
    sending = std::move(*opened);
  }
  auto made = make_link(by, std::move(*socket), std::move(sending), services.count, why);
  if (!made) return made.failure();
  if (auto started = (*made)->start(why); !started) return started.failure();
  return link_ptr(std::move(*made));
}

}  // namespace fastudp::af_packet
