#include "host/companion.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

namespace fastudp {
namespace {

union kernel_address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

// As a socket of the family takes it: to one of IPv6 an IPv4 address is a mapped one. An IPv6 address is the kernel's
// to refuse on a socket of IPv4.
kernel_address to_sockaddr(const endpoint_address& in, ip_family family) {
  kernel_address out{};
  if (family == ip_family::v4 && in.address.is_v4()) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(in.port);
    out.v4.sin_addr = std::bit_cast<in_addr>(in.address.ipv4());
  } else {
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(in.port);
    out.v6.sin6_addr = std::bit_cast<in6_addr>(in.address.bytes);
    out.v6.sin6_scope_id = in.scope;
  }
  return out;
}

endpoint_address from_sockaddr(const kernel_address& in, ip_family family) {
  if (in.any.sa_family == AF_INET) {
    return {.address = std::bit_cast<ipv4_address>(in.v4.sin_addr), .port = ntohs(in.v4.sin_port)};
  }
  if (in.any.sa_family != AF_INET6) return {.address = ip_address::any(family)};
  return {.address = std::bit_cast<ipv6_address>(in.v6.sin6_addr),
          .port = ntohs(in.v6.sin6_port),
          .scope = in.v6.sin6_scope_id};
}

socklen_t size_of(const kernel_address& a) { return a.any.sa_family == AF_INET ? sizeof a.v4 : sizeof a.v6; }

status outcome(int returned) { return returned < 0 ? status(error{errno}) : status{}; }

template <typename T>
result<T> option(int socket, int level, int name) {
  T out{};
  socklen_t size = sizeof out;
  if (::getsockopt(socket, level, name, &out, &size) != 0) return error{errno};
  return out;
}

// The headers of one system call for many datagrams.
struct headers {
  std::array<mmsghdr, companion::most_at_once> all;
  std::array<iovec, companion::most_at_once> data;
  std::array<kernel_address, companion::most_at_once> peers;

  void describe(std::size_t i, kernel_message& m) {
    data[i] = {m.data.data(), m.data.size()};
    all[i] = {};
    msghdr& header = all[i].msg_hdr;
    header.msg_iov = &data[i];
    header.msg_iovlen = 1;
    header.msg_control = m.control.empty() ? nullptr : m.control.data();
    header.msg_controllen = m.control.size();
  }
};

}  // namespace

result<companion> companion::open(ip_family family) {
  companion out;
  const int domain = family == ip_family::v4 ? AF_INET : AF_INET6;
  out.family_ = family;
  out.owned_ = descriptor(::socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!out.owned_) return error{errno};
  out.number_ = out.owned_.number();
  return out;
}

result<companion> companion::adopt(int socket) {
  const auto domain = option<int>(socket, SOL_SOCKET, SO_DOMAIN);
  if (!domain) return domain.failure();
  const auto type = option<int>(socket, SOL_SOCKET, SO_TYPE), protocol = option<int>(socket, SOL_SOCKET, SO_PROTOCOL);
  if (!type || !protocol || *type != SOCK_DGRAM || *protocol != IPPROTO_UDP) return error{EPROTONOSUPPORT};
  if (*domain != AF_INET && *domain != AF_INET6) return error{EAFNOSUPPORT};
  companion out;
  out.family_ = *domain == AF_INET ? ip_family::v4 : ip_family::v6;
  out.number_ = socket;
  return out;
}

int companion::number() const { return number_; }

status companion::bind(const endpoint_address& where) {
  const kernel_address at = to_sockaddr(where, family_);
  return outcome(::bind(number_, &at.any, size_of(at)));
}

status companion::connect(const endpoint_address& to) {
  const kernel_address at = to_sockaddr(to, family_);
  return outcome(::connect(number_, &at.any, size_of(at)));
}

status companion::disconnect() {
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  return outcome(::connect(number_, &nobody, sizeof nobody));
}

status companion::shut_down(int how) { return outcome(::shutdown(number_, how)); }

result<endpoint_address> companion::local() const {
  kernel_address at{};
  socklen_t size = sizeof at;
  if (::getsockname(number_, &at.any, &size) != 0) return error{errno};
  return from_sockaddr(at, family_);
}

result<endpoint_address> companion::peer() const {
  kernel_address at{};
  socklen_t size = sizeof at;
  if (::getpeername(number_, &at.any, &size) != 0) return error{errno};
  return from_sockaddr(at, family_);
}

status companion::set_option(int level, int name, std::span<const std::byte> value) {
  const auto set = outcome(::setsockopt(number_, level, name, value.data(), static_cast<socklen_t>(value.size())));
  had_filter_ |= set && level == SOL_SOCKET && (name == SO_ATTACH_FILTER || name == SO_ATTACH_BPF);
  if (set && level == SOL_SOCKET && name == SO_PEEK_OFF) {
    int offset;
    std::memcpy(&offset, value.data(), sizeof offset);
    std::atomic_ref(moves_by_bytes_).store(offset >= 0, std::memory_order_relaxed);
  }
  return set;
}

result<std::size_t> companion::get_option(int level, int name, std::span<std::byte> value) const {
  auto size = static_cast<socklen_t>(value.size());
  if (::getsockopt(number_, level, name, value.data(), &size) != 0) return error{errno};
  return std::size_t{size};
}

std::uint32_t companion::drops() const {
  std::array<std::uint32_t, SK_MEMINFO_VARS> counts{};
  const auto got = get_option(SOL_SOCKET, SO_MEMINFO, std::as_writable_bytes(std::span(counts)));
  return got ? counts[SK_MEMINFO_DROPS] : 0;
}

std::uint32_t companion::next_length() const {
  int length = 0;
  return ::ioctl(number_, FIONREAD, &length) == 0 ? static_cast<std::uint32_t>(length) : 0;
}

// A socket without SO_BROADCAST sends nothing to everybody, and says so after it has read the control messages.
bool companion::takes_stamp_ids() const {
  constexpr int id_message = 81, ids = 1 << 7;
  const descriptor probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!probe || ::setsockopt(probe.number(), SOL_SOCKET, SO_TIMESTAMPING, &ids, sizeof ids) != 0) return false;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::uint32_t))] = {};
  const cmsghdr header{.cmsg_len = CMSG_LEN(sizeof(std::uint32_t)), .cmsg_level = SOL_SOCKET, .cmsg_type = id_message};
  std::memcpy(control, &header, sizeof header);
  sockaddr_in everybody{};
  everybody.sin_family = AF_INET;
  everybody.sin_port = htons(9);
  everybody.sin_addr.s_addr = INADDR_BROADCAST;
  msghdr m{};
  m.msg_name = &everybody;
  m.msg_namelen = sizeof everybody;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  return ::sendmsg(probe.number(), &m, MSG_DONTWAIT) < 0 && errno != EINVAL;
}

// Sending binds, before anything is said of what is sent: nothing, out of band, without a peer.
void companion::choose_port() { (void)!::send(number_, nullptr, 0, MSG_OOB | MSG_DONTWAIT); }

bool companion::has_datagram() const {
  std::uint32_t memory[SK_MEMINFO_VARS]{};
  socklen_t size = sizeof memory;
  if (::getsockopt(number_, SOL_SOCKET, SO_MEMINFO, memory, &size) != 0) return true;
  return memory[SK_MEMINFO_RMEM_ALLOC] != 0;
}

std::uint32_t companion::receive_buffer() const {
  const auto bytes = option<std::uint32_t>(number_, SOL_SOCKET, SO_RCVBUF);
  return bytes ? *bytes : 0;
}

bool companion::is_v6_only() const {
  const auto only = option<int>(number_, IPPROTO_IPV6, IPV6_V6ONLY);
  return only && *only != 0;
}

result<std::size_t> companion::write_name(const endpoint_address& name, ip_family family, std::span<std::byte> to) {
  const kernel_address out = to_sockaddr(name, family);
  if (to.size() > size_of(out)) return error{EINVAL};
  std::memcpy(to.data(), &out, to.size());
  return to.size();
}

// The option is the program's, and stays as it is.
status companion::bind_to_foreign(const endpoint_address& where) {
  const int level = family_ == ip_family::v4 ? IPPROTO_IP : IPPROTO_IPV6;
  const int name = family_ == ip_family::v4 ? IP_FREEBIND : IPV6_FREEBIND, on = 1;
  const auto before = option<int>(number_, level, name);
  if (!before) return before.failure();
  if (::setsockopt(number_, level, name, &on, sizeof on) != 0) return error{errno};
  const auto bound = bind(where);
  (void)::setsockopt(number_, level, name, &*before, sizeof *before);
  return bound;
}

result<std::size_t> companion::send(std::span<kernel_message> messages, int flags) {
  headers h;
  const std::size_t count = std::min(messages.size(), most_at_once);
  for (std::size_t i = 0; i < count; ++i) {
    h.describe(i, messages[i]);
    if (!messages[i].has_peer) continue;
    h.peers[i] = to_sockaddr(messages[i].peer, family_);
    h.all[i].msg_hdr.msg_name = &h.peers[i];
    h.all[i].msg_hdr.msg_namelen = size_of(h.peers[i]);
  }
  const int sent = ::sendmmsg(number_, h.all.data(), static_cast<unsigned>(count), flags);
  if (sent < 0) return error{errno};
  return static_cast<std::size_t>(sent);
}

result<std::size_t> companion::receive(std::span<kernel_message> messages, int flags) {
  headers h;
  const std::size_t count = std::min(messages.size(), most_at_once);
  for (std::size_t i = 0; i < count; ++i) {
    h.describe(i, messages[i]);
    h.all[i].msg_hdr.msg_name = &h.peers[i];
    h.all[i].msg_hdr.msg_namelen = sizeof h.peers[i];
    h.peers[i] = {};
  }
  // The datagram's own length, whatever fits; by which SO_PEEK_OFF would move.
  const int length = std::atomic_ref(moves_by_bytes_).load(std::memory_order_relaxed) ? 0 : MSG_TRUNC;
  const int got =
      ::recvmmsg(number_, h.all.data(), static_cast<unsigned>(count), flags | length | MSG_WAITFORONE, nullptr);
  if (got < 0) return error{errno};
  for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
    const msghdr& header = h.all[i].msg_hdr;
    kernel_message& m = messages[i];
    m.length = h.all[i].msg_len;
    m.data = m.data.first(std::min<std::size_t>(m.data.size(), m.length));
    m.control = m.control.first(header.msg_controllen);
    m.peer = from_sockaddr(h.peers[i], family_);
    m.has_peer = header.msg_namelen != 0;
    m.flags = header.msg_flags;
  }
  return static_cast<std::size_t>(got);
}

// The program's own filter follows where everything is let in, with nothing in the accumulator, as it expects.
status companion::keep_out(int interface, std::span<const sock_filter> program) {
  socklen_t instructions = 0;  // of a filter that is there already
  if (::getsockopt(number_, SOL_SOCKET, SO_GET_FILTER, nullptr, &instructions) == 0 && instructions != 0 &&
      program.empty() && !is_kept_out_)
    return error{EBUSY};
  constexpr auto ancillary = [](int what) { return static_cast<std::uint32_t>(SKF_AD_OFF + what); };
  constexpr auto ip = static_cast<std::uint32_t>(SKF_NET_OFF);
  constexpr std::uint32_t destination_v4 = ip + 16, destination_v6 = ip + 24, everything = 0xffffffff;
  const sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_IFINDEX)),
                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(interface), 0, 10),
                              BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_PKTTYPE)),
                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_HOST, 0, 8),
                              BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ip),
                              BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 2),
                              BPF_STMT(BPF_LD | BPF_B | BPF_ABS, destination_v4),
                              BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0xe0, 3, 2),  // groups
                              BPF_STMT(BPF_LD | BPF_B | BPF_ABS, destination_v6),
                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xff, 1, 0),
                              BPF_STMT(BPF_RET | BPF_K, 0),
                              BPF_STMT(BPF_RET | BPF_K, everything)};
  const std::size_t own = std::size(code), whole = own + program.size();
  if (whole > BPF_MAXINSNS) return error{E2BIG};
  const std::unique_ptr<sock_filter[]> both(new (std::nothrow) sock_filter[whole]);
  if (both == nullptr) return error{ENOMEM};
  std::copy_n(code, own, both.get());
  if (!program.empty()) both[own - 1] = sock_filter BPF_STMT(BPF_LD | BPF_IMM, 0);
  std::ranges::copy(program, both.get() + own);
  const auto attached = attach({both.get(), whole});
  is_kept_out_ |= bool(attached);
  return attached;
}

status companion::attach(std::span<const sock_filter> filter) {
  had_filter_ = true;
  const sock_fprog program{.len = static_cast<unsigned short>(filter.size()),
                           .filter = const_cast<sock_filter*>(filter.data())};
  return outcome(::setsockopt(number_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
}

void companion::let_in(std::span<const sock_filter> program) {
  if (!is_kept_out_) return;
  is_kept_out_ = false;
  if (program.empty() || !attach(program)) detach();
}

void companion::detach() {
  const int nothing = 0;
  (void)::setsockopt(number_, SOL_SOCKET, SO_DETACH_FILTER, &nothing, sizeof nothing);
}

}  // namespace fastudp
