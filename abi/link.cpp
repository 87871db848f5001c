// fastudp_link_*

#include "abi/guard.h"

using namespace fastudp;
using namespace fastudp::abi;

int fastudp_link_open(fastudp_link** link, const char* uri, char* why, size_t why_size) {
  if (link == nullptr || uri == nullptr) return -EFAULT;
  reason text;
  auto made = raw_link::open(uri, text);
  copy_text(text.c_str(), why, why_size);
  *link = made ? seal(made->release()) : nullptr;
  return -made.code();
}

int fastudp_link_close(fastudp_link* link) {
  if (link != nullptr) delete &open(link);
  return 0;
}

int64_t fastudp_link_send(fastudp_link* link, const void* frame, size_t size) {
  if (link == nullptr || frame == nullptr) return -EFAULT;
  return to_int(open(link).send({static_cast<const std::byte*>(frame), size}));
}

int64_t fastudp_link_recv(fastudp_link* link, void* frame, size_t size) {
  if (link == nullptr || (frame == nullptr && size != 0)) return -EFAULT;
  return to_int(open(link).receive({static_cast<std::byte*>(frame), size}));
}

int fastudp_link_wait(fastudp_link* link, int64_t timeout_ns) {
  return link == nullptr ? -EFAULT : to_int(open(link).wait(timeout_ns));
}
