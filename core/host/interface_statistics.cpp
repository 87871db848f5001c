#include "host/interface_statistics.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "host/netlink.h"

namespace fastudp {
namespace {

result<rtnl_link_stats64> statistics_in(const netlink::message& answer) {
  if (answer.type == NLMSG_ERROR) return error{-answer.fixed<nlmsgerr>().error};
  const auto told = netlink::attribute(answer.attributes<if_stats_msg>(), IFLA_STATS_LINK_64);
  if (answer.type != RTM_NEWSTATS || told.empty()) return error{EPROTO};
  rtnl_link_stats64 out{};
  std::memcpy(&out, told.data(), std::min(told.size(), sizeof out));  // an older kernel has fewer of them
  return out;
}

}  // namespace

result<interface_statistics> interface_statistics::open(int interface) {
  auto questions = netlink::open(NETLINK_ROUTE, 0);
  if (!questions) return questions.failure();
  interface_statistics out;
  out.questions_ = std::move(*questions);
  out.interface_ = interface;
  return out;
}

// The kernel answers within the call that asks, so nothing is waited for: a relative of ours may have read the answer.
result<rtnl_link_stats64> interface_statistics::read() {
  if_stats_msg about{};
  about.ifindex = static_cast<std::uint32_t>(interface_);
  about.filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
  const auto asked =
      netlink::request(questions_.number(), RTM_GETSTATS, 0, ++sequence_, std::as_bytes(std::span(&about, 1)));
  if (!asked) return asked.failure();
  for (;;) {
    alignas(nlmsghdr) std::byte buffer[1024];
    const ssize_t size = ::recv(questions_.number(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (size <= 0) return error{size < 0 ? errno : EIO};
    std::span<const std::byte> rest(buffer, static_cast<std::size_t>(size));
    netlink::message answer;
    if (netlink::next(rest, answer) && answer.sequence == sequence_) return statistics_in(answer);
  }
}

}  // namespace fastudp
