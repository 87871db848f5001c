#pragma once
// Classic BPF as Linux's sockets run it (SO_ATTACH_FILTER): what a program says of a datagram, in bounded time. Whether
// it is a program at all is the kernel's to say; run here it is harmless whatever it is.

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/random.h"
#include "base/result.h"

namespace fastudp {

// What a program can look at.
struct filter_input {
  std::span<const std::byte> data;     // its place 0 on
  std::span<const std::byte> network;  // from the IP header on (SKF_NET_OFF)
  int interface = 0;
  std::uint32_t packet_type = 0;    // PACKET_*
  std::uint32_t hardware_type = 0;  // ARPHRD_*
  random_source* random = nullptr;
};

// The length that it returns; 0 when it says no, looks where nothing is, or divides by zero.
std::uint32_t run_filter(std::span<const sock_filter> program, const filter_input& in);

// False: it asks for what is known in the kernel alone, such as the CPU, the hash or the frame's own header.
bool can_run(std::span<const sock_filter> program);

// The same of a program that chooses among sockets, which sees the payload alone (SO_ATTACH_REUSEPORT_CBPF).
bool can_choose(std::span<const sock_filter> program);

// A program of one's own.
class packet_filter {
 public:
  // ENOMEM. Empty: no program.
  static result<packet_filter> copy(std::span<const sock_filter> program);

  bool empty() const { return size_ == 0; }
  std::span<const sock_filter> program() const { return {steps_.get(), size_}; }
  std::uint32_t run(const filter_input& in) const { return run_filter(program(), in); }

 private:
  std::unique_ptr<sock_filter[]> steps_;
  std::size_t size_ = 0;
};

}  // namespace fastudp
