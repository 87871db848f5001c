#pragma once
// What the tests of links share: opening by URI, frames as strings of bytes, in and out.

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "link/link.h"
#include "link/registry.h"

namespace fastudp::test {

using frame = std::string;  // whole, from the Ethernet header on

inline constexpr mac_address mac_of(unsigned host) { return {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(host)}}; }

inline frame ethernet(const mac_address& to, const mac_address& from, std::string_view payload,
                      std::uint16_t type = 0x88b5) {
  frame out(to.bytes.begin(), to.bytes.end());
  out.append(from.bytes.begin(), from.bytes.end());
  out += static_cast<char>(type >> 8);
  out += static_cast<char>(type);
  return out.append(payload);
}

// A name for a file of this test, which is removed with it.
class temporary_file {
 public:
  temporary_file() : path_(testing::TempDir() + "fastudp-" + std::to_string(::getpid()) + ".pcapng") {}
  ~temporary_file() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A link with the counters that it counts in.
class host {
 public:
  explicit host(std::string uri_text, steering* claims = nullptr) : text_(std::move(uri_text)) {
    auto where = uri::parse(text_, why_);
    if (!where) return;
    if (auto opened = open_link(*where, {.count = count_, .claims = claims}, why_)) link_ = std::move(*opened);
    (void)where->take("address");  // the stack's, but a link may look at it
    if (link_ != nullptr && !where->expect_all_taken(why_)) link_.reset();
  }
  host() = default;
  void adopt(link_ptr made) { link_ = std::move(made); }

  explicit operator bool() const { return link_ != nullptr; }
  link* operator->() { return link_.get(); }
  link& operator*() { return *link_; }
  const char* why() const { return why_.c_str(); }
  counters& count() { return count_; }
  std::uint64_t dropped(drop reason) const { return count_.drops[static_cast<std::size_t>(reason)].get(); }
  void close() { link_.reset(); }

  packet* make(std::string_view bytes) { return make_in(link_->frames(), bytes); }
  static packet* make_in(pool& from, std::string_view bytes) {
    packet* p = from.take();
    EXPECT_NE(p, nullptr);
    if (p == nullptr) return nullptr;
    p->length = static_cast<std::uint32_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(p->data()));
    return p;
  }

  // Sends one frame and rings the bell; false when the link didn't take it.
  bool send(std::string_view bytes) {
    burst out;
    out.append(make(bytes));
    const auto taken = link_->tx_burst(out);
    out.forget_front(taken);
    link_->tx_flush();
    return taken == 1;
  }
  std::vector<frame> receive() {
    burst in;
    link_->rx_burst(in);
    std::vector<frame> out;
    for (packet* p : in.packets()) out.push_back(text_of(*p));
    return out;
  }
  // Of so many frames on their way, how many come; the others are counted as lost for that reason.
  std::uint64_t receive_or_lose(std::uint64_t many, drop reason) {
    std::uint64_t got = 0;
    for (int look = 0; got + dropped(reason) != many && look < 10'000'000; ++look) {
      burst in;
      got += link_->rx_burst(in);
      link_->count_losses();
    }
    return got;
  }
  static frame text_of(packet& p) { return {reinterpret_cast<char*>(p.data()), p.length}; }

 private:
  std::string text_;  // the URI's views point into it
  counters count_;
  reason why_;
  link_ptr link_;
};

}  // namespace fastudp::test
