// fastudp_stack_*

#include <new>

#include "abi/guard.h"
#include "abi/versioned.h"

using namespace fastudp;
using namespace fastudp::abi;

namespace {

result<engine*> open_engine(const char* uri, const fastudp_stack_config* config, reason& why) {
  const auto wanted = read_versioned(config);
  if (!wanted) return why.fail(wanted.code(), "fastudp_stack_config: its size or a field is not of this version");
  const engine_settings settings{.seed = wanted->seed,
                                 .hand_clock = wanted->hand_clock != 0,
                                 .neighbours = wanted->neighbours,
                                 .spin = wanted->spin_us * microsecond,
                                 .strict = wanted->strict != 0,
                                 .may_bypass_firewall = wanted->may_bypass_firewall != 0,
                                 .stats_file = wanted->stats_file,
                                 .why_not_faster = wanted->why_not_faster != nullptr ? wanted->why_not_faster : ""};
  auto made = engine::open(uri, settings, why);
  if (!made) return made.failure();
  return made->release();
}

int close_engine(engine& h) {
  {
    engine::turn t(h);
    if (h.open_sockets != 0) return -EBUSY;
    if (h.is_guest() && h.device().stays_with_process) return 0;  // its frames are its owner's to touch
  }
  delete &h;
  return 0;
}

fastudp_stack_info info_of(engine& h) {
  fastudp_stack_info out{};
  const link_info& device = h.stack().device();
  copy_text(device.name, out.link, sizeof out.link);
  std::memcpy(out.mac, device.mac.bytes.data(), sizeof out.mac);
  out.is_alone = h.with_host() == sharing::none;
  out.mtu = device.mtu;
  h.stack().frames().reclaim();
  out.frames = h.stack().frames().count();
  out.frames_free = h.stack().frames().available();
  return out;
}

// What is counted, as far as it can be added up.
void add(const counters& c, fastudp_stack_stats& out) {
  out.rx_fast += c.rx_datagrams.get();
  out.tx_fast += c.tx_datagrams.get();
  out.rx_kernel += c.rx_kernel.get();
  out.tx_kernel += c.tx_kernel.get();
  out.rx_frames += c.rx_frames.get();
  out.rx_bytes += c.rx_bytes.get();
  out.tx_frames += c.tx_frames.get();
  out.tx_bytes += c.tx_bytes.get();
  out.sockets_fast += c.sockets_fast.get();
  out.sockets_kernel += c.sockets_kernel.get();
  out.address_conflicts += c.address_conflicts.get();
  for (const counter& drops : c.drops) out.dropped += drops.get();
  out.rx_datagrams = out.rx_fast + out.rx_kernel;
  out.tx_datagrams = out.tx_fast + out.tx_kernel;
}

fastudp_stack_stats stats_of(engine& h) {
  const counters& c = h.count();
  fastudp_stack_stats out{};
  add(c, out);
  out.neighbours = h.stack().neighbours().size();
  out.parked = h.stack().neighbours().parked();
  out.sockets = h.open_sockets;
  out.lock_acquisitions = h.acquisitions();
  return out;
}

// Adds a row of counters to the caller's.
template <size_t N>
void add_row(const counter (&row)[N], uint64_t* totals, size_t count) {
  for (size_t i = 0; i < std::min(count, N); ++i) totals[i] += row[i].get();
}

int drops_of(engine& h, uint64_t* drops, size_t count) {
  for (size_t i = 0; i < std::min(count, drop_reasons); ++i) drops[i] = h.count().drops[i].get();
  return static_cast<int>(drop_reasons);
}

int neighbour_of(engine& h, ip_address address, uint8_t* mac, uint32_t* state) {
  engine::turn t(h);
  const neighbour* found = h.stack().find_neighbour(address);
  if (found == nullptr) return -ENOENT;
  if (mac != nullptr) std::memcpy(mac, found->mac.bytes.data(), found->mac.bytes.size());
  if (state != nullptr) *state = static_cast<uint32_t>(found->state);
  return 0;
}

// Runs `call` with a prefix, if it can be one.
template <typename Call>
int with_prefix(const fastudp_addr* addr, unsigned length, const Call& call) {
  return with_address(addr, [&](const endpoint_address& a) -> status {
    const ip_prefix prefix{a.address, static_cast<uint8_t>(length)};
    return length > prefix.longest() ? error{EINVAL} : call(prefix);
  });
}

}  // namespace

int fastudp_stack_open(fastudp_stack** stack, const char* uri, const fastudp_stack_config* config, char* why,
                       size_t why_size) {
  if (stack == nullptr || uri == nullptr) return -EFAULT;
  reason text;
  const auto made = open_engine(uri, config, text);
  copy_text(text.c_str(), why, why_size);
  *stack = made ? seal(*made) : nullptr;
  return -made.code();
}

int fastudp_stack_close(fastudp_stack* stack) { return stack == nullptr ? 0 : close_engine(open(stack)); }

int fastudp_stack_add_address(fastudp_stack* stack, const fastudp_addr* address, unsigned prefix_length) {
  if (stack == nullptr) return -EFAULT;
  return with_prefix(address, prefix_length, [&](const ip_prefix& prefix) {
    engine::turn t(open(stack));
    return open(stack).stack().add_address(prefix, t.now());
  });
}

int fastudp_stack_remove_address(fastudp_stack* stack, const fastudp_addr* address) {
  if (stack == nullptr) return -EFAULT;
  return with_address(address, [&](const endpoint_address& a) {
    engine::turn t(open(stack));
    return open(stack).stack().remove_address(a.address, t.now());
  });
}

int fastudp_stack_add_route(fastudp_stack* stack, const fastudp_addr* destination, unsigned prefix_length,
                            const fastudp_addr* gateway) {
  if (stack == nullptr) return -EFAULT;
  if (gateway != nullptr && !is_known_family(*gateway)) return -EAFNOSUPPORT;
  return with_prefix(destination, prefix_length, [&](const ip_prefix& prefix) {
    engine::turn t(open(stack));
    const ip_address by = gateway != nullptr ? from_c(*gateway).address : ip_address{};
    return open(stack).stack().add_route(prefix, gateway != nullptr ? &by : nullptr);
  });
}

int fastudp_stack_remove_route(fastudp_stack* stack, const fastudp_addr* destination, unsigned prefix_length) {
  if (stack == nullptr) return -EFAULT;
  return with_prefix(destination, prefix_length, [&](const ip_prefix& prefix) {
    engine::turn t(open(stack));
    return open(stack).stack().remove_route(prefix);
  });
}

int fastudp_stack_add_neighbour(fastudp_stack* stack, const fastudp_addr* address, const uint8_t* mac) {
  if (stack == nullptr || mac == nullptr) return -EFAULT;
  return with_address(address, [&](const endpoint_address& a) {
    mac_address to;
    std::memcpy(to.bytes.data(), mac, to.bytes.size());
    engine::turn t(open(stack));
    return open(stack).stack().add_neighbour(a.address, to);
  });
}

int fastudp_stack_remove_neighbour(fastudp_stack* stack, const fastudp_addr* address) {
  if (stack == nullptr) return -EFAULT;
  return with_address(address, [&](const endpoint_address& a) {
    engine::turn t(open(stack));
    return open(stack).stack().remove_neighbour(a.address);
  });
}

int fastudp_stack_get_neighbour(fastudp_stack* stack, const fastudp_addr* address, uint8_t* mac, uint32_t* state) {
  if (stack == nullptr || address == nullptr) return -EFAULT;
  if (!is_known_family(*address)) return -EAFNOSUPPORT;
  return neighbour_of(open(stack), from_c(*address).address, mac, state);
}

int fastudp_stack_poll(fastudp_stack* stack, unsigned budget) {
  if (stack == nullptr) return -EFAULT;
  engine::turn t(open(stack));
  t.look_at_clock();
  return static_cast<int>(open(stack).work(t, budget == 0 ? burst::capacity : budget));
}

int fastudp_stack_host_changed(fastudp_stack* stack) {
  if (stack == nullptr) return -EFAULT;
  engine::turn t(open(stack));
  open(stack).look_at_host(t);
  return 0;
}

int fastudp_stack_wait(fastudp_stack* stack, int64_t timeout_ns) {
  if (stack == nullptr) return -EFAULT;
  engine::turn t(open(stack));
  return to_int(open(stack).wait_for_work(t, open(stack).limit_after(timeout_ns)));
}

int fastudp_stack_fd(fastudp_stack* stack) {
  if (stack == nullptr) return -EFAULT;
  engine::turn t(open(stack));
  return open(stack).announce_work();
}

int64_t fastudp_stack_deadline(fastudp_stack* stack) {
  if (stack == nullptr) return -EFAULT;
  engine::turn t(open(stack));
  t.look_at_clock();
  const time_point due = open(stack).deadline();
  return due == never ? INT64_MAX : std::max<int64_t>(due - t.now(), 0);
}

int fastudp_stack_set_time(fastudp_stack* stack, int64_t now) {
  if (stack == nullptr) return -EFAULT;
  engine::turn t(open(stack));
  fastudp::clock& time = open(stack).time();
  return time.is_hand_held() && time.set(now) ? 0 : -EINVAL;
}

int fastudp_stack_get_info(fastudp_stack* stack, fastudp_stack_info* info) {
  if (stack == nullptr || info == nullptr) return -EFAULT;
  engine::turn t(open(stack));
  return to_int(write_versioned(info_of(open(stack)), info, offsetof(fastudp_stack_info, mac)));
}

int fastudp_stack_get_stats(fastudp_stack* stack, fastudp_stack_stats* stats) {
  if (stack == nullptr || stats == nullptr) return -EFAULT;
  engine::turn t(open(stack));
  return to_int(write_versioned(stats_of(open(stack)), stats, offsetof(fastudp_stack_stats, tx_datagrams)));
}

int fastudp_stack_get_drops(fastudp_stack* stack, uint64_t* drops, size_t count) {
  if (stack == nullptr || (drops == nullptr && count != 0)) return -EFAULT;
  engine::turn t(open(stack));
  return drops_of(open(stack), drops, count);
}

int fastudp_stack_get_kernel_reasons(fastudp_stack* stack, uint64_t* counts, size_t count) {
  if (stack == nullptr || (counts == nullptr && count != 0)) return -EFAULT;
  for (size_t i = 0; i < std::min(count, kernel_reasons); ++i) counts[i] = open(stack).count().kernel_by[i].get();
  return static_cast<int>(kernel_reasons);
}

int fastudp_stack_explain(fastudp_stack* stack, char* text, size_t size) {
  if (stack == nullptr) return -EFAULT;
  const char* explanation = open(stack).explanation();
  copy_text(explanation, text, size);
  return static_cast<int>(std::strlen(explanation));
}

int fastudp_stack_prepare_fork(fastudp_stack* stack) {
  reason ignored;
  return stack == nullptr ? -EFAULT : -open(stack).prepare_fork(ignored).code();
}

int fastudp_stack_prepare_exec(fastudp_stack* stack) {
  if (stack == nullptr) return -EFAULT;
  open(stack).prepare_exec();
  return 0;
}

int fastudp_stack_prepare_sandbox(fastudp_stack* stack) {
  if (stack == nullptr) return -EFAULT;
  open(stack).prepare_sandbox();
  return 0;
}

static_assert(sizeof(fastudp_wait_item) == sizeof(wait_item) &&
              offsetof(fastudp_wait_item, fd) == offsetof(wait_item, fd) &&
              offsetof(fastudp_wait_item, events) == offsetof(wait_item, events) &&
              offsetof(fastudp_wait_item, revents) == offsetof(wait_item, revents));

int fastudp_wait(fastudp_stack* stack, fastudp_wait_item* items, size_t count, int64_t timeout_ns,
                 const void* signal_mask) {
  if (stack == nullptr || (items == nullptr && count != 0)) return -EFAULT;
  engine& h = open(stack);
  engine::turn t(h);
  const time_point limit = timeout_ns == 0 ? 0 : h.limit_after(timeout_ns);
  return to_int(h.wait_for_any(t, {reinterpret_cast<wait_item*>(items), count}, limit,
                               static_cast<const sigset_t*>(signal_mask)));
}

int fastudp_stats_read(const char* file, fastudp_stack_stats* stats, uint64_t* drops, size_t drop_count,
                       uint64_t* reasons, size_t reason_count, char* explanation, size_t explanation_size) {
  if (file == nullptr || stats == nullptr || (drops == nullptr && drop_count != 0) ||
      (reasons == nullptr && reason_count != 0)) {
    return -EFAULT;
  }
  const auto opened = stats_file::read(file);
  if (!opened) return -opened.code();
  fastudp_stack_stats sum{};
  std::fill_n(drops, drop_count, 0);
  std::fill_n(reasons, reason_count, 0);
  opened->for_each([&](const counters& c) {
    add(c, sum);
    add_row(c.drops, drops, drop_count);
    add_row(c.kernel_by, reasons, reason_count);
  });
  copy_text(opened->explanation(), explanation, explanation_size);
  const auto written = write_versioned(sum, stats, sizeof stats->size);
  return written ? static_cast<int>(opened->processes()) : -written.code();
}
