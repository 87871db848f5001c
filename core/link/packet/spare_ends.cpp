#include "link/packet/spare_ends.h"

#include <fcntl.h>

#include <cerrno>
#include <new>

namespace fastudp::af_packet {
namespace {

result<descriptor> duplicate(const descriptor& of, reason& why) {
  descriptor out(::fcntl(of.number(), F_DUPFD_CLOEXEC, 3));
  if (!out) return why.fail(errno, "no descriptor for an end of the link: %m");
  return out;
}

}  // namespace

result<std::unique_ptr<spare_ends>> spare_ends::make(const plan& by, reason& why) {
  std::unique_ptr<spare_ends> out(new (std::nothrow) spare_ends(by));
  if (!out) return why.fail(ENOMEM, "no memory for the ends of a link");
  for (unsigned number = 1; number < most_ends; ++number) {
    auto receiving = open_socket(by.device, why);
    if (!receiving) return receiving.failure();
    const auto filter = by.claims->tap_filter(number);
    if (!filter) return why.fail(filter.code(), "no BPF program for one more end of the link");
    if (auto done = filter_by_program(receiving->number(), filter->number(), why); !done) return done.failure();
    out->all_[number].receiving = std::move(*receiving);
    if (!by.has_rings()) continue;
    auto sending = open_to_send(by.device, why);
    if (!sending) return sending.failure();
    out->all_[number].sending = std::move(*sending);
  }
  return out;
}

result<spare_ends::sockets> spare_ends::take(unsigned number, reason& why) const {
  sockets out;
  auto receiving = duplicate(all_[number].receiving, why);
  if (!receiving) return error{receiving.code()};
  out.receiving = std::move(*receiving);
  if (!all_[number].sending) return out;
  auto sending = duplicate(all_[number].sending, why);
  if (!sending) return error{sending.code()};
  out.sending = std::move(*sending);
  return out;
}

void spare_ends::put_back(unsigned number) const {
  for (const descriptor* each : {&all_[number].receiving, &all_[number].sending}) {
    if (*each) stop(each->number(), plan_.device);
  }
}

}  // namespace fastudp::af_packet
