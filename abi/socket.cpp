// fastudp_socket_* and the calls that move datagrams

#include <limits.h>

#include <memory>
#include <new>

#include "abi/guard.h"

using namespace fastudp;
using namespace fastudp::abi;

namespace {

constexpr int no_companion = -2, companion_of_its_own = -1;

// `companion`: one of the above, or the program's descriptor.
int open_socket(engine& h, ip_family family, int companion, fastudp_socket** socket) {
  engine::turn t(h);
  std::unique_ptr<endpoint> made(new (std::nothrow) endpoint(h, family));
  if (made == nullptr) return -ENOMEM;
  if (companion != no_companion) {
    if (auto opened = made->open_companion(t, companion); !opened) return -opened.code();
  }
  ++h.open_sockets;
  *socket = seal(made.release());
  return 0;
}

int close_socket(endpoint& e) {
  if (e.home().close_elsewhere(e)) return 0;
  if (e.has_frames_out()) return -EBUSY;
  engine::turn t(e.home());
  --e.home().open_sockets;
  delete &e;
  return 0;
}

// Bursts are passed on in pieces of this size, so that their translation needs no memory.
constexpr std::size_t piece = 64;

// Room for a piece; each message is made when it is needed, since most bursts are short.
union message_room {
  message_room() {}
  message items[piece];
};

// In place, field by field: a message that is made elsewhere and copied costs as much as all the rest of the call.
void from_c(const fastudp_msg& in, message& out) {
  std::construct_at(&out);
  out.data = {static_cast<std::byte*>(in.data), in.size};
  out.has_peer = in.peer.family != FASTUDP_UNSPEC;
  if (out.has_peer) abi::from_c(in.peer, out.peer);
  out.control = {static_cast<std::byte*>(in.control), in.control != nullptr ? in.control_len : 0};
  out.frame = reinterpret_cast<packet*>(in.frame);
}

void write_back(const message& in, fastudp_msg& out, ip_family family) {
  out.data = in.data.data();
  out.size = static_cast<uint32_t>(in.data.size());
  out.length = in.length;
  in.has_peer ? abi::to_c(in.peer, family, out.peer) : void(out.peer = {});
  out.control_len = static_cast<uint32_t>(in.control.size());
  out.flags = static_cast<uint32_t>(in.flags);
  out.frame = reinterpret_cast<fastudp_frame*>(in.frame);
}

auto write_back_for(fastudp_socket* socket) {
  return [family = open(socket).family()](const message& in, fastudp_msg& out) { write_back(in, out, family); };
}

// Of what is copied Linux finds out that it is nowhere when everything else is well.
bool is_sendable(const fastudp_msg& m) {
  return (m.data != nullptr || m.size == 0 || m.frame == nullptr) && (m.control != nullptr || m.control_len == 0);
}

// The first message's own defect is the call's error; a later one ends the burst before it.
std::size_t count_sendable(const fastudp_msg* msgs, std::size_t count, int& problem) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_sendable(msgs[i])) problem = EFAULT;
    const uint8_t family = msgs[i].peer.family;
    if (family != FASTUDP_UNSPEC && family != FASTUDP_IPV4 && family != FASTUDP_IPV6) problem = EAFNOSUPPORT;
    if (problem != 0) return i;
  }
  return count;
}

// Runs `call` over the burst piece by piece until one is not taken whole. `prepare` fills a message from the caller's,
// `finish` writes one back.
template <typename Call, typename Finish>
int in_pieces(fastudp_msg* msgs, std::size_t count, const Call& call, const Finish& finish) {
  std::size_t done = 0;
  do {
    message_room batch;
    const std::size_t size = std::min(count - done, piece);
    for (std::size_t i = 0; i < size; ++i) from_c(msgs[done + i], batch.items[i]);
    const result<std::size_t> taken = call(std::span(batch.items, size), done != 0);
    if (!taken) return done != 0 ? static_cast<int>(done) : -taken.code();
    for (std::size_t i = 0; i < *taken; ++i) finish(batch.items[i], msgs[done + i]);
    done += *taken;
    if (*taken < size) break;
  } while (done < count);
  return static_cast<int>(done);
}

template <typename Call, typename Finish>
int send_burst(fastudp_msg* msgs, std::size_t count, const Call& call, const Finish& finish) {
  int problem = 0;
  const std::size_t sendable = count_sendable(msgs, std::min<std::size_t>(count, INT_MAX), problem);
  if (sendable == 0 && problem != 0) return -problem;
  return in_pieces(msgs, sendable, call, finish);
}

// Only the first piece may wait.
constexpr int flags_of_piece(int flags, bool later) {
  return later ? flags | message_flag::dont_wait | message_flag::continued : flags;
}

bool has_null_data(const fastudp_msg* msgs, std::size_t count) {
  return std::any_of(msgs, msgs + count, [](const fastudp_msg& m) {
    return (m.data == nullptr && m.size != 0) || (m.control == nullptr && m.control_len != 0);
  });
}

}  // namespace

int fastudp_socket_open(fastudp_stack* stack, int family, fastudp_socket** socket) {
  if (stack == nullptr || socket == nullptr) return -EFAULT;
  if (family != FASTUDP_IPV4 && family != FASTUDP_IPV6) return -EAFNOSUPPORT;
  engine& h = open(stack);
  const bool has_addresses_of_its_own = h.with_host() == sharing::none;
  return open_socket(h, family == FASTUDP_IPV4 ? ip_family::v4 : ip_family::v6,
                     has_addresses_of_its_own ? no_companion : companion_of_its_own, socket);
}

int fastudp_socket_adopt(fastudp_stack* stack, int fd, fastudp_socket** socket) {
  if (stack == nullptr || socket == nullptr) return -EFAULT;
  if (fd < 0) return -EBADF;
  const auto family = endpoint::family_of(fd);
  return family ? open_socket(open(stack), *family, fd, socket) : -family.code();
}

int fastudp_socket_kernel_fd(fastudp_socket* socket) {
  if (socket == nullptr) return -EFAULT;
  const kernel_half* kernel = open(socket).kernel();
  return kernel != nullptr ? kernel->socket().number() : -EOPNOTSUPP;
}

int fastudp_socket_hand_over(fastudp_socket* socket, size_t reason) {
  if (socket == nullptr) return -EFAULT;
  if (reason >= kernel_reasons) return -EINVAL;
  return to_int(open(socket).hand_over(static_cast<kernel_reason>(reason)));
}

int fastudp_socket_is_fast(fastudp_socket* socket) { return socket == nullptr ? -EFAULT : open(socket).is_fast(); }

int fastudp_socket_count(fastudp_socket* socket, uint64_t received, uint64_t sent, size_t reason) {
  if (socket == nullptr) return -EFAULT;
  if (reason >= kernel_reasons) return -EINVAL;
  open(socket).count_kernel(received, sent, static_cast<kernel_reason>(reason));
  return 0;
}

int fastudp_socket_close(fastudp_socket* socket) { return socket == nullptr ? 0 : close_socket(open(socket)); }

int fastudp_socket_bind(fastudp_socket* socket, const fastudp_addr* addr) {
  if (socket == nullptr) return -EFAULT;
  return with_address(addr, [&](const endpoint_address& a) { return open(socket).bind(a); });
}

int fastudp_socket_connect(fastudp_socket* socket, const fastudp_addr* addr) {
  if (socket == nullptr || addr == nullptr) return -EFAULT;
  if (addr->family == FASTUDP_UNSPEC) return to_int(open(socket).disconnect());
  return with_address(addr, [&](const endpoint_address& a) { return open(socket).connect(a); });
}

int fastudp_socket_local_addr(fastudp_socket* socket, fastudp_addr* addr) {
  if (socket == nullptr || addr == nullptr) return -EFAULT;
  *addr = to_c(open(socket).local(), open(socket).family());
  return 0;
}

int fastudp_socket_peer_addr(fastudp_socket* socket, fastudp_addr* addr) {
  if (socket == nullptr || addr == nullptr) return -EFAULT;
  const auto peer = open(socket).peer();
  if (peer) *addr = to_c(*peer, open(socket).family());
  return -peer.code();
}

int fastudp_socket_shutdown(fastudp_socket* socket, int how) {
  if (socket == nullptr) return -EFAULT;
  if (how < FASTUDP_SHUT_RD || how > FASTUDP_SHUT_RDWR) return -EINVAL;
  return to_int(open(socket).shut_down(how != FASTUDP_SHUT_WR, how != FASTUDP_SHUT_RD));
}

int fastudp_socket_set_option(fastudp_socket* socket, int level, int name, const void* value, size_t size) {
  if (socket == nullptr || (value == nullptr && size != 0)) return -EFAULT;
  return to_int(open(socket).set_option(level, name, {static_cast<const std::byte*>(value), size}));
}

int fastudp_socket_get_option(fastudp_socket* socket, int level, int name, void* value, size_t* size) {
  if (socket == nullptr || size == nullptr || (value == nullptr && *size != 0)) return -EFAULT;
  const auto written = open(socket).get_option(level, name, {static_cast<std::byte*>(value), *size});
  if (written) *size = *written;
  return -written.code();
}

int fastudp_send(fastudp_socket* socket, const fastudp_msg* msgs, size_t count, int flags) {
  if (socket == nullptr || (msgs == nullptr && count != 0)) return -EFAULT;
  const auto send = [&](std::span<message> batch, bool) {
    for (message& m : batch) m.frame = nullptr;  // the handle is the zero-copy calls' alone
    return open(socket).send(batch, flags);
  };
  return send_burst(const_cast<fastudp_msg*>(msgs), count, send, [](const message&, fastudp_msg&) {});
}

int fastudp_recv(fastudp_socket* socket, fastudp_msg* msgs, size_t count, int flags) {
  if (socket == nullptr || (msgs == nullptr && count != 0)) return -EFAULT;
  count = std::min<size_t>(count, INT_MAX);
  if (has_null_data(msgs, count)) return -EFAULT;
  if (flags & message_flag::continued) return -EOPNOTSUPP;
  const auto receive = [&](std::span<message> batch, bool later) {
    for (message& m : batch) m.frame = nullptr;
    return open(socket).receive(batch, flags_of_piece(flags, later));
  };
  return in_pieces(msgs, count, receive, write_back_for(socket));
}

int64_t fastudp_sendto(fastudp_socket* socket, const void* data, size_t size, int flags, const fastudp_addr* to) {
  if (size > UINT32_MAX) return -EMSGSIZE;
  fastudp_msg m{};
  m.data = const_cast<void*>(data);
  m.size = static_cast<uint32_t>(size);
  if (to != nullptr) m.peer = *to;
  if (to != nullptr && to->family == FASTUDP_UNSPEC) return -EAFNOSUPPORT;
  const int sent = fastudp_send(socket, &m, 1, flags);
  return sent < 0 ? sent : static_cast<int64_t>(size);
}

int64_t fastudp_recvfrom(fastudp_socket* socket, void* data, size_t size, int flags, fastudp_addr* from) {
  fastudp_msg m{};
  m.data = data;
  m.size = static_cast<uint32_t>(std::min<size_t>(size, UINT32_MAX));
  const int received = fastudp_recv(socket, &m, 1, flags);
  if (received <= 0) return received;
  if (from != nullptr) *from = m.peer;
  return flags & FASTUDP_TRUNC ? m.length : m.size;
}

int fastudp_borrow(fastudp_socket* socket, fastudp_msg* msgs, size_t count, int flags) {
  if (socket == nullptr || (msgs == nullptr && count != 0)) return -EFAULT;
  if (flags & message_flag::continued) return -EOPNOTSUPP;
  const auto borrow = [&](std::span<message> batch, bool later) {
    return open(socket).borrow(batch, flags_of_piece(flags, later));
  };
  return in_pieces(msgs, std::min<size_t>(count, INT_MAX), borrow, write_back_for(socket));
}

int fastudp_alloc(fastudp_socket* socket, fastudp_msg* msgs, size_t count) {
  if (socket == nullptr || (msgs == nullptr && count != 0)) return -EFAULT;
  const auto allocate = [&](std::span<message> batch, bool) { return open(socket).allocate(batch); };
  return in_pieces(msgs, std::min<size_t>(count, INT_MAX), allocate, [](const message& m, fastudp_msg& out) {
    out.data = m.data.data();
    out.frame = reinterpret_cast<fastudp_frame*>(m.frame);
  });
}

int fastudp_submit(fastudp_socket* socket, fastudp_msg* msgs, size_t count, int flags) {
  if (socket == nullptr || (msgs == nullptr && count != 0)) return -EFAULT;
  const auto submit = [&](std::span<message> batch, bool) { return open(socket).submit(batch, flags); };
  return send_burst(msgs, count, submit, [](const message&, fastudp_msg& out) { out.frame = nullptr; });
}

int fastudp_release(fastudp_msg* msgs, size_t count) {
  if (msgs == nullptr && count != 0) return -EFAULT;
  int released = 0;
  for (size_t i = 0; i < count; ++i) {
    if (msgs[i].frame == nullptr) continue;
    endpoint::give_back(reinterpret_cast<packet*>(msgs[i].frame));
    msgs[i].frame = nullptr;
    ++released;
  }
  return released;
}

int fastudp_socket_poll(fastudp_socket* socket) { return socket == nullptr ? -EFAULT : open(socket).poll(); }

int64_t fastudp_socket_next_length(fastudp_socket* socket) {
  return socket == nullptr ? -EFAULT : static_cast<int64_t>(open(socket).next_length());
}

int fastudp_socket_wait(fastudp_socket* socket, int events, int64_t timeout_ns) {
  if (socket == nullptr) return -EFAULT;
  return to_int(open(socket).wait(events, timeout_ns));
}

int fastudp_socket_fd(fastudp_socket* socket) {
  return socket == nullptr ? -EFAULT : to_int(open(socket).descriptor());
}

int fastudp_socket_why(fastudp_socket* socket, char* text, size_t size) {
  if (socket == nullptr) return -EFAULT;
  const reason why = open(socket).why();
  copy_text(why.c_str(), text, size);
  return static_cast<int>(std::strlen(why.c_str()));
}
