#include "machine.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include <fastudp.h>

namespace cli {
namespace {

constexpr unsigned tcx_ingress = 46;  // BPF_TCX_INGRESS of Linux 6.6, which older headers don't have

// What stands behind `key` in /proc/self/status.
std::string status_of(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":")) return line.substr(key.size() + 2);
  }
  return "0";
}

std::string folder_of_library() {
  Dl_info self;
  if (::dladdr(reinterpret_cast<const void*>(&fastudp_version), &self) == 0) return "";
  const std::string path = self.dli_fname;
  return path.substr(0, path.rfind('/') + 1);
}

}  // namespace

std::vector<std::string> interface_names() {
  std::vector<std::string> out;
  struct if_nameindex* all = ::if_nameindex();
  for (struct if_nameindex* each = all; each != nullptr && each->if_index != 0; ++each) out.push_back(each->if_name);
  if (all != nullptr) ::if_freenameindex(all);
  return out;
}

interface_facts look_at(const std::string& interface) {
  interface_facts out{.name = interface};
  struct ifreq about {};
  std::strncpy(about.ifr_name, interface.c_str(), sizeof about.ifr_name - 1);
  const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (::ioctl(control, SIOCGIFMTU, &about) == 0) out.mtu = about.ifr_mtu;
  if (::ioctl(control, SIOCGIFHWADDR, &about) == 0) out.is_ethernet = about.ifr_hwaddr.sa_family == ARPHRD_ETHER;
  if (::ioctl(control, SIOCGIFFLAGS, &about) == 0) {
    out.is_up = (about.ifr_flags & IFF_UP) != 0;
    out.has_carrier = (about.ifr_flags & IFF_RUNNING) != 0;
    out.is_loopback = (about.ifr_flags & IFF_LOOPBACK) != 0;
  }
  if (control >= 0) ::close(control);
  return out;
}

std::vector<std::string> devices_for_dpdk() {
  std::vector<std::string> out;
  for (const char* driver : {"vfio-pci", "uio_pci_generic", "igb_uio"}) {
    std::error_code none;
    for (const auto& each : std::filesystem::directory_iterator(std::string("/sys/bus/pci/drivers/") + driver, none)) {
      const std::string name = each.path().filename();
      if (name.find(':') != name.npos) out.push_back(name);
    }
  }
  return out;
}

bool has(right which) {
  return (std::stoull(status_of("CapEff"), nullptr, 16) >> static_cast<unsigned>(which) & 1) != 0;
}

bool is_in_user_namespace() {
  std::ifstream map("/proc/self/uid_map");
  unsigned long inside = 0, outside = 0, count = 0;
  constexpr unsigned long everybody = 4294967295;
  return map >> inside >> outside >> count && !(inside == 0 && outside == 0 && count == everybody);
}

bool is_under_seccomp() { return status_of("Seccomp") != "0"; }

std::string why_no_tun() {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd >= 0) return ::close(fd), "";
  if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
    return "missing: 'modprobe tun', or give it to the container";
  return std::strerror(errno);
}

// As the library looks for it.
std::string why_no_plugin(const std::string& file) {
  const std::string folder = folder_of_library();
  std::string path = folder + file;
  if (::access(path.c_str(), F_OK) != 0) path = folder + "fastudp/" + file;
  if (::access(path.c_str(), F_OK) != 0) return "not installed beside libfastudp.so, in " + folder;
  void* opened = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) return ::dlerror();
  ::dlclose(opened);
  return "";
}

// Asks which programs are attached to the loopback interface; kernels without TCX don't know the question.
std::string why_no_tcx() {
  union bpf_attr question {};
  question.query.target_fd = 1;
  question.query.attach_type = tcx_ingress;
  if (::syscall(SYS_bpf, BPF_PROG_QUERY, &question, sizeof question) == 0) return "";
  if (errno == EPERM) return "unknown: only a process with CAP_NET_ADMIN over the whole machine may ask";
  if (errno == ENOSYS) return "no: bpf() may not be called here";
  return "no: Linux 6.6 or newer has it";
}

}  // namespace cli
