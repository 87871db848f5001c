// host: and loop: are stacks without a device: nothing comes in, nothing can leave.

#include <sys/eventfd.h>

#include <cerrno>
#include <new>

#include "base/descriptor.h"
#include "link/link.h"
#include "link/uri.h"

namespace fastudp {
namespace {

// A datagram within the process is built in a frame all the same.
constexpr std::uint32_t frame_count = 8192, frame_size = 2048, mtu = 1500;

class no_link final : public link {
 public:
  no_link(const char* name, descriptor&& silent, std::unique_ptr<pool> frames)
      : silent_(std::move(silent)), frames_(std::move(frames)) {
    info_ = {.name = name, .mac = {{2, 0, 0, 0, 0, 1}}, .mtu = mtu};
  }
  std::size_t rx_burst(burst&) override { return 0; }
  std::size_t tx_burst(const burst& in) override {
    for (packet* p : in.packets()) release(p);
    return in.size();
  }
  void tx_flush() override {}
  int wait_fd() const override { return silent_.number(); }
  bool arm() override { return true; }
  const link_info& info() const override { return info_; }
  pool& frames() override { return *frames_; }

 private:
  descriptor silent_;
  std::unique_ptr<pool> frames_;
  link_info info_;
};

result<link_ptr> open_none(const char* name, const uri& where, reason& why) {
  if (!where.device().empty()) return why.fail(EINVAL, "%s has no device: write %s alone", name, name);
  if (where.has("vlan")) {
    return why.fail(EINVAL, "%s is in the host's VLANs: vlan= needs a link with address=A/LEN, as packet:eth0", name);
  }
  descriptor silent(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!silent) return why.fail(errno, "eventfd: %m");
  auto frames = pool::create(frame_count, frame_size);
  if (!frames) return why.fail(ENOMEM, "no memory for frames");
  link_ptr out(new (std::nothrow) no_link(name, std::move(silent), std::move(*frames)));
  if (!out) return why.fail(ENOMEM, "no memory for a link");
  return out;
}

}  // namespace

namespace host {
result<link_ptr> open(uri& where, const link_services&, reason& why) { return open_none("host:", where, why); }
}  // namespace host

namespace loop {
result<link_ptr> open(uri& where, const link_services&, reason& why) { return open_none("loop:", where, why); }
}  // namespace loop

}  // namespace fastudp
