// RFC 3678's calls, which libc makes of socket options without our seeing them.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "real.h"
#include "table.h"

using namespace preload;

namespace {

bool is_ours(int fd) { return table.load(fd).socket() != nullptr || table.load(fd).is_unknown(); }

int level_of(const sockaddr& group) { return group.sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP; }

// Memory of the heap, as long as a call takes; null when there is none.
template <typename Header>
class request {
 public:
  explicit request(std::size_t size) : header_(static_cast<Header*>(calloc(1, size))), size_(size) {
    if (header_ == nullptr) errno = ENOMEM;
  }
  ~request() { free(header_); }
  request(const request&) = delete;
  request& operator=(const request&) = delete;
  explicit operator bool() const { return header_ != nullptr; }
  Header* operator->() { return header_; }
  int set(int fd, int level, int name) {
    return hook::setsockopt(fd, level, name, header_, static_cast<socklen_t>(size_));
  }
  int get(int fd, int level, int name) {
    auto size = static_cast<socklen_t>(size_);
    return hook::getsockopt(fd, level, name, header_, &size);
  }

 private:
  Header* header_;
  std::size_t size_;
};

bool fill(request<ip_msfilter>& out, in_addr interface, in_addr group, unsigned count) {
  if (!out) return false;
  out->imsf_multiaddr = group;
  out->imsf_interface = interface;
  out->imsf_numsrc = count;
  return true;
}

bool fill(request<group_filter>& out, unsigned interface, const sockaddr* group, socklen_t length, unsigned count) {
  if (!out) return false;
  out->gf_interface = interface;
  std::memcpy(&out->gf_group, group, std::min<std::size_t>(length, sizeof out->gf_group));
  out->gf_numsrc = count;
  return true;
}

}  // namespace

int hook::setipv4sourcefilter(int fd, in_addr interface, in_addr group, unsigned mode, unsigned count,
                              const in_addr* sources) {
  if (!is_ours(fd)) return real.setipv4sourcefilter(fd, interface, group, mode, count, sources);
  request<ip_msfilter> wanted(IP_MSFILTER_SIZE(count));
  if (!fill(wanted, interface, group, count)) return -1;
  wanted->imsf_fmode = mode;
  std::copy_n(sources, count, wanted->imsf_slist);
  return wanted.set(fd, IPPROTO_IP, IP_MSFILTER);
}

int hook::getipv4sourcefilter(int fd, in_addr interface, in_addr group, unsigned* mode, unsigned* count,
                              in_addr* sources) {
  if (!is_ours(fd)) return real.getipv4sourcefilter(fd, interface, group, mode, count, sources);
  request<ip_msfilter> found(IP_MSFILTER_SIZE(*count));
  if (!fill(found, interface, group, *count)) return -1;
  const int outcome = found.get(fd, IPPROTO_IP, IP_MSFILTER);
  if (outcome != 0) return outcome;
  *mode = found->imsf_fmode;
  std::copy_n(found->imsf_slist, std::min(*count, found->imsf_numsrc), sources);
  *count = found->imsf_numsrc;
  return 0;
}

int hook::setsourcefilter(int fd, unsigned interface, const sockaddr* group, socklen_t length, unsigned mode,
                          unsigned count, const sockaddr_storage* sources) {
  if (!is_ours(fd)) return real.setsourcefilter(fd, interface, group, length, mode, count, sources);
  request<group_filter> wanted(GROUP_FILTER_SIZE(count));
  if (!fill(wanted, interface, group, length, count)) return -1;
  wanted->gf_fmode = mode;
  std::copy_n(sources, count, wanted->gf_slist);
  return wanted.set(fd, level_of(*group), MCAST_MSFILTER);
}

int hook::getsourcefilter(int fd, unsigned interface, const sockaddr* group, socklen_t length, unsigned* mode,
                          unsigned* count, sockaddr_storage* sources) {
  if (!is_ours(fd)) return real.getsourcefilter(fd, interface, group, length, mode, count, sources);
  request<group_filter> found(GROUP_FILTER_SIZE(*count));
  if (!fill(found, interface, group, length, *count)) return -1;
  const int outcome = found.get(fd, level_of(*group), MCAST_MSFILTER);
  if (outcome != 0) return outcome;
  *mode = found->gf_fmode;
  std::copy_n(found->gf_slist, std::min(*count, found->gf_numsrc), sources);
  *count = found->gf_numsrc;
  return 0;
}
