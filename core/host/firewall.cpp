#include "host/firewall.h"

// libc's headers first, which the kernel's then agree with.
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>

#include "base/byte_order.h"
#include "base/descriptor.h"
#include "host/netlink.h"

namespace fastudp {
namespace {

constexpr std::uint16_t nft(int message) { return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message); }

// A chain at INPUT or OUTPUT that does something: it has rules, or a policy other than to accept.
bool filters(const netlink::message& one) {
  const auto attributes = one.attributes<nfgenmsg>();
  const auto hook = netlink::attribute(attributes, NFTA_CHAIN_HOOK);
  const std::uint32_t number = network_order(netlink::value_of<std::uint32_t>(hook, NFTA_HOOK_HOOKNUM, 0xffffffff));
  if (number != NF_INET_LOCAL_IN && number != NF_INET_LOCAL_OUT) return false;
  const std::uint32_t accept = network_order(std::uint32_t{NF_ACCEPT});
  // The use count of a chain is the number of its rules.
  return netlink::value_of<std::uint32_t>(attributes, NFTA_CHAIN_USE) != 0 ||
         netlink::value_of<std::uint32_t>(attributes, NFTA_CHAIN_POLICY, accept) != accept;
}

void name_chain(const netlink::message& one, char* text, std::size_t size) {
  const auto attributes = one.attributes<nfgenmsg>();
  const auto table = netlink::attribute(attributes, NFTA_CHAIN_TABLE),
             chain = netlink::attribute(attributes, NFTA_CHAIN_NAME);
  std::snprintf(text, size, "nftables: table %.*s, chain %.*s", static_cast<int>(table.size()),
                reinterpret_cast<const char*>(table.data()), static_cast<int>(chain.size()),
                reinterpret_cast<const char*>(chain.data()));
}

certainty nftables_has_rules(char* text, std::size_t size) {
  const auto questions = netlink::open(NETLINK_NETFILTER, 0);
  if (!questions) return errno == EPROTONOSUPPORT ? certainty::no : certainty::unknown;
  nfgenmsg wanted{};
  wanted.nfgen_family = NFPROTO_UNSPEC;
  wanted.version = NFNETLINK_V0;
  const auto asked =
      netlink::request(questions->number(), nft(NFT_MSG_GETCHAIN), NLM_F_DUMP, 1, std::as_bytes(std::span(&wanted, 1)));
  if (!asked) return certainty::unknown;
  for (;;) {
    alignas(nlmsghdr) std::byte buffer[16'384];
    const ssize_t got = ::recv(questions->number(), buffer, sizeof buffer, 0);
    if (got <= 0) return certainty::unknown;
    std::span<const std::byte> rest(buffer, static_cast<std::size_t>(got));
    netlink::message one;
    while (netlink::next(rest, one)) {
      if (one.type == NLMSG_DONE) return certainty::no;
      // EINVAL, EOPNOTSUPP: a kernel without nftables.
      if (one.type == NLMSG_ERROR) return one.fixed<nlmsgerr>().error == -EPERM ? certainty::unknown : certainty::no;
      if (!filters(one)) continue;
      name_chain(one, text, size);
      return certainty::yes;
    }
  }
}

// Each table has entries of its own for its chains' policies and its end.
certainty iptables_has_rules(char* text, std::size_t size) {
  const descriptor raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!raw) return certainty::unknown;
  for (const char* table : {"filter", "raw", "mangle"}) {
    ipt_getinfo info{};
    std::snprintf(info.name, sizeof info.name, "%s", table);
    socklen_t length = sizeof info;
    if (::getsockopt(raw.number(), SOL_IP, IPT_SO_GET_INFO, &info, &length) != 0) continue;  // no such table
    const unsigned own = static_cast<unsigned>(__builtin_popcount(info.valid_hooks)) + 1;
    if (info.num_entries <= own) continue;
    std::snprintf(text, size, "iptables: table %s", table);
    return certainty::yes;
  }
  return certainty::no;
}

}  // namespace

certainty host_firewall_has_rules(char* text, std::size_t size) {
  const certainty newer = nftables_has_rules(text, size);
  if (newer == certainty::yes) return newer;
  const certainty older = iptables_has_rules(text, size);
  return older == certainty::no ? newer : older;
}

}  // namespace fastudp
