#include "endpoint/raw_link.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "link/registry.h"

namespace fastudp {
namespace {

class held {
 public:
  explicit held(lock& l) : lock_(l) { lock_.acquire(); }
  ~held() { lock_.give_up(); }
  held(const held&) = delete;
  held& operator=(const held&) = delete;

 private:
  lock& lock_;
};

// Returns a positive errno or 0.
int sleep_on(int fd, duration span) {
  pollfd watched{fd, POLLIN, 0};
  const timespec time{static_cast<time_t>(span / second), static_cast<long>(span % second)};
  return ::ppoll(&watched, 1, span == never ? nullptr : &time, nullptr) < 0 ? errno : 0;
}

}  // namespace

result<std::unique_ptr<raw_link>> raw_link::open(std::string_view text, reason& why) {
  auto where = uri::parse(text, why);
  if (!where) return where.failure();
  where->set_default("promiscuous", "on");
  auto count = shared_array<counters>::map(1);
  if (!count) return why.fail(ENOMEM, "no memory for counters");
  std::unique_ptr<raw_link> out(new (std::nothrow) raw_link(std::move(*count)));
  if (!out) return why.fail(ENOMEM, "no memory for a link");
  auto opened = open_link(*where, {.count = out->counters_[0]}, why);
  if (!opened) return opened.failure();
  out->link_ = std::move(*opened);
  if (auto known = where->expect_all_taken(why); !known) return known.failure();
  return out;
}

result<std::size_t> raw_link::send(std::span<const std::byte> frame) {
  held all(lock_);
  if (!link_->info().carries(frame)) return error{frame.size() < ethernet_header_length ? EINVAL : EMSGSIZE};
  packet* p = link_->frames().take();
  if (p == nullptr) return error{ENOBUFS};
  std::memcpy(p->data(), frame.data(), frame.size());
  p->length = static_cast<std::uint32_t>(frame.size());
  burst one;
  one.append(p);
  link_->advance(clock_.coarse());
  const std::size_t taken = link_->tx_burst(one);
  one.forget_front(taken);
  link_->tx_flush();
  return taken == 1 ? result<std::size_t>(frame.size()) : error{ENOBUFS};
}

bool raw_link::has_frame() {
  if (!received_.empty()) return true;
  link_->advance(clock_.coarse());
  burst got;
  link_->rx_burst(got);
  for (packet* p : got.packets()) received_.push(p);
  got.forget_all();
  return !received_.empty();
}

result<std::size_t> raw_link::receive(std::span<std::byte> room) {
  held all(lock_);
  if (!has_frame()) return error{EAGAIN};
  packet* p = received_.pop();
  const std::size_t size = p->length;
  if (!room.empty()) std::memcpy(room.data(), p->data(), std::min(size, room.size()));
  release(p);
  return size;
}

result<bool> raw_link::wait(duration timeout) {
  held all(lock_);
  const time_point start = clock_.precise();
  const time_point limit = timeout < 0 || timeout >= never - start ? never : start + timeout;
  while (!has_frame()) {
    const time_point now = clock_.precise();
    if (now >= limit) return false;
    if (!link_->arm()) continue;
    const time_point until = std::min(limit, link_->deadline());
    const int fd = link_->wait_fd();
    lock_.give_up();
    const int problem = sleep_on(fd, until == never ? never : std::max<duration>(until - now, 0));
    lock_.acquire();
    if (problem != 0) return error{problem};
  }
  return true;
}

}  // namespace fastudp
