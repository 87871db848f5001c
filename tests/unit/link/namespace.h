#pragma once
// A network namespace for this process, and raw sockets on the kernel's end of its interfaces.

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "unit/link/support.h"

namespace fastudp::test {

// Long enough for any machine: what is waited for either comes, or is lost for good.
inline constexpr int patience_ms = 20'000;

inline bool readable(int fd, int timeout_ms) {
  pollfd self{fd, POLLIN, 0};
  return ::poll(&self, 1, timeout_ms) == 1;
}

inline void write_file(const char* path, const std::string& text) {
  const descriptor file(::open(path, O_WRONLY | O_CLOEXEC));
  if (::write(file.number(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    ADD_FAILURE() << path << ": " << std::strerror(errno);
  }
}

// Moves the calling thread, and those that it starts from then on, into a namespace that goes when the process does. An
// empty text, or why that isn't possible here.
inline const std::string& enter_namespace() {
  static const std::string problem = []() -> std::string {
    const auto user = std::to_string(::getuid());
    const int flags = ::getuid() == 0 ? CLONE_NEWNET : CLONE_NEWNET | CLONE_NEWUSER;
    if (::unshare(flags) != 0) return std::string("no network namespace can be made: ") + std::strerror(errno);
    if ((flags & CLONE_NEWUSER) != 0) write_file("/proc/self/uid_map", "0 " + user + " 1");
    if (::access("/dev/net/tun", R_OK | W_OK) != 0) return "/dev/net/tun can't be opened by this user";
    write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");  // it would talk of its own accord
    return "";
  }();
  return problem;
}

// Of the BPF programs.
inline std::string plugin() {
  const char* build = std::getenv("FASTUDP_BUILD_DIR");
  return std::string(build != nullptr ? build : ".") + "/abi/fastudp-bpf.so";
}

inline constexpr const char* without_plugin = "fastudp-bpf.so isn't built: it needs clang and libbpf";
inline bool has_plugin() { return ::access(plugin().c_str(), R_OK) == 0; }

// Takes frames until there are as many as expected, sleeping on the descriptor as the contract says.
inline std::vector<frame> receive_awaited(host& from, std::size_t expected) {
  std::vector<frame> out;
  while (out.size() < expected) {
    if (from->arm() && !readable(from->wait_fd(), patience_ms)) break;
    const auto some = from.receive();
    out.insert(out.end(), some.begin(), some.end());
  }
  return out;
}

inline int run(const std::string& command) { return std::system(command.c_str()); }

// A cable from `near` to far, both in this namespace, that frames pass: each end has a carrier.
inline void make_cable(const std::string& near) {
  ASSERT_EQ(
      run("ip link add " + near + " type veth peer name far && ip link set " + near + " up && ip link set far up"), 0);
  while (run("ip link show " + near + " | grep -q LOWER_UP") != 0) continue;
}

// Sees and sends frames of the tests' own type on the kernel's side of an interface.
class packet_socket {
 public:
  explicit packet_socket(const std::string& interface, std::uint16_t type = 0x88b5) {
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(type);
    at.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    file_ = descriptor(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int room = 8 << 20;
    ::setsockopt(file_.number(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    EXPECT_EQ(::bind(file_.number(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0) << std::strerror(errno);
  }
  void send(const frame& bytes) {
    EXPECT_EQ(::send(file_.number(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()))
        << std::strerror(errno);
  }
  std::vector<frame> receive(std::size_t expected) {
    std::vector<frame> out;
    std::vector<char> buffer(70'000);
    while (out.size() < expected && readable(file_.number(), patience_ms)) {
      const auto n = ::recv(file_.number(), buffer.data(), buffer.size(), 0);
      if (n >= 0) out.emplace_back(buffer.data(), static_cast<std::size_t>(n));
    }
    return out;
  }
  bool nothing_there() { return !readable(file_.number(), 0); }

 private:
  descriptor file_;
};

}  // namespace fastudp::test
