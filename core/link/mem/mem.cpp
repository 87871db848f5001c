// The link mem:NAME: a port on a hub in this process, as a link and with its keys.

#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <new>

#include "link/link.h"
#include "link/mem/hub.h"
#include "link/uri.h"

namespace fastudp::mem {
namespace {

class mem_link final : public link {
 public:
  mem_link(const settings& with, counters& count) : port_(with), count_(count) {}
  ~mem_link() override {
    if (hub_ != nullptr) hub_->leave(port_);
  }

  status open(std::string_view name, reason& why);

  std::size_t rx_burst(burst& out) override { return port_.receive(out, count_); }
  std::size_t tx_burst(const burst& in) override;
  void tx_flush() override {}
  void count_losses() override { port_.count_losses(count_); }

  int wait_fd() const override { return port_.wake_fd(); }
  bool arm() override { return port_.arm(); }

  const link_info& info() const override { return port_.info(); }
  pool& frames() override { return port_.frames(); }

 private:
  port port_;
  hub* hub_ = nullptr;
  counters& count_;
  char name_[hub::longest_name + sizeof "mem:"];
};

status mem_link::open(std::string_view name, reason& why) {
  std::snprintf(name_, sizeof name_, "mem:%.*s", static_cast<int>(name.size()), name.data());
  port_.set_name(name_);
  if (auto opened = port_.open(why); !opened) return opened;
  auto joined = hub::join(name, port_, why);
  if (!joined) return joined.failure();
  hub_ = *joined;
  return {};
}

std::size_t mem_link::tx_burst(const burst& in) {
  std::array<packet*, burst::capacity> frames;
  std::size_t n = 0;
  for (packet* p : in.packets()) {
    if (info().carries(p->bytes())) frames[n++] = p;
  }
  const std::size_t taken = in.size();
  if (n != taken) count_.dropped(drop::link_error, taken - n);
  if (n != 0) hub_->forward(port_, {frames.data(), n});
  for (packet* p : in.packets()) release(p);
  return taken;
}

status check_name(std::string_view name, reason& why) {
  if (name.empty()) return why.fail(EINVAL, "mem: needs the name of a hub, for instance mem:lan");
  if (name.size() <= hub::longest_name) return {};
  return why.fail(EINVAL, "mem:%.20s...: the name of a hub has %zu characters at most", name.data(), hub::longest_name);
}

result<settings> take_settings(uri& where, reason& why) {
  const auto mac = where.take_mac("mac", why);
  if (!mac) return mac.failure();
  // 68 is the smallest that IPv4 allows (RFC 791 3.2), 65535 the longest datagram.
  const auto mtu = where.take_number("mtu", 68, 65535, 1500, why);
  if (!mtu) return mtu.failure();
  const auto ring = where.take_number("ring", 64, 65536, 4096, why);
  if (!ring) return ring.failure();
  if (!std::has_single_bit(*ring)) {
    return why.fail(EINVAL, "ring=%llu: a power of two is needed", static_cast<unsigned long long>(*ring));
  }
  const auto promiscuous = where.take_switch("promiscuous", false, why);
  if (!promiscuous) return promiscuous.failure();
  return settings{*mac, static_cast<std::uint32_t>(*mtu), static_cast<std::uint32_t>(*ring), *promiscuous};
}

}  // namespace

// Keys: mac, mtu, ring (frames that wait for rx_burst at most), promiscuous (sees unicast frames to others as well).
result<link_ptr> open(uri& where, const link_services& services, reason& why) {
  if (auto named = check_name(where.device(), why); !named) return named.failure();
  const auto with = take_settings(where, why);
  if (!with) return with.failure();
  std::unique_ptr<mem_link> out(new (std::nothrow) mem_link(*with, services.count));
  if (!out) return why.fail(ENOMEM, "no memory for a link");
  if (auto opened = out->open(where.device(), why); !opened) return opened.failure();
  return link_ptr(std::move(out));
}

}  // namespace fastudp::mem
