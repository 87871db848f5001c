// The link tap:IFNAME: the stack on one end of a TAP interface, the kernel on the other.

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "link/link.h"
#include "link/own_mac.h"
#include "link/tap/device.h"
#include "link/uri.h"
#include "link/virtio_header.h"

namespace fastudp::tap {
namespace {

// Frames cost address space until they are used; sockets may keep most of them.
constexpr std::uint32_t frame_count = 8192;

// One byte more than the longest frame: a read cuts what is longer without a word, and so shows it.
std::uint32_t frame_size(std::uint32_t mtu) {
  return (default_headroom + longest_link_header + mtu + 1 + 63) / 64 * 64;
}

class tap_link final : public link {
 public:
  tap_link(device&& opened, const mac_address& mac, std::unique_ptr<pool> frames, counters& count)
      : file_(std::move(opened.file)), frames_(std::move(frames)), count_(count) {
    info_ = {.name = name_, .mac = mac, .mtu = opened.mtu, .interface = opened.index};
  }
  void set_name(std::string_view name) {
    std::snprintf(name_, sizeof name_, "tap:%.*s", static_cast<int>(name.size()), name.data());
  }

  std::size_t rx_burst(burst& out) override;
  std::size_t tx_burst(const burst& in) override;
  void tx_flush() override {}

  int wait_fd() const override { return file_.number(); }
  bool arm() override;
  bool has_device() const override { return !gone_; }

  const link_info& info() const override { return info_; }
  pool& frames() override { return *frames_; }

 private:
  bool receive_one(burst& out);
  bool discard_one();
  bool read_failed();
  bool accept(packet& p, std::size_t length);
  bool transmit(packet& p);

  descriptor file_;
  std::unique_ptr<pool> frames_;
  counters& count_;
  link_info info_;
  bool gone_ = false;  // the interface was deleted under us
  char name_[32];
};

std::size_t tap_link::rx_burst(burst& out) {
  const std::size_t before = out.size();
  for (std::size_t budget = out.room(); budget != 0 && receive_one(out); --budget) {
  }
  return out.size() - before;
}

// The virtio-net header comes to stand in the headroom, right before the frame.
bool tap_link::receive_one(burst& out) {
  packet* p = frames_->take();
  if (p == nullptr) return discard_one();
  std::byte* to = p->data() - virtio_header_length;
  const ssize_t n = ::read(file_.number(), to, virtio_header_length + p->tailroom());
  if (n >= 0 && accept(*p, static_cast<std::size_t>(n))) {
    out.append(p);
    return true;
  }
  release(p);
  return n >= 0 || read_failed();
}

bool tap_link::accept(packet& p, std::size_t length) {
  if (length >= virtio_header_length) {
    p.length = static_cast<std::uint32_t>(length - virtio_header_length);
    p.checksum = checksum_said_by(p.data() - virtio_header_length);
    if (info_.carries(p.bytes())) return true;
  }
  count_.dropped(drop::link_error);
  return false;
}

// All frames are held by sockets. What waits in the interface is dropped, here where it is counted, and so that a wait
// for the interface doesn't end at once for ever.
bool tap_link::discard_one() {
  std::array<std::byte, 64> rest;
  if (::read(file_.number(), rest.data(), rest.size()) < 0) return read_failed();
  count_.dropped(drop::no_memory);
  return true;
}

// Always false: there is no more to read. An interface that was deleted would be readable for ever; a descriptor that
// never is takes its place, so that whoever waits sleeps.
bool tap_link::read_failed() {
  if (errno == EAGAIN || errno == EINTR || gone_) return false;
  count_.dropped(drop::link_error);
  gone_ = true;
  const descriptor silent(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (silent) ::dup3(silent.number(), file_.number(), O_CLOEXEC);
  return false;
}

// Nothing to arm: the descriptor is readable for as long as a frame waits in the interface.
bool tap_link::arm() {
  pollfd self{file_.number(), POLLIN, 0};
  return ::poll(&self, 1, 0) == 0;
}

std::size_t tap_link::tx_burst(const burst& in) {
  std::size_t taken = 0;
  for (packet* p : in.packets()) {
    if (!transmit(*p)) break;
    release(p);
    ++taken;
  }
  return taken;
}

// False when the interface has no room now.
bool tap_link::transmit(packet& p) {
  const std::array<iovec, 2> parts{{nothing_left_undone(), {p.data(), p.length}}};
  if (!gone_ && info_.carries(p.bytes())) {
    if (::writev(file_.number(), parts.data(), parts.size()) >= 0) return true;
    if (errno == EAGAIN) return false;
  }
  count_.dropped(drop::link_error);
  return true;
}

}  // namespace

// Keys: mac (ours; the kernel's end has one of its own), mtu (of both ends; by default what the interface has).
result<link_ptr> open(uri& where, const link_services& services, reason& why) {
  const auto asked = where.take_mac("mac", why);
  if (!asked) return asked.failure();
  // The range that the driver allows: 68 is IPv4's smallest, 65521 leaves room for an Ethernet header in 64 KiB.
  const auto mtu = where.take_number("mtu", 68, 65521, 0, why);
  if (!mtu) return mtu.failure();
  auto opened = attach(where.device(), static_cast<std::uint32_t>(*mtu), why);
  if (!opened) return opened.failure();
  const auto mac = own_mac(*asked, opened->kernel_mac, why);
  if (!mac) return mac.failure();
  auto frames = pool::create(frame_count, frame_size(opened->mtu));
  std::unique_ptr<tap_link> out;
  if (frames) out.reset(new (std::nothrow) tap_link(std::move(*opened), *mac, std::move(*frames), services.count));
  if (!out)
    return why.fail(ENOMEM, "no memory for the frames of tap:%.*s", static_cast<int>(where.device().size()),
                    where.device().data());
  out->set_name(where.device());
  return link_ptr(std::move(out));
}

}  // namespace fastudp::tap
