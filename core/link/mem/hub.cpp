#include "link/mem/hub.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

namespace fastudp::mem {
namespace {

// The hubs of this process. A global, since hosts that have nothing but a name in common shall find each other.
struct {
  spin_lock lock;  // held to open and to close, never to transmit
  hub* first = nullptr;
} constinit hubs;

mac_address destination(packet& frame) {
  mac_address out;
  std::memcpy(out.bytes.data(), frame.data(), out.bytes.size());
  return out;
}

mac_address made_up(std::uint32_t number) {
  const auto byte = [number](int at) { return static_cast<std::uint8_t>(number >> (8 * at)); };
  return {{0x02, 0, byte(3), byte(2), byte(1), byte(0)}};
}

}  // namespace

hub*& hub::place_of(std::string_view name) {
  hub** at = &hubs.first;
  while (*at != nullptr && (*at)->name() != name) at = &(*at)->next_;
  return *at;
}

result<hub*> hub::join(std::string_view name, port& joining, reason& why) {
  const locked hold(hubs.lock);
  hub*& place = place_of(name);
  if (place == nullptr) place = new (std::nothrow) hub(name);
  if (place == nullptr) return why.fail(ENOMEM, "no memory for another hub");
  if (auto admitted = place->admit(joining, why); !admitted) return admitted.failure();
  return place;
}

status hub::admit(port& joining, reason& why) {
  if (joining.info().mac.is_zero()) {
    do joining.set_mac(made_up(++last_number_));
    while (owner_of(joining.info().mac) != nullptr);
  } else if (owner_of(joining.info().mac) != nullptr) {
    return why.fail(EADDRINUSE, "mac=%s: another host on mem:%.*s has it; choose another, or leave it out",
                    to_text(joining.info().mac).c_str(), static_cast<int>(length_), name_);
  }
  joining.next.store(ports_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  ports_.store(&joining, std::memory_order_seq_cst);
  return {};
}

void hub::leave(port& leaving) {
  const locked hold(hubs.lock);
  auto* at = &ports_;
  while (at->load(std::memory_order_relaxed) != &leaving) at = &at->load(std::memory_order_relaxed)->next;
  at->store(leaving.next.load(std::memory_order_relaxed), std::memory_order_seq_cst);
  for (port* p = ports_.load(std::memory_order_relaxed); p != nullptr; p = p->next.load(std::memory_order_relaxed)) {
    p->await_sender();
  }
  if (ports_.load(std::memory_order_relaxed) != nullptr) return;
  place_of(name()) = next_;
  delete this;
}

port* hub::owner_of(const mac_address& mac) const {
  port* p = ports_.load(std::memory_order_seq_cst);
  while (p != nullptr && p->info().mac != mac) p = p->next.load(std::memory_order_seq_cst);
  return p;
}

void hub::forward(port& from, std::span<packet* const> frames) {
  from.begin_sending();
  std::array<port*, burst::capacity> owners;  // null: unknown or a group, which every port gets
  mac_address last;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const auto to = destination(*frames[i]);
    owners[i] = i != 0 && to == last ? owners[i - 1] : owner_of(to);
    last = to;
  }
  for (port* p = ports_.load(std::memory_order_seq_cst); p != nullptr; p = p->next.load(std::memory_order_seq_cst)) {
    if (p == &from) continue;
    std::array<packet*, burst::capacity> chosen;
    std::size_t n = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      if (owners[i] == nullptr || owners[i] == p || p->promiscuous()) chosen[n++] = frames[i];
    }
    if (n != 0) p->deliver({chosen.data(), n});
  }
  from.end_sending();
}

}  // namespace fastudp::mem
