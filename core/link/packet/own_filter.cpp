#include "link/packet/own_filter.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "link/packet/socket.h"

namespace fastudp::af_packet {
namespace {

constexpr std::uint32_t everything = 0xffffffff;

// A program for the socket, address by address. Each stands for itself, as jumps don't reach far.
class code {
 public:
  void let_in(const mac_address& to) {
    const auto number = to.number();
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number >> 16), 0, 3));
    add(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number & 0xffff), 0, 1));
    add(BPF_STMT(BPF_RET | BPF_K, everything));
  }
  void let_in_groups() {
    add(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0));
    add(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1));
    add(BPF_STMT(BPF_RET | BPF_K, everything));
  }
  void end() { add(BPF_STMT(BPF_RET | BPF_K, 0)); }
  sock_fprog program() { return {.len = size_, .filter = instructions_.data()}; }

 private:
  void add(const sock_filter& instruction) { instructions_[size_++] = instruction; }

  std::array<sock_filter, 512> instructions_;
  unsigned short size_ = 0;
};

}  // namespace

status own_filter::attach(reason& why) const {
  code out;
  out.let_in(mac_);
  out.let_in(broadcast_mac);
  if (unlisted_ != 0) {
    out.let_in_groups();
  } else {
    for (std::size_t i = 0; i < count_; ++i) out.let_in(groups_[i].group);
  }
  out.end();
  const sock_fprog program = out.program();
  if (::setsockopt(socket_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0) return {};
  return why.fail(errno, "a packet socket doesn't take a filter: %m");
}

own_filter::admitted* own_filter::find(const mac_address& group) {
  auto* const end = groups_.data() + count_;
  auto* const found = std::find_if(groups_.data(), end, [&](const admitted& a) { return a.group == group; });
  return found != end ? found : nullptr;
}

// True when the filter has to change.
bool own_filter::note(const mac_address& group, bool wanted) {
  if (admitted* known = find(group)) {
    known->times += wanted ? 1 : -1u;
    if (known->times != 0) return false;
    *known = groups_[--count_];
    return true;
  }
  if (wanted && unlisted_ == 0 && count_ < most_groups) {
    groups_[count_++] = {group, 1};
    return true;
  }
  unlisted_ += wanted ? 1 : -1u;
  return true;
}

// A device whose own filter is full lets all groups in.
void own_filter::admit(const mac_address& group, bool wanted) {
  (void)change_membership(socket_, interface_, PACKET_MR_MULTICAST, group, wanted);
  reason ignored;
  if (note(group, wanted)) (void)attach(ignored);
}

}  // namespace fastudp::af_packet
