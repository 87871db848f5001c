#pragma once
// What a sequence showed, as text; what differs from run to run is normalised here and nowhere else.

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace differential {

class transcript {
 public:
  void clear() {
    text_.clear();
    ephemeral_.clear();
  }
  const std::string& text() const { return text_; }
  std::uint64_t hash() const { return hash_of(std::as_bytes(std::span(text_))); }

  transcript& operator<<(std::string_view words) {
    text_ += words;
    return *this;
  }
  transcript& operator<<(std::int64_t number);
  void hex(std::uint64_t number);
  // Of a call: what it returned, and errno, which a call that succeeds leaves alone.
  void result(std::int64_t returned, int error);
  void bytes(std::span<const std::byte> some);
  // Of what was received, only whether it is the same.
  void digest(std::span<const std::byte> some) { hex(hash_of(some)); }
  void address(const void* raw, std::size_t room, std::size_t length);
  void control(std::span<const std::byte> messages);
  void option(int level, int name, std::span<const std::byte> value);
  // "Order of epoll events" in docs/differences.md: which of several are told first. When there is no room for more,
  // that is also which are told at all.
  void events(std::span<epoll_event> found, bool is_full);
  // Sorted, since nobody can tell the order of these lines.
  void append_sorted(std::vector<std::string>& lines);

  static std::uint64_t hash_of(std::span<const std::byte> some);

 private:
  void port(std::uint16_t number);
  void stamps(std::span<const std::byte> times);

  std::string text_;
  std::vector<std::uint16_t> ephemeral_;
};

}  // namespace differential
