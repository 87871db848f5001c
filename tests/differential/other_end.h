#pragma once
// The other end of a mem: link, in the process that plays: it reflects what comes to it, as reflector.bpf.c does.

#include <fastudp.h>

namespace differential {

class other_end {
 public:
  // By the library that the interposer has loaded. False: it is there, but the link isn't to be had. On the kernel's
  // sockets, where there is no such library, another host reflects, and this one nothing.
  bool open(const char* uri);

  // What has come so far is back when this returns.
  void reflect();

 private:
  struct calls {
    decltype(&fastudp_link_send) send;
    decltype(&fastudp_link_recv) receive;
  };
  calls calls_{};
  fastudp_link* link_ = nullptr;
};

}  // namespace differential
