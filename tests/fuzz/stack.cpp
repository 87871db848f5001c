// The whole stack under hostile frames. The input is a script: frames, raw or with their checksums repaired, steps in
// time, sends, receives, changes of what is configured. Whatever it says: tables stay within their bounds, no packet is
// lost or used twice, every frame that comes in has one fate that is counted, every frame that goes out is well formed.

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "fuzz/stack_script.h"
#include "link/link.h"
#include "packet/queue.h"
#include "socket/udp_layer.h"
#include "stack/stack.h"
#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/icmpv4.h"
#include "wire/ipv4.h"
#include "wire/udp.h"

namespace fastudp {
namespace {

using script::operation;
using script::record;

constexpr mac_address our_mac{{2, 0, 0, 0, 0, 1}};
constexpr ipv4_address our_address{{10, 0, 0, 1}}, other_address{{192, 168, 0, 1}}, peer_address{{10, 0, 0, 2}};
constexpr std::uint32_t most_neighbours = 8, frame_count = 512, receive_buffer = 20'000;
constexpr std::size_t socket_count = 3;
// Datagrams that are put together, and errors that wait: what may be out and is in no queue that can be counted.
constexpr std::uint32_t most_hidden = reassembly::most_datagrams + socket_count * (receive_buffer / 832 + 1);

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// ---- What goes out

bool is_ours(ipv4_address a) { return a == our_address || a == other_address; }

void check_arp(std::span<const std::byte> message) {
  const auto v = view<arp>::parse(message);
  require(v && v->payload().empty(), "an ARP message has its length");
  require(v->get<&arp::sender_mac>() == our_mac, "it is from us");
  require(is_ours(v->get<&arp::sender_address>()) || v->get<&arp::sender_address>() == ipv4_address{}, "and of us");
}

void check_transport(const view<ipv4>& ip) {
  const auto payload = ip.payload();
  if (ip.get<&ipv4::protocol>() == ip_protocol::udp) {
    const auto v = view<udp>::parse(payload);
    require(v && v->get<&udp::length>() == payload.size(), "a datagram has its length");
    auto sum = pseudo_header_sum(ip.get<&ipv4::source>(), ip.get<&ipv4::destination>(), 17, v->get<&udp::length>());
    sum.add(payload);
    require(v->get<&udp::checksum>() != 0 && sum.verifies(), "and its checksum");
    return;
  }
  const auto v = view<icmpv4>::parse(payload);
  require(v && verify_checksum(payload), "an ICMP message has its checksum");
  const icmpv4_type type = v->get<&icmpv4::type>();
  require(type == icmpv4_type::echo_reply || ip.get<&ipv4::total_length>() <= 576, "an error is short");
}

void check_sent(std::span<const std::byte> frame) {
  const auto outer = view<ethernet>::parse(frame);
  require(outer && outer->get<&ethernet::source>() == our_mac, "a frame is from our address on the link");
  require(!outer->get<&ethernet::destination>().is_zero(), "and to somebody");
  if (outer->get<&ethernet::type>() == ether_type::arp) return check_arp(outer->payload());
  const auto ip = view<ipv4>::parse(outer->payload());
  require(ip && ip->get<&ipv4::version>() == 4 && verify_checksum(ip->header()), "an IP header is right");
  require(ip->get<&ipv4::total_length>() == outer->payload().size(), "and says how long the packet is");
  const ipv4_address to = ip->get<&ipv4::destination>();
  require(is_ours(ip->get<&ipv4::source>()) && !is_ours(to) && !to.is_loopback() && !to.is_any(), "from us to others");
  const bool is_fragment =
      ip->get<&ipv4::fragment_offset>() != 0 || (ip->get<&ipv4::flags>() & ipv4::more_fragments) != 0;
  if (!is_fragment) check_transport(*ip);
}

class script_link final : public link {
 public:
  script_link() : frames_(std::move(*pool::create(frame_count, 2048))) {}

  void inject(packet* p) { waiting_.push(p); }

  std::size_t rx_burst(burst& out) override {
    std::size_t n = 0;
    for (; out.room() != 0 && !waiting_.empty(); ++n) out.append(waiting_.pop());
    return n;
  }
  std::size_t tx_burst(const burst& in) override {
    if (is_full) return 0;
    for (packet* p : in.packets()) {
      require(info_.carries(p->bytes()), "a frame fits the link");
      check_sent(p->bytes());
      release(p);
    }
    return in.size();
  }
  void tx_flush() override {}
  int wait_fd() const override { return -1; }
  bool arm() override { return waiting_.empty(); }
  const link_info& info() const override { return info_; }
  pool& frames() override { return *frames_; }
  std::uint32_t out() const { return frames_->count() - frames_->available(); }

  bool is_full = false;

 private:
  std::unique_ptr<pool> frames_;
  packet_queue waiting_;
  link_info info_{.name = "script:", .mac = our_mac, .mtu = 1500};
};

// ---- What comes in

// The transport checksum of a datagram that may be a fragment, an error about itself, anything.
void repair_transport(std::span<std::byte> payload, const mutable_view<ipv4>& ip) {
  if (ip.get<&ipv4::protocol>() == ip_protocol::udp) {
    const auto header = mutable_view<udp>::parse(payload);
    if (!header) return;
    header->set<&udp::checksum>(0);
    auto sum = pseudo_header_sum(ip.get<&ipv4::source>(), ip.get<&ipv4::destination>(),
                                 static_cast<std::uint8_t>(ip_protocol::udp), header->get<&udp::length>());
    sum.add(payload.first(std::min<std::size_t>(payload.size(), header->get<&udp::length>())));
    header->set<&udp::checksum>(as_udp_checksum(sum.finish()));
  } else if (const auto header = mutable_view<icmpv4>::parse(payload)) {
    header->set<&icmpv4::checksum>(0);
    header->set<&icmpv4::checksum>(checksum(payload));
  }
}

// Makes a frame plausible, so that what lies behind the first checks is reached.
void repair(std::span<std::byte> frame) {
  const auto outer = mutable_view<ethernet>::parse(frame);
  if (!outer) return;
  outer->set<&ethernet::destination>(our_mac);
  if (outer->get<&ethernet::type>() != ether_type::ipv4) return;
  const auto ip = mutable_view<ipv4>::parse(outer->payload());
  if (!ip) return;
  ip->set<&ipv4::version>(4);
  const std::size_t available = outer->payload().size();
  if (ip->get<&ipv4::total_length>() < ip->size() || ip->get<&ipv4::total_length>() > available) {
    ip->set<&ipv4::total_length>(u<16>::masked(available));
  }
  const std::size_t total = ip->get<&ipv4::total_length>();
  repair_transport(outer->payload().subspan(ip->size(), total - ip->size()), *ip);
  ip->set<&ipv4::checksum>(0);
  ip->set<&ipv4::checksum>(checksum(ip->header()));
}

// What the harness itself sees in a frame, apart from what the stack makes of it.
struct sort_of_frame {
  bool arp = false, fragment = false, echo = false;
};

sort_of_frame look_at(std::span<const std::byte> frame) {
  sort_of_frame out;
  const auto outer = view<ethernet>::parse(frame);
  if (!outer) return out;
  out.arp = outer->get<&ethernet::type>() == ether_type::arp;
  const auto ip = outer->get<&ethernet::type>() == ether_type::ipv4 ? view<ipv4>::parse(outer->payload()) : std::nullopt;
  if (!ip) return out;
  out.fragment = ip->get<&ipv4::fragment_offset>() != 0 || (ip->get<&ipv4::flags>() & ipv4::more_fragments) != 0;
  const auto message = view<icmpv4>::parse(ip->payload());
  out.echo = message && message->get<&icmpv4::type>() == icmpv4_type::echo_request;
  return out;
}

// The reasons that are a received frame's own. The others are of what it caused.
constexpr drop refusals[] = {drop::frame_short,      drop::not_for_us,      drop::unknown_protocol, drop::vlan_tagged,
                             drop::ip_version,       drop::ip_header_length, drop::ip_total_length, drop::ip_checksum,
                             drop::ip_source,        drop::udp_length,      drop::udp_checksum,     drop::no_socket,
                             drop::icmp_malformed,   drop::icmp_ignored,    drop::icmp_unmatched,   drop::arp_malformed};

// Stands between stack and sockets and counts what passes.
class counting_sink final : public datagram_sink {
 public:
  explicit counting_sink(udp_layer& sockets) : sockets_(sockets) {}

  void deliver(std::span<arrival> arrivals, time_point now) override {
    sockets_.deliver(arrivals, now);
    for (const arrival& each : arrivals) taken += each.taken;
  }
  bool report(const icmp_report& what) override {
    const bool is_ours = sockets_.report(what);
    matched += is_ours;
    return is_ours;
  }

  std::uint64_t taken = 0, matched = 0;

 private:
  udp_layer& sockets_;
};

class machine final : private socket_events {
 public:
  machine() {
    stack_ = std::move(*stack::create(link_, count_, sink_, {.neighbours = most_neighbours}));
    require(bool(sockets_.open(*stack_)), "the layer opens");
    require(bool(stack_->add_address({our_address, 24}, now_)), "an address is added");
    for (std::size_t i = 0; i < socket_count; ++i) open_socket(i);
  }

  void run(std::span<const record> script) {
    for (const record& r : script) {
      step(r);
      stack_->poll(now_, burst::capacity);
      check_bounds();
    }
  }

  // Nothing is left when everything that could wait has been waited for.
  void expect_all_home() {
    link_.is_full = false;
    for (auto& s : in_use_) s.reset();
    for (int i = 0; i < 12; ++i) stack_->poll(now_ += 10 * second, burst::capacity);
    require(stack_->store().in_use() == 0, "the store's packets are home");
    stack_.reset();
    require(link_.out() == 0, "the link's packets are home");
  }

 private:
  void became_ready(udp_socket&) override {}

  void open_socket(std::size_t which) {
    in_use_[which].reset();
    in_use_[which] = std::make_unique<udp_socket>(sockets_);
    udp_socket& s = *in_use_[which];
    constexpr endpoint_address where[socket_count] = {{{}, 53}, {our_address, 7}, {our_address, 8}};
    (void)s.bind(where[which]);
    if (which == 1) (void)s.connect({peer_address, 9}, now_);
    s.settings().receive_errors = s.settings().broadcast = which == 2;
  }

  void step(const record& r) {
    switch (r.what()) {
      case operation::time:
        now_ += millisecond << r.detail() % 16;
        return;
      case operation::send:
        return send(r);
      case operation::take:
        return take_all();
      case operation::act:
        return act(r.detail());
      default:
        return receive_frame(r);
    }
  }

  void receive_frame(const record& r) {
    stack_->poll(now_, burst::capacity);  // what is due by now is not this frame's doing
    packet* p = link_.frames().take();
    if (p == nullptr) return take_all();
    std::memcpy(p->data(), r.bytes.data(), r.bytes.size());
    p->length = static_cast<std::uint32_t>(r.bytes.size());
    if (r.what() != operation::raw_frame) repair(p->bytes());
    const sort_of_frame sort = look_at(p->bytes());
    const std::uint64_t fates = refused() + sink_.taken + sink_.matched, answers = answered(), came = received();
    link_.inject(p);
    stack_->poll(now_, burst::capacity);
    require(received() == came + 1, "a frame is received once");
    check_fate(sort, refused() + sink_.taken + sink_.matched - fates, answered() - answers);
  }

  // One fate, but for ARP, which is heard, and for fragments, which wait for each other.
  static void check_fate(const sort_of_frame& sort, std::uint64_t fates, std::uint64_t answers) {
    require(fates <= 1, "a frame has one fate");
    if (sort.arp || sort.fragment || fates == 1) return;
    require(sort.echo && answers != 0, "a frame is delivered, answered, or refused with a reason");
  }
  std::uint64_t received() const { return count_.rx_frames.get(); }
  std::uint64_t dropped(drop why) const { return count_.drops[static_cast<std::size_t>(why)].get(); }
  std::uint64_t refused() const {
    std::uint64_t sum = 0;
    for (const drop why : refusals) sum += dropped(why);
    return sum;
  }
  // Frames that were made, or would have been.
  std::uint64_t answered() const {
    return count_.tx_frames.get() + stack_->neighbours().parked() + dropped(drop::neighbour_queue) +
           dropped(drop::neighbour_table) + dropped(drop::link_tx_full) + dropped(drop::no_memory) +
           dropped(drop::no_route);
  }

  void send(const record& r) {
    const endpoint_address to{{{10, 0, 0, r.bytes[0]}}, static_cast<std::uint16_t>(r.bytes[1] + 1)};
    static const std::array<std::byte, 4000> payload{};
    const std::size_t size = std::size_t{r.bytes[2]} * 15;
    udp_socket& from = *in_use_[r.detail() % 4 != 0 ? 2 : 1];
    (void)from.send(std::span(payload).first(size), &to, {}, now_);
    stack_->flush(now_);
  }

  void take_all() {
    for (auto& s : in_use_) {
      while (packet* p = s->pop()) {
        require(p->length <= 65'507, "a datagram is no longer than the longest");
        require(!sender_of(*p).address.is_multicast(), "and from one host");
        release(p);
      }
      queued_error e;
      while (packet* p = s->pop_error(e)) release(p);
    }
  }

  // What a program or its administrator may change meanwhile.
  void act(unsigned which) {
    udp_socket& s = *in_use_[which % socket_count];
    switch (which / 2) {
      case 0:
        (void)s.take_error();
        return;
      case 1:
        (void)s.connect({peer_address, 9}, now_);
        return;
      case 2:
        return s.disconnect();
      case 3:
        return open_socket(which % socket_count);
      case 4:
        (void)stack_->add_address({other_address, 16}, now_);
        return;
      case 5:
        (void)stack_->remove_address(which % 2 == 0 ? other_address : our_address);
        return;
      case 6:
        (void)stack_->add_route({}, &peer_address);
        return;
      case 7:
        (void)stack_->remove_route({});
        return;
      case 8:
        (void)stack_->add_neighbour(peer_address, {{2, 0, 0, 0, 0, 2}});
        return;
      case 9:
        (void)stack_->remove_neighbour(peer_address);
        return;
      case 10:
        link_.is_full = which % 2 == 0;
        return;
      case 11:
        s.settings().mtu_discover = static_cast<int>(now_ % 6);
        return;
      default:
        s.settings().receive_errors = which % 2 == 0;
        return;
    }
  }

  void check_bounds() {
    const neighbour_table& neighbours = stack_->neighbours();
    require(neighbours.size() <= most_neighbours, "the neighbour table is bounded");
    require(neighbours.parked() <= frame_count / 8, "parked packets are bounded");
    require(stack_->deadline() > now_, "what was due has been done");
    std::uint32_t queued = neighbours.parked();
    for (auto& s : in_use_) {
      for (const packet* p = s->front(); p != nullptr; p = p->next) ++queued;
    }
    const std::uint32_t out = link_.out() + stack_->store().in_use();
    require(queued <= out, "no packet is in two places");
    require(out - queued <= most_hidden + (link_.is_full ? burst::capacity : 0), "no packet is lost");
  }

  counters count_;
  script_link link_;
  udp_layer sockets_{count_, *this, {.receive_default = receive_buffer}};
  counting_sink sink_{sockets_};
  std::unique_ptr<stack> stack_;
  std::array<std::unique_ptr<udp_socket>, socket_count> in_use_;
  time_point now_ = second;
};

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::machine m;
  m.run(fastudp::script::parse({data, size}));
  m.expect_all_home();
  return 0;
}
