#include "control.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace differential {
namespace {

constexpr int flow_info = 11;  // IPV6_FLOWINFO, of a header that has structs of ours as well

struct writer {
  std::vector<std::byte> bytes;

  void put(int level, int type, const void* data, std::size_t size, std::size_t claimed) {
    const std::size_t at = bytes.size();
    bytes.resize(at + CMSG_SPACE(size));
    cmsghdr header{};
    header.cmsg_len = claimed;
    header.cmsg_level = level;
    header.cmsg_type = type;
    std::memcpy(bytes.data() + at, &header, sizeof header);
    if (size != 0) std::memcpy(bytes.data() + at + CMSG_LEN(0), data, size);
  }
  void put(int level, int type, const void* data, std::size_t size) { put(level, type, data, size, CMSG_LEN(size)); }
};

in_addr v4_source(dice& random) {
  return {htonl(random.one_of<in_addr_t>({0, 0x7f000001, 0x7f000001, 0x7f000002, 0x0a630001, 0x01020304}))};
}

void put_v4(writer& out, bool plain, dice& random) {
  if (random.percent(40)) {
    if (plain) return;  // within this host datagrams come by another way
    const in_pktinfo where{random.one_of({0, 0, 0, 1, 1, 2, 77}), v4_source(random), v4_source(random)};
    return out.put(IPPROTO_IP, IP_PKTINFO, &where, sizeof where - (random.percent(5) ? 4 : 0));
  }
  const std::int64_t value = random.percent(70) ? random.below(256) : random.one_of({-1, 0, 1, 256, 1000});
  const int type = random.one_of<int>({IP_TTL, IP_TOS, IP_TTL, IP_TOS, plain ? IP_TTL : IP_RETOPTS, 52, 99});
  out.put(IPPROTO_IP, type, &value, random.one_of({4u, 4u, 4u, 1u, 2u, 8u}));
}

void put_v6_source(writer& out, dice& random) {
  in6_pktinfo where{};
  where.ipi6_ifindex = random.one_of({0u, 0u, 0u, 1u, 2u, 77u});
  const bool is_own = random.percent(30);
  if (random.percent(60)) where.ipi6_addr.s6_addr[15] = 1;
  if (is_own) where.ipi6_addr.s6_addr[0] = 0xfd, where.ipi6_addr.s6_addr[1] = 0x99;
  out.put(IPPROTO_IPV6, random.percent(80) ? IPV6_PKTINFO : IPV6_2292PKTINFO, &where,
          sizeof where - (random.percent(5) ? 4 : 0));
}

void put_v6(writer& out, bool plain, dice& random) {
  if (random.percent(35)) return plain ? void() : put_v6_source(out, random);
  const std::int64_t value = random.percent(70) ? random.below(256) : random.one_of({-1, 0, 1, 256, -2});
  const int kept = random.one_of<int>(
      {IPV6_HOPLIMIT, IPV6_TCLASS, IPV6_HOPLIMIT, IPV6_TCLASS, IPV6_DONTFRAG, IPV6_2292HOPLIMIT, flow_info, 99});
  const int type = plain || random.percent(75) ? kept : random.one_of<int>({IPV6_HOPOPTS, IPV6_DSTOPTS, IPV6_RTHDR});
  out.put(IPPROTO_IPV6, type, &value, random.one_of({4u, 4u, 4u, 1u, 8u}));
}

void put_socket_level(writer& out, bool plain, dice& random) {
  const std::int64_t value = random.below(8);
  const int type = random.one_of<int>({plain ? 99 : SO_MARK, plain ? 99 : SO_TIMESTAMPING, SO_PRIORITY, SO_PRIORITY,
                                       SO_TXTIME, SCM_RIGHTS, SCM_CREDENTIALS, 99});
  out.put(SOL_SOCKET, type, &value, random.one_of({4u, 4u, 8u, 2u}));
}

void put_udp(writer& out, dice& random) {
  const std::int64_t value = (random.one_of({0, 1, 10, 100, 1000}));
  out.put(IPPROTO_UDP, random.percent(85) ? UDP_SEGMENT : 99, &value, random.one_of({2u, 2u, 4u}));
}

}  // namespace

std::vector<std::byte> control_to_send(family own, bool plain, dice& random) {
  writer out;
  for (int left = 1 + random.below(2); left > 0; --left) {
    const int kind = random.below(100);
    if (kind < 8) {
      put_socket_level(out, plain, random);
    } else if (kind < 12) {
      put_udp(out, random);
    } else if (kind < 18) {
      const std::int64_t nothing = 0;
      const int level = random.one_of<int>({IPPROTO_IP, SOL_SOCKET, IPPROTO_IPV6, 77}), type = random.below(70);
      const bool has_options = plain && level == IPPROTO_IP && type == IP_RETOPTS;
      out.put(level, has_options ? 99 : type, &nothing, 4,
              random.one_of<std::size_t>({0, 1, 15, 16, 17, 19, 21, 1000, ~std::size_t{0}}));
    } else if ((own == family::v4) == random.percent(90)) {
      put_v4(out, plain, random);
    } else {
      put_v6(out, plain, random);
    }
  }
  if (random.percent(5)) out.bytes.resize(out.bytes.size() - std::min(out.bytes.size(), std::size_t(random.below(20))));
  return out.bytes;
}

}  // namespace differential
