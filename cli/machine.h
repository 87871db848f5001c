#pragma once
// Facts of this machine that decide which links can be had.

#include <string>
#include <vector>

namespace cli {

struct interface_facts {
  std::string name;
  bool is_up = false, has_carrier = false, is_loopback = false, is_ethernet = false;
  int mtu = 0;
};

std::vector<std::string> interface_names();
// Of an interface that exists.
interface_facts look_at(const std::string& interface);

enum class right { net_admin = 12, net_raw = 13, sys_admin = 21, bpf = 39 };
bool has(right which);
// Rights over this namespace alone, which BPF asks for more than.
bool is_in_user_namespace();
bool is_under_seccomp();

// PCI addresses of devices that a driver for user space has.
std::vector<std::string> devices_for_dpdk();

// Empty when it is so, or why not.
std::string why_no_tun();
std::string why_no_plugin(const std::string& file);
std::string why_no_tcx();

}  // namespace cli
