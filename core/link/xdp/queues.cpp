#include "link/xdp/queues.h"

#include <linux/if_xdp.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <new>

namespace fastudp::xdp {
namespace {

constexpr std::uint32_t frames_besides = 8192;  // to send, and for the program to hold

// Many queues have short rings: each of their frames is locked memory.
ring_sizes sizes_for(std::uint32_t queues, bool sends) {
  constexpr std::uint32_t longest = 2048, shortest = 256;
  const std::uint32_t share = std::max(std::bit_floor(4 * longest / queues), shortest);
  const std::uint32_t receive = std::min(share, longest);
  return {.receive = receive, .fill = 2 * receive, .send = sends ? longest : 0};
}

const char* name_of(mode how) {
  return how == mode::zerocopy ? "zero copy" : how == mode::copy ? "native, copied" : "generic";
}

}  // namespace

status queues::open_socket(std::uint32_t number, mode how, const plan& by, steering& claims, reason& why) {
  auto opened = socket::open(sizes_for(by.queues, number == 0), why);
  if (!opened) return opened.failure();
  socket& own = sockets_[number] = std::move(*opened);
  if (number == 0) {
    if (auto done = memory_.register_with(own.number(), why); !done) return done;
  }
  const std::uint32_t queue = by.first_queue + number;
  const std::uint16_t flags = how == mode::zerocopy ? XDP_ZEROCOPY : XDP_COPY;
  if (auto done = own.bind(by.device.index, queue, flags, sockets_[0], why); !done) return done;
  own.restock(memory_);
  if (auto done = claims.redirect_to(queue, own.number()); !done)
    return why.fail(done.code(), "queue %u can't be redirected", queue);
  return {};
}

// The program comes last: what it redirected before there are frames would be lost.
result<queues> queues::open_in(mode how, const plan& by, steering& claims, reason& why) {
  queues out;
  const std::uint32_t to_receive = by.queues * sizes_for(by.queues, false).fill;
  auto memory = umem::create(frames_besides + to_receive, by.longest_frame(), why);
  if (!memory) return memory.failure();
  out.memory_ = std::move(*memory);
  out.sockets_.reset(new (std::nothrow) socket[by.queues]);
  if (!out.sockets_) return why.fail(ENOMEM, "no memory for AF_XDP sockets");
  for (std::uint32_t i = 0; i < by.queues; ++i) {
    if (auto done = out.open_socket(i, how, by, claims, why); !done) return done.failure();
  }
  out.count_ = by.queues;
  if (auto done = claims.attach_redirect(by.device.index, how != mode::generic, why); !done) return done.failure();
  return out;
}

result<queues> queues::open(const plan& by, steering& claims, reason& way, reason& why) {
  reason failed;
  for (const mode how : by.modes) {
    reason problem;
    auto made = open_in(how, by, claims, problem);
    if (made) {
      (void)way.fail(0, "AF_XDP (%s, %u queue%s)%s", name_of(how), by.queues, by.queues == 1 ? "" : "s",
                     failed.c_str());
      return made;
    }
    if (made.code() == EBUSY || made.code() == EPERM || how == by.modes.back()) {
      return why.fail(made.code(), "xdp:%s: %s%s", by.device.name, problem.c_str(), failed.c_str());
    }
    const reason before = failed;
    (void)failed.fail(0, "%s; no %s: %s", before.c_str(), name_of(how), problem.c_str());
  }
  return why.fail(EOPNOTSUPP, "xdp:%s: no mode is left to try", by.device.name);
}

void queues::leave() {
  sockets_.reset();
  count_ = 0;
}

}  // namespace fastudp::xdp
