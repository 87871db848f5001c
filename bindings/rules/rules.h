#pragma once
// The user's rules: which sockets and datagrams go by the kernel though a fast link could carry them. A text, one rule
// a line; the first that fits decides, and what none fits is fast:
//
//   # whom        whose end                  where
//   kernel program ntpd
//   kernel out address 192.0.2.0/24 port 53
//   fast   in port 5000-5999
//   kernel
//
// `in` is about sockets that the program binds to a port, by what it binds to; `out` about those that it doesn't, by
// where they connect or send to. Shared by the interposer, which obeys them, and the tool, which says what is wrong.

#include <cstddef>
#include <cstdint>

namespace rules {

enum class way : std::uint8_t { in = 1, out = 2 };

// An IPv4 address is in its IPv6-mapped form.
struct place {
  std::uint8_t address[16];
  std::uint16_t port;
};

struct rule {
  bool fast;
  std::uint8_t ways;
  std::uint8_t bits;  // of the address
  std::uint16_t first_port, last_port;
  std::uint8_t address[16];
  char program[64];  // empty: all

  bool is_about_places() const { return bits != 0 || first_port != 0 || last_port != 65'535; }
};

inline constexpr std::size_t longest_text = 65'536;

struct mistake {
  int line = 0;  // from 1
  char text[160] = {};
};

class list {
 public:
  static constexpr std::size_t most = 256;

  // False: what is wrong stands in `why`, and the list is empty.
  bool parse(const char* text, std::size_t size, mistake& why);
  // Forgets the rules of other programs; `name` and `alias` are names of this one.
  void keep_those_of(const char* name, const char* alias);

  bool is_empty() const { return count_ == 0; }
  bool says_kernel(way of, const place& where) const;
  // Whatever the socket is used for.
  bool says_kernel_for_all() const {
    return count_ != 0 && !rules_[0].fast && rules_[0].ways == 3 && !rules_[0].is_about_places();
  }

 private:
  rule rules_[most]{};
  std::size_t count_ = 0;
};

}  // namespace rules
