// The link tap:IFNAME: the stack on one end of a TAP interface, the kernel on the other.

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <optional>

#include "base/byte_order.h"
#include "link/intake.h"
#include "link/link.h"
#include "link/own_mac.h"
#include "link/super_packet.h"
#include "link/tap/device.h"
#include "link/uri.h"
#include "link/virtio_header.h"
#include "link/wait_set.h"

namespace fastudp::tap {
namespace {

// Frames cost address space until they are used; sockets may keep most of them.
constexpr std::uint32_t frame_count = 8192;
constexpr std::uint32_t most_queues = 256;  // the driver's
constexpr std::size_t longest_read = virtio_header_length + longest_super_packet;

std::uint32_t frame_size(std::uint32_t mtu) { return (default_headroom + longest_link_header + mtu + 63) / 64 * 64; }

class tap_link final : public link {
 public:
  tap_link(device&& opened, const mac_address& mac, bool joins, std::unique_ptr<pool> frames,
           std::unique_ptr<std::byte[]> room, counters& count)
      : device_(std::move(opened)),
        frames_(std::move(frames)),
        room_(std::move(room)),
        intake_(*frames_, count, true),
        joiner_(joins),
        count_(count) {
    info_ = {.name = name_,
             .mac = mac,
             .mtu = device_.mtu,
             .queues = device_.queue_count,
             .interface = device_.index,
             .lost = lost_frames::unsent};
  }
  ~tap_link() override {
    if (!gone_) forget_agreement(device_);
  }
  status start(std::string_view name, reason& why);

  std::size_t rx_burst(burst& out) override;
  std::size_t tx_burst(const burst& in) override;
  void tx_flush() override {}

  int wait_fd() const override { return watched_ ? watched_->number() : device_.queues[0].number(); }
  bool arm() override;
  bool has_device() const override { return !gone_; }

  const link_info& info() const override { return info_; }
  pool& frames() override { return *frames_; }

 private:
  bool receive_one(int queue, burst& out);
  void accept(packet& p, std::size_t length, burst& out);
  void take(std::size_t length, burst& out);
  bool read_failed();
  int queue_for(std::span<const std::byte> frame) const;
  std::size_t send_joined(std::span<packet* const> frames);
  std::size_t send_one(packet& p);

  device device_;
  std::optional<wait_set> watched_;  // of several queues
  std::unique_ptr<pool> frames_;
  std::unique_ptr<std::byte[]> room_;  // for what is longer than a frame
  intake intake_;
  joiner joiner_;
  counters& count_;
  link_info info_;
  std::uint32_t next_queue_ = 0;  // to receive from first, so that a busy one leaves the others their share
  bool gone_ = false;             // the interface was deleted under us
  char name_[32];
};

status tap_link::start(std::string_view name, reason& why) {
  std::snprintf(name_, sizeof name_, "tap:%.*s", static_cast<int>(name.size()), name.data());
  if (device_.queue_count == 1) return {};
  auto opened = wait_set::open(why);
  if (!opened) return opened.failure();
  watched_.emplace(std::move(*opened));
  for (const descriptor& each : device_.all()) {
    if (auto done = watched_->add(each.number(), why); !done) return done;
  }
  return {};
}

// ---- Receiving

std::size_t tap_link::rx_burst(burst& out) {
  const std::size_t before = out.size();
  if (intake_.is_amid_frame() && !intake_.go_on(out)) return out.size() - before;
  const auto queues = device_.all();
  std::size_t budget = out.room();
  for (std::size_t i = 0; i < queues.size() && budget != 0; ++i) {
    const int queue = queues[(next_queue_ + i) % queues.size()].number();
    while (budget != 0 && out.room() != 0 && receive_one(queue, out)) --budget;
  }
  next_queue_ = static_cast<std::uint32_t>((next_queue_ + 1) % queues.size());
  return out.size() - before;
}

// The virtio-net header comes to stand in the headroom, right before the frame; what doesn't fit there, elsewhere. What
// there is no frame for is read all the same: to be counted, and so that a wait for it doesn't end at once for ever.
bool tap_link::receive_one(int queue, burst& out) {
  packet* p = frames_->take();
  const std::size_t own = p == nullptr ? 0 : virtio_header_length + p->tailroom();
  std::byte* const first = p == nullptr ? room_.get() : p->data() - virtio_header_length;
  const std::array<iovec, 2> parts{{{first, own}, {room_.get() + own, longest_read - own}}};
  const ssize_t n = ::readv(queue, parts.data(), parts.size());
  const std::size_t length = n < 0 ? 0 : static_cast<std::size_t>(n);
  if (length < virtio_header_length) {
    if (p != nullptr) release(p);
    if (n < 0) return read_failed();
    count_.dropped(drop::link_error);
  } else if (p != nullptr && length <= own && segment_size_said_by(first) == 0) {
    accept(*p, length, out);
  } else {
    if (p != nullptr) std::memcpy(room_.get(), first, std::min(own, length)), release(p);
    take(length, out);
  }
  return true;
}

// What is in the room: a super-packet, or what is to be dropped.
void tap_link::take(std::size_t length, burst& out) {
  const std::size_t size = length - virtio_header_length;
  (void)intake_.take(
      {.header = room_.get(), .bytes = {room_.get() + virtio_header_length, size}, .length = size, .tag = {}}, out);
}

void tap_link::accept(packet& p, std::size_t length, burst& out) {
  p.length = static_cast<std::uint32_t>(length - virtio_header_length);
  p.checksum = checksum_said_by(p.data() - virtio_header_length);
  if (info_.carries(p.bytes())) return out.append(&p);
  count_.dropped(drop::link_error);
  release(&p);
}

// Always false: there is no more to read. An interface that was deleted would be readable for ever; a descriptor that
// never is takes the place of each queue, so that whoever waits sleeps.
bool tap_link::read_failed() {
  if (errno == EAGAIN || errno == EINTR || gone_) return false;
  count_.dropped(drop::link_error);
  gone_ = true;
  const descriptor silent(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  for (const descriptor& each : device_.all()) {
    if (watched_) watched_->remove(each.number());
    if (silent) ::dup3(silent.number(), each.number(), O_CLOEXEC);
  }
  return false;
}

// Nothing to arm: the descriptor is readable for as long as a frame waits in the interface.
bool tap_link::arm() {
  if (intake_.is_amid_frame()) return false;
  pollfd self{wait_fd(), POLLIN, 0};
  return ::poll(&self, 1, 0) == 0;
}

// ---- Sending

std::size_t tap_link::tx_burst(const burst& in) {
  joiner::division sizes;
  const auto frames = in.packets();
  const std::size_t count = joiner_.divide(frames, sizes);
  std::size_t taken = 0;
  for (std::size_t i = 0; i < count; taken += sizes[i++]) {
    const auto next = frames.subspan(taken, sizes[i]);
    const std::size_t went = next.size() > 1 ? send_joined(next) : send_one(*next[0]);
    for (packet* p : next.first(went)) release(p);
    if (went != next.size()) return taken + went;
  }
  return taken;
}

// The kernel answers a flow by the queue that it was last heard by: each flow has one.
int tap_link::queue_for(std::span<const std::byte> frame) const {
  const auto queues = device_.all();
  const auto where = queues.size() > 1 ? find_datagram(frame) : datagram_place{};
  std::uint32_t flow = 0;
  if (where.payload != 0) {  // the end of the peer's address, and both ports
    flow = load_network<std::uint32_t>(&frame[where.udp - 4]) ^ load_network<std::uint32_t>(&frame[where.udp]);
    flow = (flow ^ flow >> 16) * 0x9e3779b1;
  }
  return queues[(flow >> 16) % queues.size()].number();
}

// Each of both returns how many frames were taken: none when the interface has no room now.
std::size_t tap_link::send_joined(std::span<packet* const> frames) {
  const auto first = frames[0]->bytes();
  if (!gone_ && info_.carries(first)) {
    std::array<iovec, burst::capacity + 1> parts;
    super_packet whole;
    whole.join(frames, parts.data());
    if (::writev(queue_for(first), parts.data(), static_cast<int>(frames.size() + 1)) >= 0) {
      joiner_.accepted();
      return frames.size();
    }
    if (errno == EAGAIN) return 0;
    joiner_.refused();
  }
  std::size_t went = 0;
  while (went < frames.size() && send_one(*frames[went]) != 0) ++went;
  return went;
}

std::size_t tap_link::send_one(packet& p) {
  const std::array<iovec, 2> parts{{nothing_left_undone(), {p.data(), p.length}}};
  if (!gone_ && info_.carries(p.bytes())) {
    if (::writev(queue_for(p.bytes()), parts.data(), parts.size()) >= 0) return 1;
    if (errno == EAGAIN) return 0;
  }
  count_.dropped(drop::link_error);
  return 1;
}

}  // namespace

// Keys: mac (ours; the kernel's end has one of its own), mtu (of both ends; by default what the interface has), queues,
// segmentation=off.
result<link_ptr> open(uri& where, const link_services& services, reason& why) {
  const auto asked = where.take_mac("mac", why);
  if (!asked) return asked.failure();
  // The range that the driver allows: 68 is IPv4's smallest, 65521 leaves room for an Ethernet header in 64 KiB.
  const auto mtu = where.take_number("mtu", 68, 65521, 0, why);
  if (!mtu) return mtu.failure();
  const auto queues = where.take_number("queues", 1, most_queues, 1, why);
  if (!queues) return queues.failure();
  const auto segmentation = where.take_switch("segmentation", true, why);
  if (!segmentation) return segmentation.failure();
  auto opened = attach(where.device(),
                       {.mtu = static_cast<std::uint32_t>(*mtu),
                        .queues = static_cast<std::uint32_t>(*queues),
                        .segmentation = *segmentation},
                       why);
  if (!opened) return opened.failure();
  const auto mac = own_mac(*asked, opened->kernel_mac, why);
  if (!mac) return mac.failure();
  auto frames = pool::create(frame_count, frame_size(opened->mtu));
  std::unique_ptr<std::byte[]> room(new (std::nothrow) std::byte[longest_read]);
  std::unique_ptr<tap_link> out;
  if (frames && room) {
    out.reset(new (std::nothrow) tap_link(std::move(*opened), *mac, *segmentation, std::move(*frames), std::move(room),
                                          services.count));
  }
  if (!out)
    return why.fail(ENOMEM, "no memory for the frames of tap:%.*s", static_cast<int>(where.device().size()),
                    where.device().data());
  if (auto started = out->start(where.device(), why); !started) return started.failure();
  return link_ptr(std::move(out));
}

}  // namespace fastudp::tap
