#include "base/memory.h"

#include <sys/mman.h>
#include <cerrno>

namespace fastudp {

result<shared_memory> shared_memory::map(std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return error{errno};
  shared_memory out;
  out.data_ = static_cast<std::byte*>(at);
  out.size_ = bytes;
  return out;
}

result<shared_memory> shared_memory::map_file(int file, std::size_t bytes, std::uint64_t offset) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, static_cast<off_t>(offset));
  if (at == MAP_FAILED) return error{errno};
  shared_memory out;
  out.data_ = static_cast<std::byte*>(at);
  out.size_ = bytes;
  return out;
}

shared_memory::~shared_memory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace fastudp
