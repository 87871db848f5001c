// One direction over a link, a role of each end:
//   receive PORT one|many           counts datagrams by plain socket calls, until none comes for a while
//   send ADDRESS PORT SIZE MS one|many
//   raw-receive URI ADDRESS PORT    counts frames with IPv4 of the bare link: no headers, no checksums, no sockets;
//   where the
//                                   addresses are the kernel's, those to there
//   raw-send URI MAC SIZE MS        sends such frames
//   flood INTERFACE SIZE MS MAC ADDRESS PORT   as an endless NIC: frames that lie ready, sent out there by the kernel
//   itself drop INTERFACE                  takes IPv4 off that interface before the kernel looks at it
// Receivers say "ready MAC" first; all but drop print how many, and nanoseconds. What carries the socket calls is what
// the program is run under.

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <span>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/counters.h"
#include "link/link.h"
#include "link/registry.h"
#include "link/steering.h"
#include "link/uri.h"
#include "wire/checksum.h"

namespace {

using namespace fastudp;

constexpr unsigned most_at_once = 64;
constexpr std::size_t longest = 1472, headers = 42;
constexpr int silence = 300;  // milliseconds, after which a receiver has had all

std::int64_t now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

// From the first burst that came to the last.
class tally {
 public:
  void add(long more) {
    const std::int64_t at = now();
    if (count_ == 0) first_ = at;
    count_ += more;
    last_ = at;
  }
  void print() const { std::printf("%ld %lld\n", count_, static_cast<long long>(last_ - first_)); }
  bool has_begun() const { return count_ != 0; }

 private:
  long count_ = 0;
  std::int64_t first_ = 0, last_ = 0;
};

// ---- By sockets

struct messages {
  explicit messages(std::size_t size) {
    for (unsigned i = 0; i != most_at_once; ++i) {
      piece[i] = {data[i].data(), size};
      many[i].msg_hdr = {};
      many[i].msg_hdr.msg_iov = &piece[i];
      many[i].msg_hdr.msg_iovlen = 1;
    }
  }
  std::array<std::array<char, longest>, most_at_once> data{};
  std::array<iovec, most_at_once> piece{};
  std::array<mmsghdr, most_at_once> many{};
};

// The clock is read once for as many as one call of the other kind gives.
long receive_one_by_one(int fd, messages& in) {
  long got = 0;
  while (got != most_at_once && ::recv(fd, in.data[0].data(), longest, got == 0 ? 0 : MSG_DONTWAIT) >= 0) ++got;
  return got;
}

int receive(std::uint16_t port, bool many) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  const timeval patience{0, silence * 1000};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) fail("bind");
  messages in(longest);
  tally all;
  say("ready");
  for (;;) {
    const long got =
        many ? ::recvmmsg(fd, in.many.data(), most_at_once, MSG_WAITFORONE, nullptr) : receive_one_by_one(fd, in);
    if (got > 0) all.add(got);
    if (got <= 0 && all.has_begun()) break;
  }
  all.print();
  return 0;
}

int send(const char* address, std::uint16_t port, std::size_t size, int milliseconds, bool many) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  if (::inet_pton(AF_INET, address, &where.sin_addr) != 1) fail("address");
  if (::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) fail("connect");
  messages out(size);
  for (int tries = 0; ::send(fd, out.data[0].data(), size, 0) < 0 && tries < 100; ++tries) ::usleep(10'000);
  const std::int64_t start = now(), end = start + std::int64_t{milliseconds} * 1'000'000;
  std::int64_t stop = start;
  long sent = 0;
  for (; stop < end; stop = now()) {
    if (many) {
      const int went = ::sendmmsg(fd, out.many.data(), most_at_once, 0);
      sent += went > 0 ? went : 0;
    } else {
      for (unsigned i = 0; i != most_at_once; ++i) sent += ::send(fd, out.data[0].data(), size, 0) >= 0;
    }
  }
  std::printf("%ld %lld\n", sent, static_cast<long long>(stop - start));
  return 0;
}

// ---- By frames

mac_address mac_of(std::string_view text) {
  const auto parsed = parse_mac(text);
  if (!parsed) fail("MAC address");
  return *parsed;
}

using frame = std::array<std::byte, headers + longest>;

// An UDP datagram over IPv4 with right checksums.
frame make_frame(const mac_address& to, const mac_address& from, const char* source, const char* destination,
                 std::uint16_t port, std::size_t size) {
  frame out{};
  auto* at = reinterpret_cast<std::uint8_t*>(out.data());
  const auto put = [&](std::size_t place, std::uint16_t value) {
    at[place] = static_cast<std::uint8_t>(value >> 8);
    at[place + 1] = static_cast<std::uint8_t>(value);
  };
  const auto sum_of = [&](std::size_t first, std::size_t length) {
    checksum_sum sum;
    sum.add(std::span(out).subspan(first, length));
    return sum;
  };
  std::memcpy(at, to.bytes.data(), 6);
  std::memcpy(at + 6, from.bytes.data(), 6);
  put(12, 0x0800);
  put(14, 0x4500);
  put(16, static_cast<std::uint16_t>(28 + size));
  put(20, 0x4000);
  put(22, 64 << 8 | IPPROTO_UDP);
  ::inet_pton(AF_INET, source, at + 26);
  ::inet_pton(AF_INET, destination, at + 30);
  put(24, sum_of(14, 20).finish());
  put(34, 9);
  put(36, port);
  put(38, static_cast<std::uint16_t>(8 + size));
  auto sum = sum_of(26, 16 + size);  // addresses, header, data
  sum.add_word(IPPROTO_UDP);
  sum.add_word(static_cast<std::uint16_t>(8 + size));
  put(40, sum.finish());
  return out;
}

struct bare_link {
  explicit bare_link(const char* uri_text) : text(uri_text) {
    if (!text.starts_with("dpdk:")) claims = std::move(*must(steering::load(why)));
    auto where = must(uri::parse(text, why));
    link = std::move(*must(open_link(*where, {.count = count, .claims = claims.get()}, why)));
  }
  template <typename T>
  T must(T outcome) {
    if (outcome) return outcome;
    std::fprintf(stderr, "%s\n", why.c_str());
    std::exit(1);
  }
  std::string text;
  reason why;
  counters count;
  std::unique_ptr<steering> claims;  // outlives the link
  link_ptr link;
};

bool is_ipv4(packet& p) { return p.length > headers && p.data()[12] == std::byte{8} && p.data()[13] == std::byte{0}; }

// False: nothing comes any more.
bool wait_for_more(fastudp::link& from) {
  if (!from.arm()) return true;
  pollfd one{from.wait_fd(), POLLIN, 0};
  return ::poll(&one, 1, silence) > 0;
}

int raw_receive(const char* uri_text, const char* address, std::uint16_t port) {
  bare_link from(uri_text);
  if (from.link->info().steered) {
    (void)from.must(
        from.claims->add({.local = *parse_ip(address), .remote = {}, .local_port = port, .remote_port = 0}, 0));
  }
  char mac[32];
  const auto& b = from.link->info().mac.bytes;
  std::snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
  say(std::string("ready ") + mac);
  tally all;
  for (bool goes_on = true; goes_on;) {
    burst in;
    from.link->rx_burst(in);
    long got = 0;
    for (packet* p : in.packets()) got += is_ipv4(*p);
    if (got != 0) all.add(got);
    if (in.size() == 0) goes_on = wait_for_more(*from.link) || !all.has_begun();
    in.release_all();
  }
  all.print();
  return 0;
}

int raw_send(const char* uri_text, const char* mac, std::size_t size, int milliseconds) {
  bare_link to(uri_text);
  const frame whole = make_frame(mac_of(mac), to.link->info().mac, "10.77.0.9", "10.77.0.2", 9, size);
  const std::int64_t start = now(), end = start + std::int64_t{milliseconds} * 1'000'000;
  std::int64_t stop = start;
  long sent = 0;
  burst out;
  for (; stop < end; stop = now()) {
    while (out.room() != 0) {
      packet* p = to.link->frames().take();
      if (p == nullptr) break;
      p->length = static_cast<std::uint32_t>(headers + size);
      std::memcpy(p->data(), whole.data(), headers);
      out.append(p);
    }
    const auto taken = to.link->tx_burst(out);
    to.link->tx_flush();
    out.forget_front(taken);
    sent += static_cast<long>(taken);
  }
  out.release_all();
  std::printf("%ld %lld\n", sent, static_cast<long long>(stop - start));
  return 0;
}

// ---- By the kernel's XDP

long bpf(int command, bpf_attr& about) { return ::syscall(SYS_bpf, command, &about, sizeof about); }

constexpr bpf_insn instruction(std::uint8_t code, std::uint8_t to, std::uint8_t from, std::int16_t offset,
                               std::int32_t value) {
  bpf_insn out{};
  out.code = code;
  out.dst_reg = to & 0xf;
  out.src_reg = from & 0xf;
  out.off = offset;
  out.imm = value;
  return out;
}

int load(std::span<const bpf_insn> program) {
  bpf_attr about{};
  about.prog_type = BPF_PROG_TYPE_XDP;
  about.insns = reinterpret_cast<std::uintptr_t>(program.data());
  about.insn_cnt = static_cast<std::uint32_t>(program.size());
  about.license = reinterpret_cast<std::uintptr_t>("GPL");
  const long fd = bpf(BPF_PROG_LOAD, about);
  if (fd < 0) fail("BPF_PROG_LOAD");
  return static_cast<int>(fd);
}

int number_of(const char* interface) {
  const int number = static_cast<int>(::if_nametoindex(interface));
  if (number == 0) fail(interface);
  return number;
}

int drop_all(const char* interface) {
  const bpf_insn program[] = {
      instruction(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0),       // r2 = data
      instruction(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0),       // r3 = its end
      instruction(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),     // r4 = behind Ethernet's header
      instruction(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 14),    //
      instruction(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 4, 0),       // shorter: pass
      instruction(BPF_LDX | BPF_MEM | BPF_H, 5, 2, 12, 0),      // r5 = ether type
      instruction(BPF_JMP | BPF_JNE | BPF_K, 5, 0, 2, 0x0008),  // not IPv4, in network order: pass
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP), instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS), instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  bpf_attr about{};
  about.link_create.prog_fd = static_cast<std::uint32_t>(load(program));
  about.link_create.target_ifindex = static_cast<std::uint32_t>(number_of(interface));
  about.link_create.attach_type = BPF_XDP;
  if (bpf(BPF_LINK_CREATE, about) < 0) fail("BPF_LINK_CREATE");
  say("ready");
  ::pause();
  return 0;
}

int flood(const char* interface, std::size_t size, int milliseconds, const char* mac, const char* address,
          std::uint16_t port) {
  constexpr int redirect = 23;  // bpf_redirect(interface, flags)
  const bpf_insn program[] = {
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, number_of(interface)),
      instruction(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0),
      instruction(BPF_JMP | BPF_CALL, 0, 0, 0, redirect),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  const frame whole = make_frame(mac_of(mac), mac_of("02:00:00:00:00:99"), "10.77.0.2", address, port, size);
  bpf_attr about{};
  about.test.prog_fd = static_cast<std::uint32_t>(load(program));
  about.test.data_in = reinterpret_cast<std::uintptr_t>(whole.data());
  about.test.data_size_in = static_cast<std::uint32_t>(headers + size);
  about.test.repeat = 1 << 15;
  about.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  const std::int64_t start = now(), end = start + std::int64_t{milliseconds} * 1'000'000;
  long sent = 0;
  std::int64_t stop = start;
  for (; stop < end; stop = now()) {
    if (bpf(BPF_PROG_TEST_RUN, about) < 0) fail("BPF_PROG_TEST_RUN");
    sent += about.test.repeat;
  }
  std::printf("%ld %lld\n", sent, static_cast<long long>(stop - start));
  return 0;
}

std::uint16_t port_of(const char* text) { return static_cast<std::uint16_t>(std::atoi(text)); }
std::size_t size_of(const char* text) { return std::min<std::size_t>(std::strtoul(text, nullptr, 10), longest); }

}  // namespace

int main(int count, char** words) {
  const std::string_view role = count > 1 ? words[1] : "";
  char** with = words + 2;
  const auto is = [&](std::string_view name, int arguments) { return role == name && count == arguments + 2; };
  if (is("receive", 2)) return receive(port_of(with[0]), with[1] == std::string_view("many"));
  if (is("send", 5))
    return send(with[0], port_of(with[1]), size_of(with[2]), std::atoi(with[3]), with[4] == std::string_view("many"));
  if (is("raw-receive", 3)) return raw_receive(with[0], with[1], port_of(with[2]));
  if (is("raw-send", 4)) return raw_send(with[0], with[1], size_of(with[2]), std::atoi(with[3]));
  if (is("flood", 6)) return flood(with[0], size_of(with[1]), std::atoi(with[2]), with[3], with[4], port_of(with[5]));
  if (is("drop", 1)) return drop_all(with[0]);
  std::fprintf(stderr, "no such role; they stand at the head of links.cpp\n");
  return 2;
}
