#pragma once
// A hub: the ports of this process that named the same device, switched as Ethernet is.

#include <span>
#include <string_view>

#include "link/mem/port.h"

namespace fastudp::mem {

class hub {
 public:
  static constexpr std::size_t longest_name = 48;

  // Adds the port to the hub of that name, which is made when there is none. Gives the port its MAC when it has none.
  static result<hub*> join(std::string_view name, port& joining, reason& why);
  // Takes the port out. When it returns, no thread is inside the port; the hub is gone if it was the last.
  void leave(port& leaving);

  // Hands the frames of a burst to the ports that get them. Lock-free but for each receiver's ring.
  void forward(port& from, std::span<packet* const> frames);

 private:
  explicit hub(std::string_view name) : length_(name.size()) { name.copy(name_, name.size()); }

  static hub*& place_of(std::string_view name);
  status admit(port& joining, reason& why);
  port* owner_of(const mac_address& mac) const;
  std::string_view name() const { return {name_, length_}; }

  char name_[longest_name];
  std::size_t length_;
  hub* next_ = nullptr;
  std::atomic<port*> ports_{nullptr};
  std::uint32_t last_number_ = 0;  // of the addresses that the hub has made up
};

}  // namespace fastudp::mem
