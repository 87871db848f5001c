// The link dpdk:PORT: a port of DPDK's, a NIC's or a virtual device's, with an address of our own.
//
// A frame is an mbuf from the port to the user, without a copy: the pool's packets are its mbufs (link/dpdk/plugin.h).

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string_view>

#include "link/dpdk/alarm.h"
#include "link/dpdk/groups.h"
#include "link/dpdk/interface.h"
#include "link/dpdk/port.h"
#include "link/link.h"
#include "link/own_mac.h"
#include "link/uri.h"
#include "link/wait_set.h"

namespace fastudp::dpdk {
namespace {

constexpr std::uint32_t frame_count = 8192 - 512;  // besides those that wait in receive rings
// Drivers with vector instructions take no burst of a few.
constexpr std::uint32_t receive_at_once = 32;
// An mbuf's buffer has at most 64 KiB.
constexpr std::uint32_t most_mtu = 65'279;

// What most drivers demand at least, behind the headroom.
std::uint32_t frame_size(std::uint32_t mtu) {
  const std::uint32_t needed = (longest_link_header + mtu + 63) / 64 * 64;
  return default_headroom + (needed > 2048 ? needed : 2048);
}

pool& pool_at(void* self) { return *static_cast<pool*>(self); }

fastudp_dpdk_pool served_by(pool& frames) {
  static_assert(sizeof(packet) == FASTUDP_DPDK_PACKET);
  return {
      .self = &frames,
      .adopt = [](void* self, void* p,
                  void* buffer) { pool_at(self).adopt(static_cast<packet*>(p), static_cast<std::byte*>(buffer)); },
      .take = [](void* self) -> void* { return pool_at(self).take(); },
      .release = [](void* self, void* p) { pool_at(self).release(static_cast<packet*>(p)); },
      .release_from_any_thread = [](void* self,
                                    void* p) { pool_at(self).release_from_any_thread(static_cast<packet*>(p)); },
      .available =
          [](void* self) {
            pool_at(self).reclaim();
            return pool_at(self).available();
          },
  };
}

checksum_state checksum_said_by(const fastudp_dpdk_frame& f) {
  if (f.checksum == FASTUDP_DPDK_VERIFIED) return checksum_state::verified;
  return f.checksum == FASTUDP_DPDK_PARTIAL ? checksum_state::partial : checksum_state::unknown;
}

fastudp_dpdk_frame as_it_is(packet& p) {
  return {.packet = &p,
          .begin = p.begin,
          .length = p.length,
          .checksum = FASTUDP_DPDK_UNKNOWN,
          .link_header = 0,
          .ip_header = 0};
}

fastudp_dpdk_frame with_sum_undone(packet& p) {
  auto out = as_it_is(p);
  const std::size_t before_ip = link_header_length(p.bytes());
  const bool is_v4 = p.data()[before_ip] >> 4 == std::byte{4};
  out.checksum = FASTUDP_DPDK_PARTIAL;
  out.link_header = static_cast<std::uint8_t>(before_ip);
  out.ip_header = is_v4 ? 20 : 40;
  return out;
}

enum class fate : std::uint8_t { given, copied, refused };

// A burst on its way to the port.
struct outgoing {
  std::array<fastudp_dpdk_frame, burst::capacity> frame;
  std::array<std::uint32_t, burst::capacity> place;  // of each frame in the burst
  std::uint32_t frames = 0;
  std::array<fate, burst::capacity> becomes;  // of each packet of the burst
  std::uint32_t seen = 0;
};

class dpdk_link final : public link {
 public:
  dpdk_link(port&& opened, const link_info& info, bool has_local_senders, bool sums, std::unique_ptr<pool> frames,
            counters& count)
      : frames_(std::move(frames)),
        port_(std::move(opened)),
        info_(info),
        has_local_senders_(has_local_senders),
        sums_(sums),
        count_(count) {
    info_.name = name_;
  }
  ~dpdk_link() override;
  status start(const fastudp_dpdk_start& with, std::string_view device, reason& why);

  std::size_t rx_burst(burst& out) override;
  std::size_t tx_burst(const burst& in) override;
  void tx_flush() override {}

  int wait_fd() const override { return interrupts_ ? interrupts_->number() : alarm_.descriptor_number(); }
  bool arm() override;
  void admit_group(const mac_address& group, bool wanted) override;
  void count_losses() override;
  bool sums_udp() const override { return sums_; }

  const link_info& info() const override { return info_; }
  pool& frames() override { return *frames_; }

 private:
  status watch_interrupts(reason& why);
  bool look();
  bool look_at_next_queue();
  packet* received(const fastudp_dpdk_frame& f);
  bool is_left_to_port(const packet& p) const { return sums_ && p.checksum == checksum_state::partial; }
  packet* to_send(packet* p);
  void prepare(const burst& in, outgoing& out);
  void take_back(outgoing& of, std::uint32_t sent);

  std::unique_ptr<pool> frames_;
  port port_;
  link_info info_;
  bool has_local_senders_;
  descriptor promiscuity_;
  bool sums_;  // the port completes checksums
  counters& count_;
  alarm alarm_;
  std::optional<wait_set> interrupts_;  // of all queues
  std::array<fastudp_dpdk_frame, receive_at_once> got_;
  std::uint32_t got_first_ = 0, got_end_ = 0;
  std::uint32_t next_queue_ = 0;  // each in turn, a burst at a time
  fastudp_dpdk_losses lost_{};
  groups groups_;
  char name_[256];
};

dpdk_link::~dpdk_link() {
  while (port_.is_ours() && got_first_ != got_end_) release(static_cast<packet*>(got_[got_first_++].packet));
  if (!port_.close()) (void)frames_.release();
}

status dpdk_link::start(const fastudp_dpdk_start& with, std::string_view device, reason& why) {
  std::snprintf(name_, sizeof name_, "dpdk:%.*s", static_cast<int>(device.size()), device.data());
  if (auto opened = alarm_.open(); !opened) return why.fail(opened.code(), "timerfd: %s", std::strerror(opened.code()));
  auto wanted = with;
  wanted.pool = served_by(*frames_);
  if (auto started = port_.start(wanted, why); !started) return started;
  if (!with.may_change_mac) promiscuity_ = make_promiscuous(info_.interface);
  lost_ = port_.losses();
  return watch_interrupts(why);
}

// Those of all queues or none: else a queue without one would be looked at when another has spoken, and no sooner. Some
// drivers' are readable while there are frames, some's for good once there were.
status dpdk_link::watch_interrupts(reason& why) {
  for (std::uint32_t i = 0; i != info_.queues; ++i) {
    if (port_.interrupt_fd(i) < 0) return {};
  }
  auto opened = wait_set::open(why);
  if (!opened) return opened.failure();
  interrupts_.emplace(std::move(*opened));
  for (std::uint32_t i = 0; i != info_.queues; ++i) {
    if (auto added = interrupts_->add_edge(port_.interrupt_fd(i), why); !added && added.code() != EEXIST) return added;
  }
  return {};
}

// ---- Receiving

// Whether frames are at hand.
bool dpdk_link::look() {
  if (got_first_ != got_end_) return true;
  for (std::uint32_t i = 0; i != info_.queues; ++i) {
    if (look_at_next_queue()) return true;
  }
  return false;
}

bool dpdk_link::look_at_next_queue() {
  const std::uint32_t queue = next_queue_;
  next_queue_ = queue + 1 != info_.queues ? queue + 1 : 0;
  got_first_ = 0;
  got_end_ = port_.rx_burst(queue, got_.data(), receive_at_once);
  return got_end_ != 0;
}

packet* dpdk_link::received(const fastudp_dpdk_frame& f) {
  auto* p = static_cast<packet*>(f.packet);
  p->begin = f.begin;
  p->length = f.length;
  p->checksum = checksum_said_by(f);
  if (has_local_senders_ && has_partial_checksum(p->bytes())) p->checksum = checksum_state::partial;
  if (info_.carries(p->bytes())) return p;
  count_.dropped(drop::link_error);
  release(p);
  return nullptr;
}

std::size_t dpdk_link::rx_burst(burst& out) {
  const std::size_t before = out.size();
  std::size_t budget = out.room();
  while (budget != 0 && look()) {
    for (; budget != 0 && got_first_ != got_end_; --budget) {
      if (packet* p = received(got_[got_first_++])) out.append(p);
    }
  }
  return out.size() - before;
}

bool dpdk_link::arm() {
  if (interrupts_) port_.arm(), interrupts_->hush();
  if (look()) return alarm_.hasten(), false;
  if (!interrupts_) alarm_.set();
  return true;
}

void dpdk_link::count_losses() {
  const auto now = port_.losses();
  if (now.ring_full > lost_.ring_full) count_.dropped(drop::link_rx_full, now.ring_full - lost_.ring_full);
  if (now.no_frames > lost_.no_frames) count_.dropped(drop::link_no_frame, now.no_frames - lost_.no_frames);
  if (now.errors > lost_.errors) count_.dropped(drop::link_error, now.errors - lost_.errors);
  lost_ = now;
}

// ---- Sending

// Itself, when it is a frame of the port's; else a copy, or null when all frames are out.
packet* dpdk_link::to_send(packet* p) {
  if (p->home == frames_.get()) return p;
  packet* copy = frames_->take();
  if (copy == nullptr) return nullptr;
  copy->length = p->length;
  std::memcpy(copy->data(), p->data(), p->length);
  return copy;
}

void dpdk_link::prepare(const burst& in, outgoing& out) {
  for (packet* p : in.packets()) {
    if (info_.carries(p->bytes())) {
      packet* own = to_send(p);
      if (own == nullptr) return;
      out.place[out.frames] = out.seen;
      out.frame[out.frames++] = is_left_to_port(*p) ? with_sum_undone(*own) : as_it_is(*own);
      out.becomes[out.seen] = own == p ? fate::given : fate::copied;
    } else {
      out.becomes[out.seen] = fate::refused;
    }
    ++out.seen;
  }
}

// What the port didn't take: dropped when that is for want of a cable, or else the caller's again from there on.
void dpdk_link::take_back(outgoing& of, std::uint32_t sent) {
  const bool is_lost = !port_.is_up();
  for (std::uint32_t i = sent; i != of.frames; ++i) {
    if (is_lost) count_.dropped(drop::link_error);
    if (is_lost || of.becomes[of.place[i]] == fate::copied) release(static_cast<packet*>(of.frame[i].packet));
  }
  if (!is_lost) of.seen = of.place[sent];
}

// A packet that was given away may be somebody else's by now, and isn't looked at any more.
std::size_t dpdk_link::tx_burst(const burst& in) {
  outgoing out;
  prepare(in, out);
  const std::uint32_t sent = out.frames != 0 ? port_.tx_burst(out.frame.data(), out.frames) : 0;
  if (sent < out.frames) take_back(out, sent);
  for (std::uint32_t i = 0; i != out.seen; ++i) {
    if (out.becomes[i] == fate::refused) count_.dropped(drop::link_error);
    if (out.becomes[i] != fate::given) release(in.packets()[i]);
  }
  return out.seen;
}

void dpdk_link::admit_group(const mac_address& group, bool wanted) {
  groups_.change(group, wanted);
  port_.admit(groups_.addresses(), groups_.count(), groups_.is_incomplete());
}

// ---- Opening

// Whether the port is an interface of the kernel's as well, which goes on with its own address there.
bool is_shared_with_kernel(const fastudp_dpdk_info& device) {
  const std::string_view driver(device.driver);
  return device.interface != 0 &&
         (driver == "net_tap" || driver == "net_af_packet" || driver == "net_af_xdp" || driver == "net_pcap");
}

result<mac_address> choose_mac(const fastudp_dpdk_info& device, const mac_address& asked, reason& why) {
  mac_address of_device;
  std::memcpy(of_device.bytes.data(), device.mac, sizeof device.mac);
  if (is_shared_with_kernel(device)) return own_mac(asked, of_device, why);
  return asked.is_zero() ? of_device : asked;
}

result<std::uint32_t> choose_mtu(const fastudp_dpdk_info& device, const kernel_interface& kernel, uri& where,
                                 reason& why) {
  const std::uint32_t most = std::min(device.most_mtu, most_mtu),
                      least = std::min(std::max(device.least_mtu, 68u), most);
  const std::uint32_t present = std::clamp(kernel.mtu != 0 ? kernel.mtu : device.mtu, least, most);
  const auto asked = where.take_number("mtu", least, most, present, why);
  if (!asked) return asked.failure();
  return static_cast<std::uint32_t>(*asked);
}

result<std::uint32_t> choose_queues(const fastudp_dpdk_info& device, uri& where, reason& why) {
  const auto asked = where.take_number("queues", 1, FASTUDP_DPDK_QUEUES, 1, why);
  if (!asked) return asked.failure();
  if (*asked <= device.queues) return static_cast<std::uint32_t>(*asked);
  return why.fail(EINVAL, "queues=%u: dpdk:%.*s has %u to receive by", static_cast<unsigned>(*asked),
                  static_cast<int>(where.device().size()), where.device().data(), device.queues);
}

// Checksums by the device, of what comes and of what goes. A port that the kernel has as well does them by software,
// if at all, and slower than we do.
result<bool> choose_offload(const fastudp_dpdk_info& device, uri& where, reason& why) {
  const bool is_demanded = where.has("offload");
  const auto wanted = where.take_switch("offload", !is_shared_with_kernel(device), why);
  if (!wanted || !*wanted || !is_demanded || device.can_sum != 0) return wanted;
  return why.fail(EINVAL, "offload=on: dpdk:%.*s completes no checksums", static_cast<int>(where.device().size()),
                  where.device().data());
}

fastudp_dpdk_start to_start(const fastudp_dpdk_info& device, const link_info& info, bool offload) {
  fastudp_dpdk_start out{};
  out.frames = frame_count;
  out.frame_size = frame_size(info.mtu);
  out.queues = info.queues;
  out.mtu = info.mtu;
  out.has_own_mac = std::memcmp(info.mac.bytes.data(), device.mac, sizeof device.mac) != 0;
  out.may_change_mac = !is_shared_with_kernel(device);
  out.verify_checksums = offload;
  out.sum = offload && device.can_sum != 0;
  std::memcpy(out.mac, info.mac.bytes.data(), sizeof out.mac);
  return out;
}

}  // namespace

// Keys: mac, mtu (by default what the port has), queues, offload, eal.
result<link_ptr> open(uri& where, const link_services& services, reason& why) {
  const auto asked = where.take_mac("mac", why);
  if (!asked) return asked.failure();
  auto opened = port::open(where.device(), where.take("eal").value_or(""), why);
  if (!opened) return opened.failure();
  const auto& device = opened->info();
  const kernel_interface kernel = is_shared_with_kernel(device) ? look_at(device.interface) : kernel_interface{};
  const auto mac = choose_mac(device, *asked, why);
  if (!mac) return mac.failure();
  const auto mtu = choose_mtu(device, kernel, where, why);
  if (!mtu) return mtu.failure();
  const auto queues = choose_queues(device, where, why);
  if (!queues) return queues.failure();
  const auto offload = choose_offload(device, where, why);
  if (!offload) return offload.failure();
  const link_info info{.name = "",
                       .mac = *mac,
                       .mtu = *mtu,
                       .queues = *queues,
                       .interface = device.interface,
                       .stays_with_process = true};
  auto wanted = to_start(device, info, *offload);
  wanted.change_mtu = where.has("mtu") && *mtu != (kernel.mtu != 0 ? kernel.mtu : device.mtu);
  auto frames = pool::create_for_adoption(wanted.frame_size);
  std::unique_ptr<dpdk_link> out;
  if (frames) {
    const bool has_local_senders = kernel.is_virtual && std::string_view(device.driver) != "net_tap";
    out.reset(new (std::nothrow) dpdk_link(std::move(*opened), info, has_local_senders, wanted.sum != 0,
                                           std::move(*frames), services.count));
  }
  if (!out) return why.fail(ENOMEM, "no memory for a port of DPDK's");
  if (auto started = out->start(wanted, where.device(), why); !started) return started.failure();
  return link_ptr(std::move(out));
}

}  // namespace fastudp::dpdk
