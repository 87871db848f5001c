#pragma once
// A sequence as data: each call with all that it is given, so that it can be played, left out, and printed as C.

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace differential {

enum class call : std::uint8_t {
#define DIFFERENTIAL_CALL(name, weight) name,
#include "calls.def"
#undef DIFFERENTIAL_CALL
};
const char* name_of(call what);
inline constexpr std::size_t call_count = 0
#define DIFFERENTIAL_CALL(name, weight) +1
#include "calls.def"
#undef DIFFERENTIAL_CALL
    ;

// What the program remembers of its descriptors: sockets, duplicates of them, epoll sets.
inline constexpr int first_socket = 0, first_duplicate = 6, first_set = 8, slot_count = 10;

// A socket address as the program passes it. Nobody can foretell an ephemeral port, so it may be that of a slot.
struct place {
  sockaddr_storage raw{};
  socklen_t length = 0;
  bool is_null = true;
  int port_of = -1;
};

struct piece {
  std::uint32_t size = 0;
  bool is_null = false;
};

// One message of a call that takes any: what is to be sent, or the room for what comes.
struct message {
  place to;
  std::vector<piece> pieces;
  std::vector<std::byte> control;
  bool has_control = false;
  int name_room = -1;  // -1: a null pointer
  int control_room = -1;
};

struct step {
  call what{};
  int slot = 0, other = -1;
  int flags = 0;
  int level = 0, name = 0;  // of an option; a command and what it is given
  std::int64_t number = 0;
  int length = 0;  // of an option's value
  bool has_value = true;
  std::vector<std::byte> value;
  place where;
  std::vector<message> messages;
  std::vector<std::pair<int, std::uint32_t>> watched;  // slots and events
  std::uint32_t fill = 0;                              // seeds the payload
};

struct choices {
  int calls = 20;
  int ipv6_percent = 40;
  // Datagrams go to another host, from where each comes back, instead of staying within this one.
  bool beyond = false;
  // To be compared with a stack that has addresses of its own.
  bool alone = false;
};

std::vector<step> generate(std::uint64_t seed, const choices& wanted);

}  // namespace differential
