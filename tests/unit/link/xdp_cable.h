#pragma once
// A fixture: a link xdp: on a cable, with the claims that it asks, and datagrams for it.

#include <net/if.h>
#include <poll.h>

#include <memory>
#include <string>
#include <vector>

#include "link/steering.h"
#include "unit/link/datagrams.h"
#include "unit/link/near_cable.h"

namespace fastudp::test {

class xdp_link : public near_cable, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    near_cable::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
  }
  void TearDown() override {
    subject_.reset();
    run("ip link delete near 2>/dev/null; ip link delete full 2>/dev/null");
  }

  static std::unique_ptr<steering> load() {
    reason why;
    auto loaded = steering::load(why, plugin().c_str());
    EXPECT_TRUE(loaded) << why.c_str();
    return loaded ? std::move(*loaded) : nullptr;
  }
  static std::string uri(const std::string& keys, const std::string& device = "near") {
    return "xdp:" + device + "?mode=" + GetParam() + keys;
  }
  void open(const std::string& keys = "", const std::string& device = "near") {
    claims_ = load();
    ASSERT_NE(claims_, nullptr);
    subject_ = std::make_unique<host>(uri(keys, device), claims_.get());
    ASSERT_TRUE(*subject_) << subject_->why();
  }
  void open_own(const std::string& keys = "") { open("&address=10.99.0.9/24" + keys); }
  std::string why_not(const std::string& text) {
    const auto claims = load();
    host refused(text, claims.get());
    EXPECT_FALSE(refused) << text;
    return refused.why();
  }
  host& subject() { return *subject_; }
  steering& claims() { return *claims_; }

  // A datagram to 10.99.0.1:5353; `change` may spoil it.
  template <typename Change>
  frame datagram(std::size_t size, const Change& change) {
    std::string ip("\x45\0\0\0\0\0\0\0\x40\x11\0\0\x0a\x63\0\x02\x0a\x63\0\x01", 20);
    std::string udp("\x03\xe8\x14\xe9\0\0\0\0", 8);
    const std::size_t length = udp.size() + size;
    udp[4] = static_cast<char>(length >> 8);
    udp[5] = static_cast<char>(length);
    std::string mac(reinterpret_cast<const char*>(subject()->info().mac.bytes.data()), 6);
    change(mac, ip, udp);
    const std::size_t total = ip.size() + length;
    ip[2] = static_cast<char>(total >> 8);
    ip[3] = static_cast<char>(total);
    ip.replace(10, 2, number16(~sum_of(ip) & 0xffff));
    return mac + std::string("\x02\0\0\0\0\x09\x08\0", 8) + ip + udp + std::string(size, 'x');
  }
  frame datagram(std::size_t size = 10) {
    return datagram(size, [](std::string&, std::string&, std::string&) {});
  }
  void put_on_wire(const frame& f) { wire_->send(f); }

  // Whoever gets it has it by the time that sending returns, or a moment later.
  std::string who_gets(const frame& f) {
    EXPECT_TRUE(subject()->arm());
    put_on_wire(f);
    pollfd both[] = {{subject()->wait_fd(), POLLIN, 0}, {kernel_.number(), POLLIN, 0}};
    ::poll(both, 2, patience_ms);
    ::poll(both, 2, 0);
    char room[2000];
    const bool link = !subject().receive().empty();
    const bool kernel = ::recv(kernel_.number(), room, sizeof room, MSG_DONTWAIT) > 0;
    return link && kernel ? "both" : link ? "link" : kernel ? "kernel" : "nobody";
  }
  std::vector<frame> receive(std::size_t expected) { return receive_awaited(subject(), expected); }
  frame to_us(std::string_view payload) { return ethernet(subject()->info().mac, mac_of(0x99), payload); }
  frame from_us(std::string_view payload) { return ethernet(mac_of(0x99), subject()->info().mac, payload); }

  static claim ours(std::uint16_t remote_port = 0) {
    claim out{.local = ipv4_address{{10, 99, 0, 1}}, .remote = {}, .local_port = 5353, .remote_port = remote_port};
    if (remote_port != 0) out.remote = ipv4_address{{10, 99, 0, 2}};
    return out;
  }

  std::unique_ptr<steering> claims_;
  std::unique_ptr<host> subject_;
};

}  // namespace fastudp::test
