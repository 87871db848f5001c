#include "endpoint/explain.h"

#include <cerrno>
#include <cstring>

namespace fastudp {
namespace {

struct advice {
  int code;
  const char* text;
};

constexpr advice advices[] = {
    {EADDRINUSE, "another socket of this stack has that port: choose another, or set SO_REUSEPORT on both"},
    {EADDRNOTAVAIL, "not an address of this stack: bind to one of its own or to 0.0.0.0"},
    {ENETUNREACH, "no route: add a gateway, or an address in that network"},
    {ENETDOWN, "the link's device was deleted, or our program taken off it: open the stack anew once it is there"},
    {EACCES, "a broadcast address: set SO_BROADCAST first"},
    {EMSGSIZE, "longer than a datagram, or than the path's MTU while IP_MTU_DISCOVER forbids fragments"},
    {EDESTADDRREQ, "no destination: name one or connect first"},
    {EINVAL, "bound already, port 0, an address that can't be sent to, or a malformed control message"},
    {ENOBUFS, "no frame or no room on the link: receive or release frames, or send less at once"},
    {EAGAIN, "no free port between 32768 and 60999: close sockets or bind to a port of your own"},
    {ECONNREFUSED, "an earlier datagram met no socket at the peer"},
    {EPIPE, "the socket is shut down for writing"},
};

}  // namespace

void explain(reason& why, const char* call, int code, const endpoint_address& about) {
  const char* text = std::strerror(code);
  for (const advice& each : advices) {
    if (each.code == code) text = each.text;
  }
  (void)why.fail(code, "%s %s:%u: %s", call, to_text(about.address).c_str(), about.port, text);
}

void explain_option(reason& why, int level, int name, int code) {
  const char* text = code == ENOPROTOOPT
                         ? "not an option of this socket, or not one that can be set: the README lists them"
                     : code == ENOTCONN ? "known only when connected"
                                        : "the value or its size is not one that Linux takes";
  (void)why.fail(code, "option %d of level %d: %s", name, level, text);
}

}  // namespace fastudp
