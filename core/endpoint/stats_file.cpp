#include "endpoint/stats_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/descriptor.h"

namespace fastudp {

result<stats_file> stats_file::open(const char* path, reason& why) {
  stats_file out;
  descriptor file(path != nullptr ? ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1);
  if (path != nullptr && (!file || ::ftruncate(file.number(), size) != 0)) {
    return why.fail(errno, "%.150s can't hold counters: %m", path);
  }
  auto memory = path != nullptr ? shared_memory::map_file(file.number(), size) : shared_memory::map(size);
  if (!memory) return why.fail(memory.code(), "no memory for counters");
  out.memory_ = std::move(*memory);
  if (path != nullptr && out.head().kind != 0 && out.head().kind != layout) {
    return why.fail(EINVAL, "%.150s is not a file of counters, or one of another version", path);
  }
  out.head().kind = layout;
  (void)out.take_another();
  return out;
}

// More processes than blocks share the last one, where a few counts may be lost.
status stats_file::take_another() {
  const std::uint32_t index = head().used.fetch_add(1, std::memory_order_relaxed);
  mine_ = &blocks()[std::min<std::size_t>(index, most_processes - 1)].count;
  return index < most_processes ? status{} : error{ENOSPC};
}

void stats_file::explain(const char* text) {
  if (head().explained.exchange(1, std::memory_order_relaxed) != 0) return;
  const std::size_t length = std::min(std::strlen(text), sizeof head().explanation - 1);
  std::memcpy(head().explanation, text, length);
}

result<stats_file> stats_file::read(const char* path) {
  const descriptor file(::open(path, O_RDWR | O_CLOEXEC));
  if (!file) return error{errno};
  if (::lseek(file.number(), 0, SEEK_END) != static_cast<off_t>(size)) return error{EINVAL};
  auto memory = shared_memory::map_file(file.number(), size);
  if (!memory) return memory.failure();
  stats_file out;
  out.memory_ = std::move(*memory);
  if (out.head().kind != layout) return error{EINVAL};
  return out;
}

std::size_t stats_file::processes() const {
  return std::min<std::size_t>(head().used.load(std::memory_order_relaxed), most_processes);
}

const char* stats_file::explanation() const { return head().explanation; }

}  // namespace fastudp
