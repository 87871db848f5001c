#include "link/xdp/umem.h"

#include <linux/if_xdp.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace fastudp::xdp {

std::uint32_t umem::chunk_size(std::uint32_t frame) {
  constexpr std::uint32_t smallest = 2048;
  return std::max(std::bit_ceil(frame + kernel_headroom), smallest);
}

result<umem> umem::create(std::uint32_t chunks, std::uint32_t frame, reason& why) {
  umem out;
  auto made = pool::create(chunks, chunk_size(frame));
  if (!made) return why.fail(ENOMEM, "no memory for the frames");
  out.frames_ = std::move(*made);
  return out;
}

status umem::register_with(int socket, reason& why) const {
  xdp_umem_reg memory{};
  memory.addr = reinterpret_cast<std::uintptr_t>(frames_->memory());
  memory.len = std::uint64_t{frames_->count()} * frames_->frame_size();
  memory.chunk_size = frames_->frame_size();
  if (::setsockopt(socket, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory) == 0) return {};
  if (errno != ENOBUFS) return why.fail(errno, "the kernel doesn't take the frames: %m");
  return why.fail(ENOBUFS, "the kernel may not lock %llu KiB of frames: raise 'ulimit -l', or give CAP_IPC_LOCK",
                  static_cast<unsigned long long>(memory.len / 1024));
}

}  // namespace fastudp::xdp
