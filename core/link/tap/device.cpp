#include "link/tap/device.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "link/virtio_header.h"

namespace fastudp::tap {
namespace {

ifreq request_for(std::string_view name) {
  ifreq out{};
  name.copy(out.ifr_name, IFNAMSIZ - 1);
  return out;
}

// What the kernel allows in a name (dev_valid_name), but for '%', which would make it choose a number.
bool is_interface_name(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(),
                      [](char c) { return c <= ' ' || c == '/' || c == ':' || c == '%' || c == 0x7f; });
}

status check_name(std::string_view name, reason& why) {
  if (name.empty()) return why.fail(EINVAL, "tap: needs the name of an interface, for instance tap:fast0");
  if (is_interface_name(name)) return {};
  return why.fail(EINVAL,
                  "tap:%.*s: an interface has a name of at most %d characters without spaces, '/', ':' and '%%'",
                  static_cast<int>(std::min<std::size_t>(name.size(), 64)), name.data(), IFNAMSIZ - 1);
}

result<descriptor> open_driver(reason& why) {
  descriptor out(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (out) return out;
  switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return why.fail(errno, "/dev/net/tun is missing: load the driver with 'modprobe tun'");
    case EACCES:
    case EPERM:
      return why.fail(EPERM, "/dev/net/tun may not be opened: run as root, or 'chmod 666 /dev/net/tun'");
    default:
      return why.fail(errno, "/dev/net/tun can't be opened: %m");
  }
}

error in_use(const char* name, reason& why) {
  return why.fail(EBUSY, "tap:%s is in use by another process: stop that one, or choose another name", name);
}

status take_interface(int driver, const char* name, bool is_of_many, reason& why) {
  ifreq request = request_for(name);
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (is_of_many ? IFF_MULTI_QUEUE : 0));
  if (::ioctl(driver, TUNSETIFF, &request) == 0) return {};
  switch (errno) {
    case EPERM:
      return why.fail(EPERM,
                      "tap:%s needs CAP_NET_ADMIN: run as root or under 'unshare -Urn', or have root do "
                      "'ip tuntap add %s mode tap user $USER'",
                      name, name);
    case EBUSY:
      return in_use(name, why);
    case EINVAL:
      return why.fail(EINVAL, "%s exists and is not a TAP interface with %s: choose another name", name,
                      is_of_many ? "several queues ('ip tuntap add ... multi_queue')" : "one queue");
    default:
      return why.fail(errno, "tap:%s can't be made: %m", name);
  }
}

// The kernel then leaves transport checksums to us and, if it can, the cutting of super-packets, and says so in the
// header of each frame. It knows of UDP's since 6.2, by numbers that the system's own header needn't have.
status agree_on_header(int driver, const char* name, bool segmentation, reason& why) {
  constexpr unsigned udp_segments = 0x20 | 0x40;  // TUN_F_USO4, TUN_F_USO6
  const int length = virtio_header_length;
  if (::ioctl(driver, TUNSETVNETHDRSZ, &length) != 0)
    return why.fail(errno, "tap:%s takes no virtio-net header: %m", name);
  if (segmentation && ::ioctl(driver, TUNSETOFFLOAD, TUN_F_CSUM | udp_segments) == 0) return {};
  if (::ioctl(driver, TUNSETOFFLOAD, TUN_F_CSUM) == 0) return {};
  return why.fail(errno, "tap:%s doesn't leave checksums to us: %m", name);
}

status open_queues(const char* name, const wishes& wanted, device& out, reason& why) {
  out.queues.reset(new (std::nothrow) descriptor[wanted.queues]);
  if (!out.queues) return why.fail(ENOMEM, "no memory for the queues of tap:%s", name);
  for (; out.queue_count < wanted.queues; ++out.queue_count) {
    auto driver = open_driver(why);
    if (!driver) return driver.failure();
    const int number = driver->number();
    if (auto taken = take_interface(number, name, wanted.queues > 1, why); !taken) return taken;
    out.queues[out.queue_count] = std::move(*driver);
  }
  return agree_on_header(out.queues[0].number(), name, wanted.segmentation, why);
}

const rtattr* find(const rtattr* first, std::size_t size, unsigned short type) {
  for (const rtattr* a = first; RTA_OK(a, size); a = RTA_NEXT(a, size)) {
    if ((a->rta_type & NLA_TYPE_MASK) == type) return a;
  }
  return nullptr;
}

const rtattr* find_in(const rtattr& nest, unsigned short type) {
  return find(static_cast<const rtattr*>(RTA_DATA(&nest)), RTA_PAYLOAD(&nest), type);
}

// The descriptors that have a queue of the interface, whosever they are; 0: the kernel doesn't say.
std::uint32_t count_queues(int index) {
  struct {
    nlmsghdr header{.nlmsg_len = sizeof(nlmsghdr) + sizeof(ifinfomsg),
                    .nlmsg_type = RTM_GETLINK,
                    .nlmsg_flags = NLM_F_REQUEST,
                    .nlmsg_seq = 0,
                    .nlmsg_pid = 0};
    ifinfomsg about{};
  } question;
  question.about.ifi_index = index;
  alignas(nlmsghdr) std::array<char, 16'384> room;
  const descriptor asking(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (::send(asking.number(), &question, sizeof question, 0) < 0) return 0;
  const ssize_t size = ::recv(asking.number(), room.data(), room.size(), 0);
  const auto* answer = reinterpret_cast<const nlmsghdr*>(room.data());
  if (size < 0 || !NLMSG_OK(answer, static_cast<std::size_t>(size)) || answer->nlmsg_type != RTM_NEWLINK) return 0;
  const auto* facts = reinterpret_cast<const rtattr*>(room.data() + sizeof question);
  const rtattr* kind = find(facts, answer->nlmsg_len - sizeof question, IFLA_LINKINFO);
  const rtattr* data = kind != nullptr ? find_in(*kind, IFLA_INFO_DATA) : nullptr;
  const rtattr* queues = data != nullptr ? find_in(*data, IFLA_TUN_NUM_QUEUES) : nullptr;
  std::uint32_t out = 0;
  if (queues != nullptr) std::memcpy(&out, RTA_DATA(queues), sizeof out);
  return out;
}

status set_mtu(int control, ifreq& request, std::uint32_t mtu, reason& why) {
  if (mtu == 0 || request.ifr_mtu == static_cast<int>(mtu)) return {};
  request.ifr_mtu = static_cast<int>(mtu);
  if (::ioctl(control, SIOCSIFMTU, &request) == 0) return {};
  return why.fail(errno, "%s doesn't take mtu=%u: %m", request.ifr_name, mtu);
}

status bring_up(int control, const char* name, reason& why) {
  ifreq request = request_for(name);
  if (::ioctl(control, SIOCGIFFLAGS, &request) == 0) {
    if ((request.ifr_flags & IFF_UP) != 0) return {};
    request.ifr_flags |= IFF_UP;
    if (::ioctl(control, SIOCSIFFLAGS, &request) == 0) return {};
  }
  return why.fail(errno, "%s can't be brought up: %m; run as root, or do 'ip link set %s up' first", name, name);
}

status configure(int control, const char* name, std::uint32_t mtu, device& out, reason& why) {
  ifreq request = request_for(name);
  if (::ioctl(control, SIOCGIFMTU, &request) != 0) return why.fail(errno, "%s has no MTU: %m", name);
  if (auto set = set_mtu(control, request, mtu, why); !set) return set;
  out.mtu = static_cast<std::uint32_t>(request.ifr_mtu);
  request = request_for(name);
  if (::ioctl(control, SIOCGIFHWADDR, &request) != 0) return why.fail(errno, "%s has no MAC address: %m", name);
  std::memcpy(out.kernel_mac.bytes.data(), request.ifr_hwaddr.sa_data, out.kernel_mac.bytes.size());
  return bring_up(control, name, why);
}

}  // namespace

result<device> attach(std::string_view name, const wishes& wanted, reason& why) {
  if (auto checked = check_name(name, why); !checked) return checked.failure();
  const ifreq named = request_for(name);
  device out;
  if (auto opened = open_queues(named.ifr_name, wanted, out, why); !opened) return opened.failure();
  const descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control) return why.fail(errno, "no socket to configure %s with: %m", named.ifr_name);
  out.index = static_cast<int>(::if_nametoindex(named.ifr_name));
  if (count_queues(out.index) > wanted.queues) return in_use(named.ifr_name, why);  // several queues are anybody's
  if (auto set = configure(control.number(), named.ifr_name, wanted.mtu, out, why); !set) return set.failure();
  return out;
}

void forget_agreement(const device& of) { (void)::ioctl(of.queues[0].number(), TUNSETOFFLOAD, 0); }

}  // namespace fastudp::tap
