// The whole stack under hostile frames. The input is a script: frames, raw or with their checksums repaired, steps in
// time, sends and receives. Whatever it says, tables stay within their bounds and no packet is lost or used twice.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "link/link.h"
#include "packet/queue.h"
#include "socket/udp_layer.h"
#include "stack/stack.h"
#include "support/repair.h"
#include "wire/ethernet.h"

namespace fastudp {
namespace {

constexpr mac_address our_mac{{2, 0, 0, 0, 0, 1}};
constexpr ipv4_address our_address{{10, 0, 0, 1}}, peer_address{{10, 0, 0, 2}};
constexpr ipv6_address our_address_v6{{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
constexpr ipv6_address peer_address_v6{{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
constexpr std::size_t configured_addresses = 3;  // the link-local one is counted
constexpr std::uint32_t most_neighbours = 8, most_groups = 8, longest_frame = 1514;

[[noreturn]] void fail() { std::abort(); }
void require(bool holds) {
  if (!holds) fail();
}

class script_link final : public link {
 public:
  script_link() : frames_(std::move(*pool::create(512, 2048))) {}

  void inject(packet* p) { waiting_.push(p); }

  std::size_t rx_burst(burst& out) override {
    std::size_t n = 0;
    for (; out.room() != 0 && !waiting_.empty(); ++n) out.append(waiting_.pop());
    return n;
  }
  std::size_t tx_burst(const burst& in) override {
    for (packet* p : in.packets()) {
      require(info_.carries(p->bytes()));
      release(p);
    }
    return in.size();
  }
  void tx_flush() override {}
  int wait_fd() const override { return -1; }
  bool arm() override { return waiting_.empty(); }
  const link_info& info() const override { return info_; }
  pool& frames() override { return *frames_; }

 private:
  std::unique_ptr<pool> frames_;
  packet_queue waiting_;
  link_info info_{.name = "script:", .mac = our_mac, .mtu = 1500};
};

// So that what lies behind the first checks is reached.
void make_plausible(std::span<std::byte> frame) {
  if (const auto outer = mutable_view<ethernet>::parse(frame)) outer->set<&ethernet::destination>(our_mac);
  test::repair(frame);
}

class reader {
 public:
  explicit reader(std::span<const std::byte> bytes) : left_(bytes) {}
  bool empty() const { return left_.empty(); }
  std::uint8_t number() {
    if (left_.empty()) return 0;
    const auto out = static_cast<std::uint8_t>(left_[0]);
    left_ = left_.subspan(1);
    return out;
  }
  std::span<const std::byte> bytes(std::size_t size) {
    const auto out = left_.first(std::min(size, left_.size()));
    left_ = left_.subspan(out.size());
    return out;
  }

 private:
  std::span<const std::byte> left_;
};

class machine final : private socket_events {
 public:
  machine() : sockets_(count_, *this, {.receive_default = 20'000}) {
    stack_ = std::move(*stack::create(link_, count_, sockets_, {.neighbours = most_neighbours, .groups = most_groups}));
    require(bool(sockets_.open(*stack_)));
    require(bool(stack_->add_address({our_address, 24}, now_)));
    require(bool(stack_->add_address({our_address_v6, 64}, now_)));
    require(bool(stack_->autoconfigure(now_)));
    for (std::size_t i = 0; i < in_use_.size(); ++i) {
      in_use_[i] = std::make_unique<udp_socket>(sockets_, i < first_v6 ? ip_family::v4 : ip_family::v6);
    }
    require(bool(in_use_[0]->bind({ipv4_address{}, 53})));
    require(bool(in_use_[1]->bind({our_address, 7})));
    require(bool(in_use_[1]->connect({peer_address, 9}, now_)));
    require(bool(in_use_[2]->bind({our_address, 8})));
    in_use_[2]->settings().receive_errors = true;
    in_use_[2]->settings().broadcast = true;
    in_use_[0]->receive_joined(true);
    in_use_[first_v6]->receive_joined(true);
    require(bool(in_use_[first_v6]->bind({ip_address(), 5353})));
    require(bool(in_use_[first_v6 + 1]->bind({our_address_v6, 7})));
    require(bool(in_use_[first_v6 + 1]->connect({peer_address_v6, 9}, now_)));
    in_use_[first_v6 + 1]->settings().v6.receive_errors = true;
  }

  void run(reader script) {
    while (!script.empty()) {
      step(script);
      stack_->poll(now_, burst::capacity);
      require(stack_->neighbours().size() <= most_neighbours);
      require(stack_->groups().size() <= most_groups);
      require(stack_->addresses().all().size() <= configured_addresses + router_discovery::most_prefixes);
      require(stack_->neighbours().parked() <= link_.frames().count() / 8);
      require(stack_->fragments().datagrams() <= reassembly::most_datagrams);
    }
  }

  // Nothing is left when everything that could wait has been waited for.
  void expect_all_home() {
    for (auto& s : in_use_) s.reset();
    for (int i = 0; i < 12; ++i) stack_->poll(now_ += 10 * second, burst::capacity);
    require(stack_->store().in_use() == 0);
    stack_.reset();
    require(link_.frames().available() == link_.frames().count());
  }

 private:
  void became_ready(udp_socket&) override {}

  void step(reader& script) {
    const std::uint8_t what = script.number();
    switch (what % 8) {
      case 0:
      case 1:
      case 2:
        return receive_frame(script, true);
      case 3:
        return receive_frame(script, false);
      case 4:
        now_ += millisecond << (what >> 3) % 16;
        return;
      case 5:
        return send(script, *in_use_[what >> 3 & 3 ? 2 : 1]);
      case 6:
        return (what & 0x80) != 0 ? change_groups(script) : take_all();
      default:
        for (auto& s : in_use_) (void)s->take_error();
        if ((what & 0x80) != 0) send_v6(script, *in_use_[(what & 0x40) != 0 ? first_v6 : first_v6 + 1]);
        return;
    }
  }

  void change_groups(reader& script) {
    const std::uint8_t what = script.number(), who = script.number();
    udp_socket& s = *in_use_[who % in_use_.size()];
    const bool is_v4 = (what & 0x80) == 0;
    const auto low = static_cast<std::uint8_t>(what >> 3 & 7);
    const ip_address group = is_v4 ? ip_address(ipv4_address{{239, 1, 2, low}})
                                   : ip_address(ipv6_address{{0xff, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, low}});
    ip_address source = is_v4 ? ip_address(peer_address) : ip_address(peer_address_v6);
    source.bytes[15] = static_cast<std::uint8_t>(who >> 3);
    memberships& all = s.groups();
    switch (what & 7) {
      case 0:
        (void)all.join(group);
        break;
      case 1:
        (void)all.leave(group);
        break;
      case 2:
        (void)all.join_source(group, source);
        break;
      case 3:
      case 4:
        (void)all.add_source(group, source, (what & 1) != 0);
        break;
      default:
        (void)all.remove_source(group, source, (what & 1) != 0);
        break;
    }
    (void)sockets_.listen(s, group, now_);
    stack_->flush(now_);
  }

  void receive_frame(reader& script, bool repaired) {
    packet* p = link_.frames().take();
    if (p == nullptr) return take_all();
    const std::size_t size = std::min<std::size_t>(script.number() | script.number() << 8, longest_frame);
    const auto bytes = script.bytes(size);
    std::copy(bytes.begin(), bytes.end(), p->data());
    p->length = static_cast<std::uint32_t>(bytes.size());
    if (repaired) make_plausible(p->bytes());
    link_.inject(p);
  }

  void send_v6(reader& script, udp_socket& from) {
    ipv6_address where = our_address_v6;
    where.bytes[15] = script.number();
    send(script, from, {where, 9});
  }

  void send(reader& script, udp_socket& from) {
    const endpoint_address to{ipv4_address{{10, 0, 0, script.number()}},
                              static_cast<std::uint16_t>(script.number() + 1)};
    send(script, from, to);
  }

  void send(reader& script, udp_socket& from, const endpoint_address& to) {
    static const std::array<std::byte, 4000> payload{};
    const std::size_t size = std::size_t{script.number()} * 15;
    (void)from.send(std::span(payload).first(size), &to, {}, now_);
    stack_->flush(now_);
  }

  void take_all() {
    for (auto& s : in_use_) {
      while (packet* p = s->pop()) {
        require(p->length <= 65'527);
        (void)sender_of(*p);
        release(p);
      }
      queued_error e;
      while (packet* p = s->pop_error(e)) release(p);
    }
  }

  counters count_;
  script_link link_;
  udp_layer sockets_;
  std::unique_ptr<stack> stack_;
  static constexpr std::size_t first_v6 = 3;
  std::array<std::unique_ptr<udp_socket>, 5> in_use_;
  time_point now_ = second;
};

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::machine m;
  m.run(fastudp::reader(std::as_bytes(std::span(data, size))));
  m.expect_all_home();
  return 0;
}
