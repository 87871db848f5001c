#pragma once
// One frame: where its bytes live, which of them are in use, who takes it back.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace fastudp {

class pool;

// What is known of the transport checksum of a frame.
enum class checksum_state : std::uint8_t {
  unknown,   // as it stands in the bytes; to be verified
  verified,  // the device or a trusted local sender vouches for it
  partial,   // only the pseudo header's sum stands in the field: a local kernel left the rest to its "hardware", as we
             // do where there is one
  own,       // of what is sent: our sum of what we were given to send, so that who makes it anew hides no error
};

// Whether a program may be given a datagram together with the one before it (UDP_GRO).
enum class joining : std::uint8_t {
  if_alike,  // off the wire: when both came in one burst and are of one flow
  alone,
  always,  // a piece of one UDP_SEGMENT send, or of what the kernel had put together
};

// Metadata of one frame; the bytes stay where the device put them. A packet is owned by exactly one burst or queue.
struct alignas(64) packet {
  std::byte* frame = nullptr;  // the buffer's first byte
  pool* home = nullptr;        // takes it back
  union {
    packet* next = nullptr;  // link within whatever queue owns it
    void* holder;            // in no queue but with the program: the endpoint that lent it
  };
  std::uint32_t capacity = 0;   // bytes in the buffer
  std::uint32_t begin = 0;      // offset of the first byte in use
  std::uint32_t length = 0;     // bytes in use
  std::uint32_t charge = 0;     // bytes accounted to the socket that queues it
  std::uint32_t network = 0;    // offset of the IP header, once known
  std::uint32_t transport = 0;  // offset of the transport header, once known
  checksum_state checksum = checksum_state::unknown;
  std::uint8_t priority = 0;  // to be sent with, 0 to 7, for a link that tags (802.1Q)
  joining joins = joining::if_alike;
  bool peeked : 1 = false;     // of one without a byte: a reader who counts bytes has seen it
  bool is_placed : 1 = false;  // queued by a socket that wanted to know where it came in
  std::uint32_t drops = 0;     // what its socket had lost when it was queued, if that is to be told
  std::int64_t stamp = 0;      // when it arrived, in nanoseconds of CLOCK_REALTIME; 0: nobody has looked

  std::byte* data() { return frame + begin; }
  std::span<std::byte> bytes() { return {data(), length}; }
  std::uint32_t headroom() const { return begin; }
  std::uint32_t tailroom() const { return capacity - begin - length; }

  // Makes room for `size` bytes before the first; the caller has checked headroom().
  std::span<std::byte> push(std::uint32_t size) {
    begin -= size;
    length += size;
    return {data(), size};
  }
  // Forgets the first `size` bytes.
  void pull(std::uint32_t size) {
    begin += size;
    length -= size;
  }
  // Room for `size` bytes behind the first `before`, which move to the front; the caller has checked headroom().
  std::byte* insert(std::uint32_t before, std::uint32_t size) {
    std::byte* first = push(size).data();
    std::memmove(first, first + size, before);
    return first + before;
  }
  // The other way round: forgets `size` bytes behind the first `before`.
  void remove(std::uint32_t before, std::uint32_t size) {
    std::memmove(data() + size, data(), before);
    pull(size);
  }
  // Empty again, with `headroom` bytes before the first.
  void reset(std::uint32_t headroom) {
    begin = headroom;
    length = 0;
    next = nullptr;
    charge = 0;
    network = transport = 0;
    checksum = checksum_state::unknown;
    priority = 0;
    joins = joining::if_alike;
    peeked = false;
    drops = 0;
    stamp = 0;
  }
};

static_assert(sizeof(packet) == 64);

}  // namespace fastudp
