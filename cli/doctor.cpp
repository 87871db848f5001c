#include "doctor.h"

#include <net/if.h>
#include <sys/utsname.h>

#include <cstdio>
#include <vector>

#include <fastudp.h>

#include "machine.h"
#include "trial.h"

namespace cli {
namespace {

// What could be done, as it is found out.
class advice {
 public:
  void give(const std::string& text) { all_.push_back(text); }
  // For when nothing better is known.
  void speaks_against(const std::string& reason) { obstacle_ = reason; }
  void tell() const {
    std::printf("\nTo be faster\n");
    for (const std::string& each : all_) std::printf("  * %s\n", each.c_str());
    if (!all_.empty()) return;
    if (!obstacle_.empty()) std::printf("  * %s\n", obstacle_.c_str());
    if (obstacle_.empty()) std::printf("  Nothing to do: this is the fastest that this version has.\n");
  }

 private:
  std::vector<std::string> all_;
  std::string obstacle_;
};

void tell(const char* what, const std::string& how, const std::string& use) {
  std::printf("  %-15s %s%s%s\n", what, how.c_str(), use.empty() ? "" : ": ", use.c_str());
}

std::string yes_or(const std::string& why_not) { return why_not.empty() ? "yes" : why_not; }

void tell_rights(advice& todo) {
  struct row {
    right which;
    const char *name, *use;
  };
  constexpr row rows[] = {{right::net_raw, "CAP_NET_RAW", "opens packet: and xdp: links"},
                          {right::net_admin, "CAP_NET_ADMIN", "steers at tc and XDP, makes tap: interfaces"},
                          {right::bpf, "CAP_BPF", "loads the programs that steer"}};
  std::printf("\nRights\n");
  bool all = true;
  for (const row& each : rows) {
    const bool there = has(each.which) || (each.which == right::bpf && has(right::sys_admin));
    tell(each.name, there ? "yes" : "no", each.use);
    all = all && there;
  }
  if (is_in_user_namespace()) {
    tell("namespace", "these are a user namespace's own rights", "they don't reach as far as BPF");
    todo.give("Run as root outside of the user namespace: only then can BPF steer at tc.");
  }
  if (is_under_seccomp()) tell("sandbox", "a seccomp filter is on", "it may forbid bpf() or packet sockets");
  if (all) return;
  todo.give(
      "Run as root, or with CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF as ambient capabilities ('setpriv\n"
      "    --ambient-caps', AmbientCapabilities= of systemd). Not by setcap: such programs ignore LD_PRELOAD.");
}

// What the plugin could be given besides virtual devices.
std::string dpdk_ports() {
  std::string out;
  for (const std::string& each : devices_for_dpdk()) out += each + ", ";
  return out + (out.empty() ? "" : "and ") + "virtual devices such as net_memif0,role=client";
}

void tell_machine(advice& todo) {
  const std::string no_plugin = why_no_plugin("fastudp-bpf.so"), no_dpdk = why_no_plugin("fastudp-dpdk.so"),
                    no_tcx = why_no_tcx(), no_tun = why_no_tun();
  std::printf("\nThis machine\n");
  tell("fastudp-bpf.so", no_plugin.empty() ? "found, and loads" : no_plugin, "");
  tell("fastudp-dpdk.so", no_dpdk.empty() ? "found, and loads" : no_dpdk,
       no_dpdk.empty() ? "dpdk: links, to " + dpdk_ports() : "no dpdk: links");
  tell("TCX", yes_or(no_tcx), no_tcx.empty() ? "what is ours is taken at tc, before the kernel has worked on it" : "");
  tell("/dev/net/tun", yes_or(no_tun), no_tun.empty() ? "tap: links can be made" : "no tap: links");
  if (!no_plugin.empty()) todo.give("Install fastudp-bpf.so beside the library, and libbpf (on Debian: libbpf1).");
  if (no_tcx.starts_with("no")) todo.give("Linux 6.6 or newer can steer at tc (TCX).");
}

std::string state_of(const interface_facts& facts) {
  const char* state = !facts.is_up ? "down" : facts.has_carrier ? "up" : "up, without carrier";
  return std::string(state) + ", MTU " + std::to_string(facts.mtu) +
         (facts.is_ethernet ? ", Ethernet" : ", not Ethernet");
}

std::string with_reason(const trial& found) {
  const std::string link = found.code != 0 ? "none" : found.link == "host:" ? "the kernel's sockets" : found.link;
  return link + (found.reason.empty() ? "" : ": " + found.reason);
}

// What auto: takes, and what it would take if it were let.
void tell_choice(const std::string& interface, advice& todo) {
  const std::string uri = "auto:" + interface;
  const trial chosen = try_link({.uri = uri}), allowed = try_link({.uri = uri, .bypass_firewall = true});
  tell(uri.c_str(), with_reason(chosen), "");
  if (chosen.link == "host:") todo.speaks_against(chosen.reason);
  if (allowed.link == chosen.link) return;
  tell("", "with --bypass-firewall " + with_reason(allowed), "");
  todo.give("If the firewall's rules needn't hold for this program: fastudp run --bypass-firewall, or --link " +
            allowed.link);
}

void tell_interface(const std::string& name, advice& todo) {
  const interface_facts facts = look_at(name);
  tell(name.c_str(), state_of(facts), "");
  if (facts.is_loopback)
    return tell("", "datagrams within this machine are the kernel's; loop: is for those of one process", "");
  if (!facts.is_ethernet) return tell("", "auto:" + name + " takes the kernel's sockets", "packet: needs Ethernet");
  tell_choice(name, todo);
  const std::string by_xdp = "xdp:" + name;
  tell(by_xdp.c_str(), with_reason(try_link({.uri = by_xdp})), "");
  if (!facts.is_up) todo.give("Bring it up: ip link set " + name + " up");
}

constexpr char what_is_passed_by[] =
    "\nWhat datagrams on a fast link pass by\n"
    "  nftables and iptables, conntrack, NAT, qdiscs, ip rules, VRF, IPsec policy, BPF programs of cgroups. With "
    "rules\n"
    "  on what comes in or goes out, auto: stays with the kernel's sockets unless it is told to pass them by; a link\n"
    "  that you name is used all the same.\n";

int examine(const std::vector<std::string>& names) {
  struct utsname kernel {};
  ::uname(&kernel);
  std::printf("fastudp %s on %s %s\n", fastudp_version(), kernel.sysname, kernel.release);
  advice todo;
  tell_rights(todo);
  tell_machine(todo);
  std::printf("\nInterfaces, and the link that would be used on them\n");
  for (const std::string& name : names) tell_interface(name, todo);
  if (names.size() != 1) tell_choice("", todo);
  todo.tell();
  std::fputs(what_is_passed_by, stdout);
  return 0;
}

}  // namespace

int doctor(const doctor_request& request) {
  if (!request.stats.empty()) return explain_stats(request.stats);
  if (request.interface.empty()) return examine(interface_names());
  if (::if_nametoindex(request.interface.c_str()) != 0) return examine({request.interface});
  std::fprintf(stderr, "fastudp: there is no interface '%s': 'ip link' lists them\n", request.interface.c_str());
  return 2;
}

}  // namespace cli
