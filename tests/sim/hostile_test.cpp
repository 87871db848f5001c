// A million packets from an enemy, each checked by itself: nothing but what the protocols say changes, every table
// stays within its bound, every frame that came in is accounted for once, and every one is home at the end. A seed that
// fails is printed; FASTUDP_SIM_SEED=N runs it alone. FASTUDP_HOSTILE_PACKETS=N sets how many there are in all.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>

#include "base/random.h"
#include "link/wrap/vlan.h"
#include "sim/hostile_frames.h"
#include "socket/udp_layer.h"
#include "stack/quote.h"
#include "stack/stack.h"
#include "support/fake_link.h"
#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using namespace test;

constexpr std::uint64_t packets_per_seed = 20'000;
constexpr std::uint32_t most_groups = 12, link_frames = 512;
constexpr std::uint16_t our_vlan = 100;

std::uint64_t setting(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

// Which frames may end without a trace: hearing or answering them is all there is to do.
enum class kind { arp, message, discovery, other };

kind kind_of_ipv6(std::span<const std::byte> packet) {
  const auto ip = view<ipv6>::parse(packet);
  if (!ip) return kind::other;
  packet = packet.first(std::min<std::size_t>(packet.size(), fixed_size<ipv6> + ip->get<&ipv6::payload_length>()));
  ipv6_chain chain = walk(packet);
  const bool is_cut = chain.how == ipv6_chain::end::fragment;
  for (int i = 0; i < 8 && chain.how == ipv6_chain::end::fragment; ++i) {
    const auto header = view<ipv6_fragment>::parse(packet.subspan(chain.offset));
    if (!header) return kind::other;
    chain = walk(packet, behind(chain, header->get<&ipv6_fragment::next_header>()));
  }
  if (chain.how != ipv6_chain::end::upper || chain.protocol != ip_protocol::icmpv6) return kind::other;
  const auto message = view<icmpv6>::parse(packet.subspan(std::min<std::size_t>(chain.offset, packet.size())));
  if (!message || is_cut) return kind::message;  // RFC 6980: discovery is never cut
  const auto type = message->get<&icmpv6::type>();
  const bool discovers = type == icmpv6_type::neighbour_solicitation || type == icmpv6_type::neighbour_advertisement;
  return discovers ? kind::discovery : kind::message;
}

kind kind_of(std::string_view frame) {
  const auto outer = view<ethernet>::parse(octets(frame));
  if (!outer) return kind::other;
  switch (outer->get<&ethernet::type>().value()) {
    case ether_type::arp:
      return kind::arp;
    case ether_type::ipv4: {
      const auto ip = view<ipv4>::parse(outer->payload());
      const auto protocol = ip ? ip->get<&ipv4::protocol>().value() : ip_protocol::udp;
      return protocol == ip_protocol::icmp || protocol == ip_protocol::igmp ? kind::message : kind::other;
    }
    case ether_type::ipv6:
      return kind_of_ipv6(outer->payload());
    case ether_type::vlan:
    case ether_type::service_vlan: {
      const auto tag = view<vlan>::parse(outer->payload());
      if (!tag || tag->get<&vlan::vid>() != 0) return kind::other;
      return kind_of(std::string(frame.substr(0, 12)) + std::string(frame.substr(16)));
    }
    default:
      return kind::other;
  }
}

// Reasons for which what we send ourselves is lost, or an answer isn't sent; and a socket's.
constexpr drop not_of_frames[] = {drop::icmp_rate_limited, drop::neighbour_failed, drop::neighbour_queue,
                                  drop::neighbour_table,   drop::link_tx_full,     drop::no_route,
                                  drop::queue_full};

class hostile_world final : private socket_events, private datagram_sink {
 public:
  hostile_world(std::uint64_t seed, bool tagged, std::uint32_t neighbours)
      : random_(seed),
        frames_(random_),
        tagged_(tagged),
        most_neighbours_(neighbours),
        sockets_(count_, *this, {.receive_default = 8'000}) {
    open_link();
    stack_ = std::move(
        *stack::create(*link_, count_, *this, {.seed = seed, .neighbours = neighbours, .groups = most_groups}));
    require(bool(sockets_.open(*stack_)), "the layer opens");
    configure();
    open_sockets();
  }

  // False: something was wrong.
  bool run(std::uint64_t packets) {
    for (std::uint64_t i = 0; i < packets && sound_; ++i) {
      pass_time();
      if (random_.below(12) == 0) send();
      if (random_.below(200) == 0) change_groups();
      hear(frames_.next());
      if (random_.below(200) == 0) take_all();
    }
    take_all();
    return sound_;
  }

  void expect_all_home() {
    for (auto& s : in_use_) s.reset();
    for (int i = 0; i < 40; ++i) stack_->poll(now_ += 10 * second, burst::capacity);
    EXPECT_EQ(stack_->neighbours().parked(), 0u);
    EXPECT_EQ(stack_->fragments().held(), 0u);
    EXPECT_EQ(stack_->store().in_use(), 0u);
    EXPECT_EQ(stack_->path_mtu().size(now_ + path_mtu_cache::lifetime), 0u);
    stack_.reset();
    EXPECT_EQ(device_->out(), 0u);
  }

  const counters& count() const { return count_; }
  std::uint64_t joined() const { return stack_->fragments().joined(); }
  std::uint64_t traceless() const { return traceless_; }
  std::uint64_t reports() const { return reports_; }

 private:
  // What a frame may change, before and after it.
  struct state {
    std::uint64_t of_frames, dropped;
    std::int64_t held, joined, taken;
    std::uint64_t reports;
    std::array<mac_address, 2> learnt;
    std::array<path_mtu_cache::learnt, 4> path_mtu;
    std::uint32_t groups;
  };

  void became_ready(udp_socket&) override {}

  void deliver(std::span<arrival> arrivals, time_point now) override {
    sockets_.deliver(arrivals, now);
    for (const arrival& each : arrivals) taken_ += each.taken;
  }
  bool report(const icmp_report& what) override {
    const bool matched = sockets_.report(what);
    reports_ += matched;
    if (!matched) return false;
    bool someones = false;
    for (const auto& s : in_use_) {
      const bool is_peer = !s->is_connected() || s->peer() == what.about.remote;
      someones |= s->local().port == what.about.local.port && is_peer;
    }
    const bool is_one_family = what.about.local.address.is_v4() == what.about.remote.address.is_v4();
    require(someones && is_one_family, "an error is about what a socket may have sent");
    return true;
  }

  void require(bool holds, const char* what) {
    if (holds || !sound_) return;
    sound_ = false;
    ADD_FAILURE() << "not so: " << what << "\nframe " << heard_ << ": " << to_hex(last_);
  }

  // ---- The host

  void open_link() {
    auto made = std::make_unique<fake_link>(our_mac, link_frames);
    device_ = made.get();
    link_ = std::move(made);
    if (!tagged_) return;
    wrap::vlan_membership in;
    in.members[our_vlan] = true;
    in.first = our_vlan;
    link_ = link_ptr(new wrap::vlan_link(std::move(link_), in, count_));
  }

  void configure() {
    require(bool(stack_->add_address({host_v4(1), 24}, now_)), "an IPv4 address");
    require(bool(stack_->add_address({host_v6(1), 64}, now_)), "an IPv6 address");
    const ip_address router_v4 = host_v4(30), router_v6 = host_v6(30);
    require(bool(stack_->add_route({ip_address(ipv4_address{}), 0}, &router_v4)), "a router");
    require(bool(stack_->add_route({ip_address(), 0}, &router_v6)), "a router");
    require(bool(stack_->add_neighbour(host_v4(5), mac_of(5))), "a permanent neighbour");
    require(bool(stack_->add_neighbour(host_v6(5), mac_of(5))), "a permanent neighbour");
  }

  udp_socket& open(ip_family family, const ip_address& address, std::uint16_t port) {
    auto& s = *in_use_.emplace_back(std::make_unique<udp_socket>(sockets_, family));
    s.entry().reuse_address = true;
    s.settings().broadcast = true;
    require(bool(s.bind({address, port})), "a place to bind to");
    return s;
  }
  void open_sockets() {
    const ip_address any_v4 = ipv4_address{}, any_v6;
    open(ip_family::v4, any_v4, 53).settings().receive_errors = true;
    require(bool(open(ip_family::v4, host_v4(1), 7).connect({host_v4(2), 9}, now_)), "a peer");
    open(ip_family::v4, host_v4(1), 8).settings().receive_errors = true;
    join(open(ip_family::v4, any_v4, 5353), group_v4(1), nullptr);
    const ip_address wanted_v4 = host_v4(3), wanted_v6 = host_v6(3);
    join(open(ip_family::v4, group_v4(2), 5353), group_v4(2), &wanted_v4);
    require(bool(open(ip_family::v6, host_v6(1), 7).connect({host_v6(2), 9}, now_)), "a peer");
    open(ip_family::v6, host_v6(1), 8).settings().v6.receive_errors = true;
    join(open(ip_family::v6, any_v6, 5354), group_v6(1), nullptr);
    join(open(ip_family::v6, any_v6, 5354), group_v6(2), &wanted_v6);
    for (auto& s : in_use_) s->settings().multicast_all = s->settings().v6.multicast_all = false;
  }
  // By one source alone, or by all but one.
  void join(udp_socket& s, const ip_address& group, const ip_address* source) {
    memberships& of = s.groups();
    require(bool(source != nullptr ? of.join_source(group, *source) : of.join(group)), "a group");
    const ip_address unwanted = group.is_v4() ? host_v4(4) : host_v6(4);
    if (source == nullptr) require(bool(of.add_source(group, unwanted, true)), "a source");
    require(bool(sockets_.listen(s, group, now_)), "a group");
  }
  udp_socket& any_socket() { return *in_use_[random_.below(static_cast<std::uint32_t>(in_use_.size()))]; }

  // ---- What its programs do

  void pass_time() {
    constexpr std::array<duration, 5> steps{microsecond, 100 * microsecond, millisecond, 300 * millisecond, second};
    if (random_.below(500) == 0) is_flood_ = !is_flood_;
    const std::uint32_t which = random_.below(10'000);
    now_ += is_flood_ || which < 9'700 ? steps[which % 2] : which == 9'999 ? 31 * second : steps[2 + which % 3];
    const state before = look();
    stack_->poll(now_, burst::capacity);
    const auto timed_out = static_cast<std::int64_t>(dropped(count_, drop::fragment_timeout) - timed_out_);
    timed_out_ = dropped(count_, drop::fragment_timeout);
    require(timed_out == before.held - look().held, "fragments that wait too long are counted");
    look_at_sent();
  }

  void send() {
    static const std::array<std::byte, 4000> payload{};
    udp_socket& from = any_socket();
    // Some that nobody answers for.
    const std::uint32_t n = random_.below(4) == 0 ? 60 + random_.below(4) : random_.below(12), kind = random_.below(8);
    const bool is_v4 = from.family() == ip_family::v4;
    const ip_address to = kind == 0   ? is_v4 ? group_v4(n % 4) : group_v6(n % 4)
                            : kind == 1 ? is_v4 ? stranger_v4(n) : stranger_v6(n)
                            : kind == 2 ? is_v4 ? host_v4(255) : near_v6(n)
                                        : (is_v4 ? host_v4(2 + n) : host_v6(2 + n));
    const endpoint_address where{to, one_of_ports()};
    const std::size_t size = random_.below(random_.below(4) == 0 ? payload.size() : 100);
    const bool to_peer = from.is_connected() && random_.below(2) == 0;
    (void)from.send(std::span(payload).first(size), to_peer ? nullptr : &where, {}, now_);
    stack_->flush(now_);
    look_at_sent();
  }
  std::uint16_t one_of_ports() { return hostile_frames::ports[random_.below(hostile_frames::ports.size())]; }

  void change_groups() {
    take_all();  // by what was asked for when it came
    udp_socket& s = any_socket();
    const bool is_v4 = s.family() == ip_family::v4;
    const std::uint32_t n = random_.below(4);
    const ip_address group = is_v4 ? group_v4(n) : group_v6(n);
    const ip_address source = is_v4 ? host_v4(2 + random_.below(6)) : host_v6(2 + random_.below(6));
    switch (random_.below(5)) {
      case 0:
        (void)s.groups().join(group);
        break;
      case 1:
        (void)s.groups().leave(group);
        break;
      case 2:
        (void)s.groups().join_source(group, source);
        break;
      case 3:
        (void)s.groups().add_source(group, source, true);
        break;
      default:
        (void)s.groups().remove_source(group, source, random_.below(2) == 0);
    }
    if (!sockets_.listen(s, group, now_)) (void)s.groups().leave(group);
    stack_->flush(now_);
    look_at_sent();
  }

  // ---- What comes in

  void hear(const std::string& frame) {
    ++heard_;
    last_ = frame;
    const state before = look();
    // An answer, a question about where it has to go, what was parked for who has come, a report of each group.
    const std::size_t most_sent = 2 + stack_->neighbours().parked() + stack_->groups().size();
    device_->to_receive.push_back(tagged_ ? with_tag(frame) : frame);
    stack_->poll(now_, burst::capacity);
    check(frame, before, look());
    require(device_->sent.size() <= most_sent, "little is said about one frame");
    check_bounds();
    look_at_sent();
  }

  // Now and then of another VLAN, or of none.
  std::string with_tag(const std::string& frame) {
    if (frame.size() < 12 || random_.below(16) == 0) return frame;
    const auto vid = random_.below(16) == 0 ? random_.next() : our_vlan;
    const std::string tag{'\x81', '\0', static_cast<char>(vid >> 8 & 0xef), static_cast<char>(vid)};
    return std::string(frame).insert(12, tag);
  }

  state look() {
    state out{};
    for (const counter& c : count_.drops) out.dropped += c.get();
    out.of_frames = out.dropped;
    for (const drop why : not_of_frames) out.of_frames -= dropped(count_, why);
    out.held = stack_->fragments().held();
    out.joined = static_cast<std::int64_t>(stack_->fragments().joined());
    out.taken = taken_;
    out.reports = reports_;
    out.learnt = {mac_known_of(host_v4(2)), mac_known_of(host_v6(2))};
    const ip_address destinations[] = {host_v4(2), host_v6(2), host_v4(200), stranger_v6(200)};
    for (std::size_t i = 0; i < out.path_mtu.size(); ++i) {
      out.path_mtu[i] = stack_->path_mtu().lookup(destinations[i], now_);
    }
    out.groups = stack_->groups().size();
    return out;
  }
  mac_address mac_known_of(const ip_address& host) {
    const neighbour* n = stack_->find_neighbour(host);
    return n != nullptr ? n->mac : mac_address{};
  }

  void check(std::string_view frame, const state& before, const state& after) {
    // Dropped with a reason, taken by a socket, waiting for other fragments, or part of a datagram that one of these
    // happened to; otherwise a message that was heard.
    const auto lost = static_cast<std::int64_t>(after.of_frames - before.of_frames);
    const std::int64_t fates =
        lost + (after.taken - before.taken) + (after.held - before.held) + (after.joined - before.joined);
    const kind what = kind_of(frame);
    require(fates == 0 || fates == 1, "one thing becomes of a frame");
    require(fates == 1 || what != kind::other || after.joined != before.joined, "what isn't a message leaves a trace");
    traceless_ += fates == 0;
    require(after.learnt[0] == before.learnt[0] || is_gone(after.learnt[0]) || what == kind::arp,
            "only ARP says where an IPv4 neighbour is");
    require(after.learnt[1] == before.learnt[1] || is_gone(after.learnt[1]) || what == kind::discovery,
            "only neighbour discovery says where an IPv6 neighbour is");
    require(after.reports != before.reports || after.path_mtu == before.path_mtu,
            "only errors about what a socket may have sent say how long packets may be");
    require(after.groups <= before.groups, "nobody else makes this host a member");
  }
  // An entry may make room for another, or fail.
  static bool is_gone(const mac_address& mac) { return mac.is_zero(); }

  void check_bounds() {
    require(stack_->neighbours().size() <= most_neighbours_, "neighbours are bounded");
    require(stack_->neighbours().parked() <= link_frames / 8, "parked packets are bounded");
    require(stack_->groups().size() <= most_groups, "groups are bounded");
    require(stack_->fragments().datagrams() <= reassembly::most_datagrams, "datagrams under way are bounded");
    require(dropped(count_, drop::no_memory) == 0, "there is memory");
    for (const ip_address& each : {host_v4(5), host_v6(5)}) {
      const neighbour* n = stack_->find_neighbour(each);
      require(n != nullptr && n->state == neighbour_state::permanent && n->mac == mac_of(5), "permanent is permanent");
    }
    const std::uint32_t n = random_.below(8);
    require(stack_->find_neighbour(stranger_v4(n)) == nullptr, "strangers are no neighbours");
    require(stack_->find_neighbour(stranger_v6(n)) == nullptr, "strangers are no neighbours");
  }

  // ---- What its programs get

  void take_all() {
    for (auto& s : in_use_) {
      while (packet* p = s->pop()) {
        check_received(*s, *p);
        release(p);
      }
      queued_error e;
      while (packet* p = s->pop_error(e)) release(p);
      (void)s->take_error();
    }
    check_seldom();
  }

  void check_received(udp_socket& by, packet& p) {
    const endpoint_address sender = sender_of(p);
    const ip_facts facts = facts_of(p);
    require(!by.is_connected() || by.peer() == sender, "a connected socket hears its peer alone");
    require(!sender.address.is_multicast() && !sender.address.is_loopback(), "no impossible sender");
    require(sender.address.is_v4() == facts.destination.is_v4(), "both ends are of one family");
    require(sender.address.is_v4() || by.family() == ip_family::v6, "an IPv4 socket hears IPv4 alone");
    if (!facts.destination.is_multicast()) return;
    const source_filter* filter = by.groups().find(facts.destination);
    require(filter != nullptr && filter->sources.contains(sender.address) != filter->excludes,
            "a member hears whom it listens to");
  }

  void check_seldom() {
    const std::uint32_t out = device_->out() + stack_->store().in_use();
    require(out == stack_->neighbours().parked() + stack_->fragments().datagrams(),
            "only what is parked and what is incomplete is kept");
    require(stack_->path_mtu().size(now_) <= reports_, "path MTUs are of what sockets sent");
    for (const ip_address& each : {host_v4(2), host_v6(2), host_v4(5), host_v6(5)}) {
      const std::uint32_t known = stack_->path_mtu().lookup(each, now_).mtu;
      require(known == 0 || known >= (each.is_v4() ? path_mtu_cache::smallest : 1280u), "no path MTU is too small");
    }
    const auto far_v4 = stack_->routes().lookup(stranger_v4(1)), far_v6 = stack_->routes().lookup(stranger_v6(1));
    require(far_v4 && far_v4->gateway == host_v4(30), "routes stay");
    require(far_v6 && far_v6->gateway == host_v6(30), "routes stay");
    require(!stack_->routes().lookup(host_v4(9))->gateway, "routes stay");
  }

  // ---- What goes out

  void look_at_sent() {
    for (std::string& frame : device_->take_sent()) {
      require(device_->info().carries(octets(std::string_view(frame))), "what is sent fits the link");
      if (tagged_) {
        require(frame.substr(12, 4) == std::string("\x81\0\0\x64", 4), "what is sent has our tag");
        frame.erase(12, 4);
      }
      check_sent(frame);
    }
  }

  void check_sent(const std::string& frame) {
    std::string same = frame;
    repair_unless_fragment(same);
    require(same == frame || is_fragment_v6(frame), "what is sent has the right lengths and checksums");
    const auto outer = *view<ethernet>::parse(octets(std::string_view(frame)));
    require(outer.get<&ethernet::source>() == our_mac && !outer.get<&ethernet::destination>().is_zero(),
            "what is sent is from us to somebody");
    const auto inner = std::string_view(frame).substr(fixed_size<ethernet>);
    require(!outer.get<&ethernet::destination>().is_group() || is_for_many(outer), "what is for one host goes to one");
    if (is_datagram(inner)) frames_.remember(inner);
  }
  static bool is_fragment_v6(std::string_view frame) {
    const auto chain = walk(octets(frame.substr(fixed_size<ethernet>)));
    return chain.how == ipv6_chain::end::fragment;
  }
  static bool is_for_many(const view<ethernet>& outer) {
    if (outer.get<&ethernet::type>() == ether_type::arp) return true;
    const auto v4 = view<ipv4>::parse(outer.payload());
    const auto v6 = view<ipv6>::parse(outer.payload());
    const bool is_v4 = outer.get<&ethernet::type>() == ether_type::ipv4;
    const ip_address to = is_v4 ? ip_address(v4->get<&ipv4::destination>()) : ip_address(v6->get<&ipv6::destination>());
    return mac_towards(to) != our_mac;
  }
  static bool is_datagram(std::string_view packet) { return quote_of(octets(packet)).payload.data() != nullptr; }

  random_source random_;
  hostile_frames frames_;
  const bool tagged_;
  const std::uint32_t most_neighbours_;
  counters count_;
  fake_link* device_ = nullptr;
  link_ptr link_;
  udp_layer sockets_;
  std::unique_ptr<stack> stack_;
  std::vector<std::unique_ptr<udp_socket>> in_use_;
  time_point now_ = 1000 * second;
  std::uint64_t heard_ = 0, reports_ = 0, timed_out_ = 0, traceless_ = 0;
  std::int64_t taken_ = 0;
  std::string last_;
  bool sound_ = true, is_flood_ = false;
};

struct totals {
  std::uint64_t packets = 0, datagrams = 0, joined = 0, traceless = 0, reports = 0;
  std::array<std::uint64_t, drop_reasons> drops{};
};

void run_seed(std::uint64_t seed, std::uint64_t packets, totals& sum) {
  SCOPED_TRACE("FASTUDP_SIM_SEED=" + std::to_string(seed));
  hostile_world world(seed, seed % 2 == 0, seed / 2 % 2 == 0 ? 24 : 160);  // too small, and with room
  if (!world.run(packets)) return;
  sum.packets += packets;
  sum.datagrams += world.count().rx_datagrams.get();
  sum.joined += world.joined();
  sum.traceless += world.traceless();
  sum.reports += world.reports();
  for (std::size_t i = 0; i < drop_reasons; ++i) sum.drops[i] += world.count().drops[i].get();
  world.expect_all_home();
}

TEST(hostile, packets_change_nothing_that_matters) {
  totals sum;
  const std::uint64_t one = setting("FASTUDP_SIM_SEED", 0), total = setting("FASTUDP_HOSTILE_PACKETS", 1'000'000);
  const std::uint64_t last = one != 0 ? one : std::max<std::uint64_t>(total / packets_per_seed, 1);
  for (std::uint64_t seed = one != 0 ? one : 1; seed <= last && !HasFailure(); ++seed) {
    run_seed(seed, packets_per_seed, sum);
  }
  std::printf("%llu packets: %llu datagrams taken, %llu fragments joined, %llu messages heard, %llu errors told\n",
              static_cast<unsigned long long>(sum.packets), static_cast<unsigned long long>(sum.datagrams),
              static_cast<unsigned long long>(sum.joined), static_cast<unsigned long long>(sum.traceless),
              static_cast<unsigned long long>(sum.reports));
  for (std::size_t i = 0; i < drop_reasons; ++i) {
    if (sum.drops[i] != 0) std::printf("  %-20s %llu\n", drop_name(i), static_cast<unsigned long long>(sum.drops[i]));
  }
}

}  // namespace
}  // namespace fastudp
