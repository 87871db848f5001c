// The link xdp:IFNAME: AF_XDP sockets on the queues of an interface that the kernel keeps, with the kernel's addresses
// or with one of our own.
//
// Frames aren't copied here: what comes in lies in a chunk of the link's pool, which goes up the stack and comes back;
// what goes out is sent from where it is, unless it is in another pool's frame.

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string_view>

#include "link/link.h"
#include "link/own_mac.h"
#include "link/packet/spare_ends.h"
#include "link/steering.h"
#include "link/uri.h"
#include "link/wait_set.h"
#include "link/xdp/partial_checksum.h"
#include "link/xdp/queues.h"
#include "link/xdp/side.h"

namespace fastudp::xdp {
namespace {

// The losses of the rings are asked for this often, in calls that found them empty.
constexpr unsigned looks_between_statistics = 1024;
constexpr std::uint32_t most_queues = 256;

af_packet::plan plan_of_ends(const af_packet::interface_facts& device, const link_info& info, const steering& claims) {
  af_packet::plan out{.device = device, .info = info, .claims = &claims};
  out.info.way = "";
  out.info.queues = 1;
  return out;
}

class xdp_link final : public link {
 public:
  xdp_link(const plan& by, queues&& sockets, steering& claims, counters& count)
      : device_(by.device),
        claims_(claims),
        queues_(std::move(sockets)),
        info_(by.info),
        guesses_checksums_(by.driver.leads_to_local_kernels()),
        count_(count) {
    std::snprintf(name_, sizeof name_, "xdp:%s", by.device.name);
    info_.name = name_;
  }
  status start(std::unique_ptr<steering> own_claims, const reason& way, reason& why);

  std::size_t rx_burst(burst& out) override;
  std::size_t tx_burst(const burst& in) override;
  void tx_flush() override;

  int wait_fd() const override { return watched_.number(); }
  bool arm() override;
  void admit_group(const mac_address& group, bool wanted) override { side_->admit_group(group, wanted); }
  status set_ends_aside(reason& why) override;
  result<link_ptr> open_end(unsigned number, counters& count, reason& why) override;
  void close_end(unsigned number) override;

  bool has_device() const override { return side_ == nullptr || af_packet::has_interface(side_->number()); }

  // What a full device hasn't taken is offered again a little later: nothing tells when it has room.
  time_point deadline() const override { return queues_.first().has_left_some() ? now_ + 10 * millisecond : never; }
  void advance(time_point now) override { now_ = now; }

  const link_info& info() const override { return info_; }
  pool& frames() override { return memory().frames(); }

 private:
  const umem& memory() const { return queues_.memory(); }
  void receive(socket& from, burst& out);
  bool send(packet* p);
  packet* into_chunk(packet* p);
  bool make_room_to_send();
  void ask_for_losses();
  void leave();

  af_packet::interface_facts device_;
  std::unique_ptr<steering> own_claims_;  // of a link without a stack
  steering& claims_;
  queues queues_;
  link_info info_;
  bool guesses_checksums_;
  counters& count_;
  std::unique_ptr<side> side_;
  wait_set watched_;
  std::unique_ptr<af_packet::spare_ends> ends_;
  losses counted_;
  unsigned empty_looks_ = 0;
  time_point now_ = 0;
  reason way_;
  char name_[32];
};

status xdp_link::start(std::unique_ptr<steering> own_claims, const reason& way, reason& why) {
  own_claims_ = std::move(own_claims);
  way_ = way;
  info_.way = way_.c_str();
  auto beside = side::open(device_, info_, claims_, frames(), count_, why);
  if (!beside) return beside.failure();
  side_ = std::move(*beside);
  auto watched = wait_set::open(why);
  if (!watched) return watched.failure();
  watched_ = std::move(*watched);
  for (const socket& each : queues_.all()) {
    if (auto done = watched_.add(each.number(), why); !done) return done;
  }
  return watched_.add(side_->number(), why);
}

// ---- Receiving

void xdp_link::receive(socket& from, burst& out) {
  const std::size_t before = out.size();
  from.receive(memory(), out);
  from.restock(memory());
  if (!guesses_checksums_) return;
  for (packet* p : out.packets().subspan(before)) {
    if (has_partial_checksum(p->bytes())) p->checksum = checksum_state::partial;
  }
}

std::size_t xdp_link::rx_burst(burst& out) {
  const std::size_t before = out.size();
  queues_.first().reclaim(memory());
  if (queues_.first().has_left_some()) queues_.first().flush();
  for (socket& each : queues_.all()) receive(each, out);
  side_->receive(out);
  if (out.size() == before && ++empty_looks_ % looks_between_statistics == 0) ask_for_losses();
  return out.size() - before;
}

bool xdp_link::arm() {
  if (queues_.all().empty()) return true;  // they are another process's by now
  bool is_empty = side_->arm();
  for (socket& each : queues_.all()) {
    each.restock(memory());
    each.wake_receiver();
    is_empty &= each.is_empty();
  }
  return is_empty;
}

void xdp_link::ask_for_losses() {
  losses now;
  for (const socket& each : queues_.all()) {
    const losses lost = each.lost();
    now.ring_full += lost.ring_full;
    now.no_frame += lost.no_frame;
  }
  count_.dropped(drop::link_rx_full, now.ring_full - counted_.ring_full);
  count_.dropped(drop::no_memory, now.no_frame - counted_.no_frame);
  counted_ = now;
}

// ---- Sending

bool xdp_link::make_room_to_send() {
  socket& by = queues_.first();
  if (by.has_room_to_send()) return true;
  by.flush();
  by.reclaim(memory());
  return by.has_room_to_send();
}

// Null when all chunks are out, or when it didn't fit into one.
packet* xdp_link::into_chunk(packet* p) {
  if (memory().owns(*p)) return p;
  packet* copy = frames().take();
  if (copy == nullptr) {
    count_.dropped(drop::no_memory);
  } else {
    std::memcpy(copy->data(), p->data(), p->length);
    copy->length = p->length;
  }
  release(p);
  return copy;
}

// False: there is no room, and the packet stays the caller's.
bool xdp_link::send(packet* p) {
  if (!info_.carries(p->bytes())) {
    count_.dropped(drop::link_error);
    release(p);
    return true;
  }
  if (!make_room_to_send()) return false;
  if (const packet* chunk = into_chunk(p)) queues_.first().send(memory(), *chunk);
  return true;
}

std::size_t xdp_link::tx_burst(const burst& in) {
  std::size_t taken = 0;
  for (packet* p : in.packets()) {
    if (!send(p)) break;
    ++taken;
  }
  return taken;
}

void xdp_link::tx_flush() {
  queues_.first().flush();
  queues_.first().reclaim(memory());
}

// ---- Several processes

// An AF_XDP socket has one process. The others' ends are packet sockets, on the same claims: what isn't ours by these
// the program at XDP lets pass, to their taps, and the one at tc keeps what they take from the kernel.
status xdp_link::set_ends_aside(reason& why) {
  if (!info_.shared) return link::set_ends_aside(why);
  if (ends_) return {};
  if (auto attached = claims_.attach(device_.index, why); !attached) return attached;
  auto made = af_packet::spare_ends::make(plan_of_ends(device_, info_, claims_), why);
  if (!made) return made.failure();
  ends_ = std::move(*made);
  return {};
}

result<link_ptr> xdp_link::open_end(unsigned number, counters& count, reason& why) {
  if (!ends_) return link::open_end(number, count, why);
  auto opened = af_packet::open_end(ends_, number, count, why);
  if (opened) leave();
  return opened;
}

void xdp_link::close_end(unsigned number) {
  if (ends_) ends_->put_back(number);
}

// The sockets are another process's, and would stay bound to their queues as long as anybody has them.
void xdp_link::leave() {
  queues_.leave();
  side_.reset();
  watched_ = wait_set();
}

// ---- Opening

constexpr mode all_modes[] = {mode::zerocopy, mode::copy, mode::generic};

// `nic` is what auto: asks for. In generic mode a super-packet of a kernel on this machine (UDP_SEGMENT) looks like one
// datagram, so that is never taken unasked where there may be some.
status choose_modes(uri& where, plan& by, reason& why) {
  const std::span<const mode> all(all_modes);
  const auto asked = where.take("mode").value_or("");
  const bool is_for_nics = asked == "nic";
  if (is_for_nics && by.driver.is_software)
    return why.fail(EOPNOTSUPP, "xdp: is no faster than packet: on %s, which is no NIC", by.device.name);
  if (asked.empty()) return by.modes = by.driver.leads_to_local_kernels() ? all.first(2) : all, status{};
  if (is_for_nics) return by.modes = all.first(2), status{};
  if (asked == "zerocopy") return by.modes = all.subspan(0, 1), status{};
  if (asked == "copy") return by.modes = all.subspan(1, 1), status{};
  if (asked == "generic") return by.modes = all.subspan(2, 1), status{};
  return why.fail(EINVAL, "mode=%.*s: write zerocopy, copy or generic", static_cast<int>(asked.size()), asked.data());
}

struct range {
  std::uint32_t first = 0, last = 0;
};

// N: the first N; A-B: those of these numbers.
std::optional<range> parse_queues(std::string_view text) {
  const auto dash = text.find('-');
  const auto number = [](std::string_view digits) -> std::optional<std::uint32_t> {
    std::uint32_t out = 0;
    const char* end = digits.data() + digits.size();
    const auto [at, problem] = std::from_chars(digits.data(), end, out);
    return problem == std::errc{} && at == end ? std::optional(out) : std::nullopt;
  };
  const auto first = number(text.substr(0, dash));
  if (!first) return std::nullopt;
  if (dash == text.npos) return *first == 0 ? std::nullopt : std::optional(range{0, *first - 1});
  const auto last = number(text.substr(dash + 1));
  return last && *last >= *first ? std::optional(range{*first, *last}) : std::nullopt;
}

status choose_queues(uri& where, plan& by, reason& why) {
  const std::uint32_t there = std::min(by.driver.queues, most_queues);
  const auto asked = where.take("queues");
  const auto wanted = asked ? parse_queues(*asked) : range{0, there - 1};
  if (!wanted || wanted->last >= there) {
    return why.fail(EINVAL, "queues=%.*s: write how many, or first-last; %s has %u", static_cast<int>(asked->size()),
                    asked->data(), by.device.name, there);
  }
  by.first_queue = wanted->first;
  by.queues = wanted->last - wanted->first + 1;
  return {};
}

// Whose address it is.
status choose_address(uri& where, plan& by, reason& why) {
  const auto asked = where.take_mac("mac", why);
  if (!asked) return asked.failure();
  by.info.shared = by.info.steered = !where.has("address");
  by.info.mac = by.device.mac;
  if (by.info.shared) {
    if (asked->is_zero()) return {};
    return why.fail(EINVAL, "mac= needs address=: the host's addresses have the interface's own MAC");
  }
  const auto own = own_mac(*asked, by.device.mac, why);
  if (!own) return own.failure();
  by.info.mac = *own;
  return {};
}

status choose_mtu(uri& where, plan& by, reason& why) {
  constexpr std::uint32_t most_in_a_chunk = umem::longest_frame - longest_link_header;
  const std::uint32_t most = std::min(by.device.mtu, most_in_a_chunk);
  const auto mtu = where.take_number("mtu", 68, most, most, why);
  if (!mtu) return mtu.failure();
  by.info.mtu = static_cast<std::uint32_t>(*mtu);
  return {};
}

result<plan> make_plan(uri& where, reason& why) {
  const auto device = af_packet::look_up(where.device(), why);
  if (!device) return device.failure();
  plan out;
  out.device = *device;
  out.driver = ask_driver(*device);
  out.info.interface = device->index;
  if (where.has("vlan"))
    return why.fail(EOPNOTSUPP, "vlan= isn't for xdp:, which may not see the tags: use packet:%s", device->name);
  if (auto done = choose_mtu(where, out, why); !done) return done.failure();
  if (auto done = choose_modes(where, out, why); !done) return done.failure();
  if (auto done = choose_queues(where, out, why); !done) return done.failure();
  if (auto done = choose_address(where, out, why); !done) return done.failure();
  out.info.queues = out.queues;
  return out;
}

result<link_ptr> open_by(const plan& by, const link_services& services, reason& why) {
  std::unique_ptr<steering> own_claims;
  if (services.claims == nullptr) {
    auto loaded = steering::load(why);
    if (!loaded) return error{loaded.code()};
    own_claims = std::move(*loaded);
  }
  steering& claims = own_claims ? *own_claims : *services.claims;
  const redirection wanted{.interface = by.device.index,
                           .mac = by.info.mac,
                           .longest = by.info.mtu + (by.info.shared ? ethernet_header_length : longest_link_header),
                           .takes_all = !by.info.shared};
  if (auto loaded = claims.open_redirect(wanted, why); !loaded) return loaded.failure();
  reason way;
  auto sockets = queues::open(by, claims, way, why);
  if (!sockets) return sockets.failure();
  std::unique_ptr<xdp_link> out(new (std::nothrow) xdp_link(by, std::move(*sockets), claims, services.count));
  if (!out) return why.fail(ENOMEM, "no memory for xdp:%s", by.device.name);
  if (auto started = out->start(std::move(own_claims), way, why); !started) return started.failure();
  return link_ptr(std::move(out));
}

}  // namespace

// Keys: mode=zerocopy|copy|generic, queues, mac with address. EINVAL is for what these say, and not for what a driver
// or the kernel says of it.
result<link_ptr> open(uri& where, const link_services& services, reason& why) {
  const auto by = make_plan(where, why);
  if (!by) return by.failure();
  auto made = open_by(*by, services, why);
  return made.code() == EINVAL ? error{EOPNOTSUPP} : std::move(made);
}

}  // namespace fastudp::xdp
