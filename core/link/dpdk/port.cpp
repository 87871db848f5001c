#include "link/dpdk/port.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "link/open_plugin.h"

namespace fastudp::dpdk {
namespace {

// As C has it.
struct text {
  explicit text(std::string_view from) { from.substr(0, sizeof copy - 1).copy(copy, sizeof copy - 1); }
  char copy[512] = {};
};

// The plugin is never unloaded: DPDK's threads can't be stopped.
result<const fastudp_dpdk_table*> load(reason& why) {
  constexpr const char* file = "fastudp-dpdk.so";
  void* library = open_plugin(file);
  if (library == nullptr)
    return why.fail(ENOENT, "fastudp-dpdk.so isn't there or misses DPDK 22.11: install both (on Debian: dpdk)");
  return plugin_table<fastudp_dpdk_table>(library, file, FASTUDP_DPDK_TABLE, why);
}

}  // namespace

result<port> port::open(std::string_view device, std::string_view eal, reason& why) {
  if (device.empty() || device.size() >= sizeof(text::copy) || eal.size() >= sizeof(text::copy))
    return why.fail(EINVAL, "dpdk: needs a port, for instance dpdk:0000:01:00.0 or dpdk:net_memif0,role=client");
  const auto table = load(why);
  if (!table) return table.failure();
  port out(**table);
  char said[220] = {};
  const int opened = (*table)->open(text(device).copy, eal.empty() ? nullptr : text(eal).copy, &out.state_, &out.info_,
                                    said, sizeof said);
  if (opened != 0) return why.fail(-opened, "dpdk: %s", said);
  out.opened_by_ = ::getpid();
  return out;
}

port::port(port&& other) noexcept
    : table_(other.table_),
      state_(std::exchange(other.state_, nullptr)),
      opened_by_(other.opened_by_),
      info_(other.info_) {}

status port::start(const fastudp_dpdk_start& with, reason& why) {
  char said[220] = {};
  const int started = table_->start(state_, &with, said, sizeof said);
  return started == 0 ? status{} : why.fail(-started, "dpdk: %s", said);
}

bool port::is_ours() const { return ::getpid() == opened_by_; }

status port::close() {
  void* state = std::exchange(state_, nullptr);
  if (state == nullptr) return {};
  if (!is_ours()) return error{EBUSY};
  return table_->close(state) == 0 ? status{} : error{EBUSY};
}

void port::admit(const mac_address* groups, std::uint32_t count, bool all) {
  static_assert(sizeof(mac_address) == 6);
  table_->admit(state_, reinterpret_cast<const std::uint8_t(*)[6]>(groups), count, all);
}

fastudp_dpdk_losses port::losses() const {
  fastudp_dpdk_losses out{};
  table_->losses(state_, &out);
  return out;
}

}  // namespace fastudp::dpdk
