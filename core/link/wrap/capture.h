#pragma once
// Everything that the stack receives and transmits, into a file. Times are the stack's clock: since the machine booted,
// or what a hand-held clock says.

#include "link/wrap/link_around.h"
#include "link/wrap/pcapng.h"

namespace fastudp::wrap {

class captured_link final : public link_around {
 public:
  captured_link(link_ptr inner, pcapng_file file) : link_around(std::move(inner)), file_(std::move(file)) {}

  std::size_t rx_burst(burst& out) override {
    const std::size_t n = inner().rx_burst(out);
    file_.write(out.packets().last(n), direction::received, now_);
    file_.keep(n);
    return n;
  }
  // Before the link has them, as it may change or release what it takes.
  std::size_t tx_burst(const burst& in) override {
    file_.write(in.packets(), direction::transmitted, now_);
    const std::size_t n = inner().tx_burst(in);
    file_.keep(n);
    return n;
  }
  void advance(time_point now) override {
    now_ = now;
    inner().advance(now);
  }

 private:
  pcapng_file file_;
  time_point now_ = 0;
};

}  // namespace fastudp::wrap
