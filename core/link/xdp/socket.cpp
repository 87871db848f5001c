#include "link/xdp/socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace fastudp::xdp {
namespace {

constexpr std::uint32_t fewest_entries = 64;
constexpr int option_send_budget = 9;  // XDP_MAX_TX_SKB_BUDGET, of Linux 6.17

template <typename Entry>
status map_ring(int file, int name, std::uint64_t where, const xdp_ring_offset& at, std::uint32_t size,
                ring<Entry>& out, reason& why) {
  const auto entries = static_cast<int>(size);
  if (::setsockopt(file, SOL_XDP, name, &entries, sizeof entries) != 0)
    return why.fail(errno, "no AF_XDP ring of %u entries: %m", size);
  auto memory = shared_memory::map_file(file, ring<Entry>::bytes(at, size), where);
  if (!memory) return why.fail(memory.code(), "an AF_XDP ring can't be mapped");
  out = ring<Entry>(std::move(*memory), at, size);
  return {};
}

}  // namespace

result<socket> socket::open(const ring_sizes& sizes, reason& why) {
  socket out;
  out.file_ = descriptor(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!out.file_) {
    if (errno == EPERM) return why.fail(EPERM, "AF_XDP needs CAP_NET_RAW: run as root");
    return why.fail(errno, "this kernel has no AF_XDP: %m");
  }
  // It is the ring that limits how much the device has at a time, and how much one call sends.
  const int room = 64 * 1024 * 1024;
  const auto budget = static_cast<int>(sizes.send);
  (void)::setsockopt(out.number(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  if (auto mapped = out.map_rings(sizes, why); !mapped) return mapped.failure();
  (void)::setsockopt(out.number(), SOL_XDP, option_send_budget, &budget, sizeof budget);
  return out;
}

status socket::map_rings(const ring_sizes& sizes, reason& why) {
  xdp_mmap_offsets at{};
  socklen_t size = sizeof at;
  if (::getsockopt(number(), SOL_XDP, XDP_MMAP_OFFSETS, &at, &size) != 0 || size != sizeof at)
    return why.fail(EOPNOTSUPP, "AF_XDP is too old here: Linux 5.4 or newer is needed");
  const std::uint32_t sent = std::max(sizes.send, fewest_entries);
  missing_ = sizes.fill;
  auto done = map_ring(number(), XDP_UMEM_FILL_RING, XDP_UMEM_PGOFF_FILL_RING, at.fr, sizes.fill, to_fill_, why);
  if (done)
    done = map_ring(number(), XDP_UMEM_COMPLETION_RING, XDP_UMEM_PGOFF_COMPLETION_RING, at.cr, sent, sent_, why);
  if (done) done = map_ring(number(), XDP_RX_RING, XDP_PGOFF_RX_RING, at.rx, sizes.receive, received_, why);
  if (!done || sizes.send == 0) return done;
  return map_ring(number(), XDP_TX_RING, XDP_PGOFF_TX_RING, at.tx, sizes.send, to_send_, why);
}

// A queue is busy for some tens of milliseconds after another socket of it was closed, and for longer where the machine
// is.
status socket::bind(int interface, std::uint32_t queue, std::uint16_t how, const socket& first, reason& why) {
  constexpr int most_tries = 400, milliseconds_between = 5;
  sockaddr_xdp at{};
  at.sxdp_family = AF_XDP;
  at.sxdp_ifindex = static_cast<std::uint32_t>(interface);
  at.sxdp_queue_id = queue;
  at.sxdp_flags = static_cast<std::uint16_t>(how | XDP_USE_NEED_WAKEUP);
  if (&first != this) {  // which has said how
    at.sxdp_flags = XDP_SHARED_UMEM;
    at.sxdp_shared_umem_fd = static_cast<std::uint32_t>(first.number());
  }
  for (int tries = 0;; ++tries) {
    if (::bind(number(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) return {};
    if (errno != EBUSY || tries == most_tries) break;
    (void)::poll(nullptr, 0, milliseconds_between);
  }
  if (errno == EBUSY)
    return why.fail(EBUSY, "queue %u has an AF_XDP socket of another program's: 'ss --xdp -ap' shows it", queue);
  return why.fail(errno, "queue %u: %m", queue);
}

// ---- Receiving

void socket::restock(const umem& memory) {
  std::uint32_t n = 0;
  for (; n < missing_; ++n) {
    const packet* p = memory.frames().take();
    if (p == nullptr) break;
    to_fill_.ahead(n) = memory.address_of_chunk(*p);
  }
  missing_ -= n;
  if (n != 0) to_fill_.produce(n);
}

void socket::receive(const umem& memory, burst& out) {
  const auto count = std::min(received_.filled(), static_cast<std::uint32_t>(out.room()));
  for (std::uint32_t i = 0; i < count; ++i) {
    const xdp_desc& from = received_.next(i);
    packet& p = memory.packet_at(from.addr);
    p.reset(memory.offset_in_chunk(from.addr));
    p.length = from.len;
    out.append(&p);
  }
  if (count == 0) return;
  received_.consume(count);
  missing_ += count;
}

void socket::wake_receiver() {
  if (to_fill_.needs_wakeup()) (void)::recvfrom(number(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

losses socket::lost() const {
  xdp_statistics said{};
  socklen_t size = sizeof said;
  if (::getsockopt(number(), SOL_XDP, XDP_STATISTICS, &said, &size) != 0) return {};
  return {.ring_full = said.rx_ring_full,
          .no_frame = said.rx_dropped,
          .refused = said.rx_invalid_descs + said.tx_invalid_descs};
}

// ---- Sending

void socket::send(const umem& memory, const packet& frame) {
  to_send_.ahead(unsent_++) = {.addr = memory.address_of(frame), .len = frame.length, .options = 0};
}

// Where the kernel copies, it does so within the call, and may take no more than some at a time.
void socket::flush() {
  if (unsent_ != 0) to_send_.produce(unsent_);
  unsent_ = 0;
  has_left_some_ = false;
  if (!to_send_.needs_wakeup()) return;
  std::uint32_t left = to_send_.filled();
  for (std::uint32_t before = left + 1; left != 0 && left < before;) {
    (void)::sendto(number(), nullptr, 0, MSG_DONTWAIT, nullptr, 0);
    before = left;
    left = to_send_.filled();
  }
  has_left_some_ = left != 0 && to_send_.needs_wakeup();
}

void socket::reclaim(const umem& memory) {
  const std::uint32_t count = sent_.filled();
  if (count == 0) return;
  for (std::uint32_t i = 0; i < count; ++i) release(&memory.packet_at(sent_.next(i)));
  sent_.consume(count);
}

}  // namespace fastudp::xdp
