#include "link/packet/socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fastudp::af_packet {
namespace {

constexpr std::uint32_t everything = 0xffffffff;

status set(int socket, int level, int name, const void* value, std::size_t size, reason& why, const char* what) {
  if (::setsockopt(socket, level, name, value, static_cast<socklen_t>(size)) == 0) return {};
  return why.fail(errno, "a packet socket doesn't take %s: %m", what);
}

status switch_on(int socket, int name, reason& why, const char* what) {
  const int on = 1;
  return set(socket, SOL_PACKET, name, &on, sizeof on, why, what);
}

template <std::size_t N>
status attach(int socket, const sock_filter (&code)[N], reason& why) {
  const sock_fprog program{.len = N, .filter = const_cast<sock_filter*>(code)};
  return set(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program, why, "a filter");
}

status ask(int control, unsigned long request, ifreq& about, reason& why) {
  if (::ioctl(control, request, &about) == 0) return {};
  return why.fail(errno, "%s can't be asked: %m", about.ifr_name);
}

status enlarge(int socket, int forced, int asked, int bytes) {
  if (::setsockopt(socket, SOL_SOCKET, forced, &bytes, sizeof bytes) == 0) return {};
  return ::setsockopt(socket, SOL_SOCKET, asked, &bytes, sizeof bytes) == 0 ? status{} : error{errno};
}

result<descriptor> make_socket(const interface_facts& of, reason& why) {
  descriptor out(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!out) {
    if (errno != EPERM) return why.fail(errno, "packet:%s can't be opened: %m", of.name);
    // Not by setcap: a program with file capabilities can't be preloaded.
    return why.fail(EPERM,
                    "packet:%s needs CAP_NET_RAW: run as root, or have root start it by 'setpriv --reuid=USER "
                    "--init-groups --inh-caps=+net_raw --ambient-caps=+net_raw'",
                    of.name);
  }
  const int number = out.number();
  if (auto done = switch_on(number, PACKET_VNET_HDR, why, "virtio-net headers"); !done) return done.failure();
  // Straight to the driver. A queueing discipline would see what the program's other datagrams don't pass either.
  (void)switch_on(number, PACKET_QDISC_BYPASS, why, "to go round the queueing discipline");
  return out;
}

status bind_to(int socket, const interface_facts& of, int protocol, reason& why) {
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_protocol = htons(static_cast<std::uint16_t>(protocol));
  at.sll_ifindex = of.index;
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) return {};
  return why.fail(errno, "packet:%s can't be bound to its interface: %m", of.name);
}

}  // namespace

result<interface_facts> look_up(std::string_view name, reason& why) {
  interface_facts out;
  if (name.empty()) return why.fail(EINVAL, "packet: needs the name of an interface, for instance packet:eth0");
  const auto width = static_cast<int>(std::min<std::size_t>(name.size(), 64));
  if (name.size() >= sizeof out.name)
    return why.fail(ENODEV, "there is no interface '%.*s': 'ip link' lists them", width, name.data());
  name.copy(out.name, sizeof out.name - 1);
  out.index = static_cast<int>(::if_nametoindex(out.name));
  if (out.index == 0) return why.fail(ENODEV, "there is no interface '%s': 'ip link' lists them", out.name);
  const descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq about{};
  std::memcpy(about.ifr_name, out.name, sizeof out.name);
  if (auto asked = ask(control.number(), SIOCGIFMTU, about, why); !asked) return asked.failure();
  out.mtu = static_cast<std::uint32_t>(about.ifr_mtu);
  if (auto asked = ask(control.number(), SIOCGIFHWADDR, about, why); !asked) return asked.failure();
  if (about.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    return why.fail(EINVAL, "%s isn't Ethernet: use another interface, or the kernel's sockets with host:", out.name);
  }
  std::memcpy(out.mac.bytes.data(), about.ifr_hwaddr.sa_data, out.mac.bytes.size());
  return out;
}

result<descriptor> open_socket(const interface_facts& of, reason& why) {
  auto out = make_socket(of, why);
  if (!out) return out.failure();
  if (auto done = switch_on(out->number(), PACKET_IGNORE_OUTGOING, why, "to ignore what goes out"); !done)
    return done.failure();
  // Room for super-packets, which don't fit into a slot of either ring.
  (void)enlarge(out->number(), SO_RCVBUFFORCE, SO_RCVBUF, 8 * 1024 * 1024);
  (void)enlarge(out->number(), SO_SNDBUFFORCE, SO_SNDBUF, 8 * 1024 * 1024);
  return out;
}

result<descriptor> open_to_send(const interface_facts& of, reason& why) {
  auto out = make_socket(of, why);
  if (!out) return out.failure();
  constexpr int nothing = 0;
  if (auto bound = bind_to(out->number(), of, nothing, why); !bound) return bound.failure();
  // It is the ring that limits how much the device has at a time.
  (void)enlarge(out->number(), SO_SNDBUFFORCE, SO_SNDBUF, 8 * 1024 * 1024);
  return out;
}

status filter_shared(int socket, reason& why) {
  constexpr auto ancillary = [](int what) { return static_cast<std::uint32_t>(SKF_AD_OFF + what); };
  constexpr std::uint32_t vlan_bits = 0x0fff, type_at = 12, protocol_v4 = ETH_HLEN + 9, protocol_v6 = ETH_HLEN + 6;
  constexpr std::uint32_t icmpv6_type_at = ETH_HLEN + 40, first_informational = 128;
  static constexpr sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_PKTTYPE)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_HOST, 0, 25),
      // A VLAN is another network, but a tag with a priority alone is none, to the host's sockets neither.
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_VLAN_TAG_PRESENT)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_VLAN_TAG)),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, vlan_bits, 21, 0), BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type_at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 9, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 18),
      // IPv4
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, protocol_v4), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 15, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMP, 0, 15), BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, ETH_HLEN),
      BPF_STMT(BPF_LD | BPF_B | BPF_IND, ETH_HLEN), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_DEST_UNREACH, 11, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_TIME_EXCEEDED, 10, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_PARAMETERPROB, 9, 10),
      // IPv6: behind extension headers there may be a datagram
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, protocol_v6), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 7, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_FRAGMENT, 6, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_HOPOPTS, 5, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ROUTING, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_DSTOPTS, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 3), BPF_STMT(BPF_LD | BPF_B | BPF_ABS, icmpv6_type_at),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first_informational, 1, 0), BPF_STMT(BPF_RET | BPF_K, everything),
      BPF_STMT(BPF_RET | BPF_K, 0)};
  return attach(socket, code, why);
}

status filter_by_program(int socket, int program, reason& why) {
  return set(socket, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program, why, "a BPF program");
}

bool change_membership(int socket, int interface, int kind, const mac_address& of, bool wanted) {
  packet_mreq change{};
  change.mr_ifindex = interface;
  change.mr_type = static_cast<unsigned short>(kind);
  change.mr_alen = static_cast<unsigned short>(of.bytes.size());
  std::memcpy(change.mr_address, of.bytes.data(), of.bytes.size());
  const int name = wanted ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP;
  return ::setsockopt(socket, SOL_PACKET, name, &change, sizeof change) == 0;
}

status receive_for(int socket, const interface_facts& of, const mac_address& mac, reason& why) {
  if (change_membership(socket, of.index, PACKET_MR_UNICAST, mac, true)) return {};
  if (change_membership(socket, of.index, PACKET_MR_PROMISC, mac, true)) return {};
  return why.fail(errno, "a packet socket doesn't take one more MAC address: %m");
}

status start(int socket, const interface_facts& of, reason& why) { return bind_to(socket, of, ETH_P_ALL, why); }

std::uint32_t take_losses(int socket) {
  tpacket_stats lost{};
  socklen_t size = sizeof lost;
  return ::getsockopt(socket, SOL_PACKET, PACKET_STATISTICS, &lost, &size) == 0 ? lost.tp_drops : 0;
}

void forget_problem(int socket) {
  int problem;
  socklen_t size = sizeof problem;
  (void)::getsockopt(socket, SOL_SOCKET, SO_ERROR, &problem, &size);
}

bool has_interface(int socket) {
  sockaddr_ll at{};
  socklen_t size = sizeof at;
  return ::getsockname(socket, reinterpret_cast<sockaddr*>(&at), &size) != 0 || at.sll_ifindex > 0;
}

void stop(int socket, const interface_facts& of) {
  reason ignored;
  const tpacket_req3 none{};           // as long as that of any version
  constexpr int never_comes = 0x05ff;  // neither a type nor what Linux makes of a length; 0 would leave it as it was
  (void)bind_to(socket, of, never_comes, ignored);
  (void)::setsockopt(socket, SOL_PACKET, PACKET_RX_RING, &none, sizeof none);
  (void)::setsockopt(socket, SOL_PACKET, PACKET_TX_RING, &none, sizeof none);
  char room[64];
  while (::recv(socket, room, sizeof room, MSG_DONTWAIT) >= 0) continue;
}

}  // namespace fastudp::af_packet
