// The program's own filter on a socket with two halves: the kernel runs it on what comes through the companion, we on
// what the link brings. A companion has room for one filter, so ours there makes way, or stands before it.

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "endpoint/endpoint.h"
#include "endpoint/own_filter.h"

namespace fastudp {
namespace {

bool is_locked(const companion& kernels) {
  int locked = 0;
  return kernels.get_option(SOL_SOCKET, SO_LOCK_FILTER, std::as_writable_bytes(std::span(&locked, 1))) && locked != 0;
}

}  // namespace

bool endpoint::is_filter_option(int level, int name) {
  return level == SOL_SOCKET &&
         (name == SO_ATTACH_FILTER || name == SO_DETACH_FILTER || name == SO_LOCK_FILTER || name == SO_ATTACH_BPF);
}

// ---- With a companion

status endpoint::set_filter_option(engine::turn& t, int name, std::span<const std::byte> value) {
  companion& kernels = kernel_->socket();
  const bool is_beyond_us = name == SO_ATTACH_BPF || (name == SO_LOCK_FILTER && is_filtered());
  if (is_beyond_us && is_fast()) {
    if (auto handed = hand_over(t, kernel_reason::option); !handed) return handed;
  }
  if (!is_fast()) {
    engine_.stop_counting(*this);
    return kernels.set_option(SOL_SOCKET, name, value);
  }
  if (name == SO_LOCK_FILTER || is_locked(kernels)) return kernels.set_option(SOL_SOCKET, name, value);
  return name == SO_ATTACH_FILTER ? attach_filter(t, value) : detach_filter(value);
}

status endpoint::attach_filter(engine::turn& t, std::span<const std::byte> value) {
  auto program = read_program(value);
  if (!program) return program.failure();
  companion& kernels = kernel_->socket();
  if (!can_run(program->program())) {
    if (auto handed = hand_over(t, kernel_reason::option); !handed) return handed;
    engine_.stop_counting(*this);
    return kernels.set_option(SOL_SOCKET, SO_ATTACH_FILTER, value);
  }
  engine_.work(t);
  engine_.take_all_in();  // what came until now came without it
  engine_.stop_counting(*this);
  const auto attached = kernels.is_kept_out() ? kernels.keep_out(engine_.device().interface, program->program())
                                              : kernels.set_option(SOL_SOCKET, SO_ATTACH_FILTER, value);
  if (!attached) {
    if (socket_.filter().empty()) engine_.count_arrivals(*this);
    return attached;
  }
  socket_.set_filter(std::move(*program));
  return {};
}

status endpoint::detach_filter(std::span<const std::byte> value) {
  if (value.size() < sizeof(int)) return error{EINVAL};
  if (socket_.filter().empty()) return error{ENOENT};
  companion& kernels = kernel_->socket();
  const auto detached = kernels.is_kept_out() ? kernels.keep_out(engine_.device().interface, {})
                                              : kernels.set_option(SOL_SOCKET, SO_DETACH_FILTER, value);
  if (!detached) return detached;
  socket_.set_filter({});
  engine_.count_arrivals(*this);
  return {};
}

// Of a socket that the program, or another one before it, has used already. False: only the kernel can run it.
bool endpoint::take_over_filter() {
  const companion& kernels = kernel_->socket();
  const auto size = kernels.get_option(SOL_SOCKET, SO_GET_FILTER, {});
  // eBPF can't be read. Where we have a counter for it, it is taken for one: that of a process that had the socket
  // before.
  if (!size) return engine_.is_steered() || engine_.with_host() == sharing::none;
  if (*size == 0) return true;
  const std::unique_ptr<sock_filter[]> room(new (std::nothrow) sock_filter[*size]);
  if (room == nullptr) return false;
  // Instructions are what is counted there, where others count bytes.
  const auto read = kernels.get_option(SOL_SOCKET, SO_GET_FILTER, {reinterpret_cast<std::byte*>(room.get()), *size});
  const std::span<const sock_filter> program(room.get(), *size);
  if (!read || !can_run(program)) return false;
  auto copied = packet_filter::copy(program);
  if (copied) socket_.set_filter(std::move(*copied));
  return bool(copied);
}

result<std::size_t> endpoint::get_filter(std::span<std::byte> value) const {
  const bool is_ours = !kernel_ || is_fast() || kernel_->arrivals() != nullptr;
  if (is_ours) return write_program(socket_.filter(), value.data(), value.size());
  return kernel_->socket().get_option(SOL_SOCKET, SO_GET_FILTER, value);
}

// ---- Without

status endpoint::set_filter_alone(int name, std::span<const std::byte> value) {
  if (name == SO_ATTACH_BPF) return error{ENOPROTOOPT};
  if (value.size() < sizeof(int)) return error{EINVAL};
  if (name == SO_LOCK_FILTER) return lock_filter(value);
  if (name == SO_ATTACH_FILTER && value.size() != sizeof(sock_fprog)) return error{EINVAL};
  if (filter_is_locked_) return error{EPERM};
  if (name == SO_DETACH_FILTER) {
    if (socket_.filter().empty()) return error{ENOENT};
    socket_.set_filter({});
    return {};
  }
  auto program = read_program(value);
  if (!program) return program.failure();
  if (!can_run(program->program())) return error{EOPNOTSUPP};
  socket_.set_filter(std::move(*program));
  return {};
}

status endpoint::lock_filter(std::span<const std::byte> value) {
  int on;
  std::memcpy(&on, value.data(), sizeof on);
  if (filter_is_locked_ && on == 0) return error{EPERM};
  filter_is_locked_ = on != 0;
  return {};
}

// ---- Programs that choose among sockets

bool endpoint::is_group_program(int level, int name) {
  constexpr int detach = 68;  // SO_DETACH_REUSEPORT_BPF
  return level == SOL_SOCKET &&
         (name == SO_ATTACH_REUSEPORT_CBPF || name == SO_ATTACH_REUSEPORT_EBPF || name == detach);
}

// The kernel first, where there are companions: they are a group of their own, in the same order.
status endpoint::set_group_program(engine::turn& t, int name, std::span<const std::byte> value) {
  if (kernel_) {
    if (auto set = kernel_->socket().set_option(SOL_SOCKET, name, value); !set || !is_fast()) return set;
    if (name == SO_ATTACH_REUSEPORT_EBPF) return hand_over_group(t);
  }
  if (name == SO_ATTACH_REUSEPORT_EBPF) return error{ENOPROTOOPT};
  if (name != SO_ATTACH_REUSEPORT_CBPF) {
    if (value.size() < sizeof(int)) return error{EINVAL};
    const auto cleared = socket_.layer().ports().clear_program(socket_.entry());
    return kernel_ ? status{} : cleared;
  }
  if (value.size() != sizeof(sock_fprog)) return error{EINVAL};
  if (filter_is_locked_) return error{EPERM};
  auto program = read_program(value);
  if (!program) return program.failure();
  if (can_choose(program->program())) return choose_by(std::move(*program));
  return kernel_ ? hand_over_group(t) : error{EOPNOTSUPP};
}

status endpoint::choose_by(packet_filter&& program) {
  return socket_.layer().ports().set_program(socket_.entry(), std::move(program));
}

// One that stayed would get what the program chooses others for.
status endpoint::hand_over_group(engine::turn& t) {
  engine_.note_kernel_group();
  const port_group* group = socket_.entry().group;
  for (endpoint* each = engine_.first_endpoint(); group != nullptr && each != nullptr; each = each->next) {
    if (each == this || each->socket_.entry().group != group) continue;
    if (auto handed = each->hand_over(t, kernel_reason::option); !handed) return handed;
  }
  return hand_over(t, kernel_reason::option);
}

}  // namespace fastudp
