#pragma once
// An AF_PACKET socket on one interface, with a sentence for each way in which opening it fails.

#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/descriptor.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp::af_packet {

struct interface_facts {
  char name[16] = {};
  int index = 0;
  mac_address mac;
  std::uint32_t mtu = 0;
};

// ENODEV: there is none of that name; EINVAL: not Ethernet, or no name.
result<interface_facts> look_up(std::string_view name, reason& why);

// A socket that receives nothing yet. EPERM: CAP_NET_RAW is missing.
result<descriptor> open_socket(const interface_facts& of, reason& why);
// One that sends, and never receives anything.
result<descriptor> open_to_send(const interface_facts& of, reason& why);

// Of a shared interface, what came for this host in no VLAN and is UDP, or an ICMP error.
status filter_shared(int socket, reason& why);
status filter_by_program(int socket, int program, reason& why);
// Has the device receive for one more address of the kind (PACKET_MR_*), or one less; false with errno when it can't.
bool change_membership(int socket, int interface, int kind, const mac_address& of, bool wanted);
// Has the device receive for one more MAC address.
status receive_for(int socket, const interface_facts& of, const mac_address& mac, reason& why);
// From now on frames come in.
status start(int socket, const interface_facts& of, reason& why);
// Frames that it had no room for, since this was asked last.
std::uint32_t take_losses(int socket);
// That the interface was down makes the descriptor readable until somebody asks why.
void forget_problem(int socket);
// Whether it has an interface still: one that is deleted leaves it without.
bool has_interface(int socket);
// From now on none comes in, and the socket has neither rings nor what came before.
void stop(int socket, const interface_facts& of);

}  // namespace fastudp::af_packet
