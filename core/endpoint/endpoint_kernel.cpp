// The endpoint and its companion: what runs on both, what the kernel alone does, and when a socket is left to it.

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "endpoint/conditional_options.h"
#include "endpoint/control.h"
#include "endpoint/endpoint.h"
#include "host/ports.h"
#include "socket/group_options.h"
#include "socket/option_fate.h"
#include "socket/options.h"
#include "socket/timestamps.h"

namespace fastudp {
namespace {

// Headers and options that are sent with each datagram; zeros are some, too.
bool is_sent_along(int level, int name) {
  if (level == IPPROTO_IP) return name == IP_OPTIONS;
  return level == IPPROTO_IPV6 && (name == IPV6_HOPOPTS || name == IPV6_RTHDRDSTOPTS || name == IPV6_RTHDR ||
                                   name == IPV6_DSTOPTS || name == IPV6_2292PKTOPTIONS);
}

// Whether the fast path goes on as before.
bool is_harmless(int level, int name, std::span<const std::byte> value, bool is_alone) {
  const bool is_zero = std::ranges::all_of(value, [](std::byte b) { return b == std::byte{}; });
  if (value.empty() || (is_zero && !is_sent_along(level, name))) return true;
  const option_fate fate = fate_of(level, name);
  return fate == option_fate::companion || fate == option_fate::refused || (is_alone && fate == option_fate::host);
}

// Sockets that may have to share their port with another process.
bool may_share_port(const port_entry& entry) { return entry.reuse_address || entry.reuse_port; }

}  // namespace

// ---- The companion

result<ip_family> endpoint::family_of(int kernel_socket) {
  const auto found = companion::adopt(kernel_socket);
  return found ? result<ip_family>(found->family()) : found.failure();
}

status endpoint::open_companion(engine::turn& t, int adopted) {
  auto made = adopted >= 0 ? companion::adopt(adopted) : companion::open(family());
  if (!made) return made.failure();
  kernel_.emplace(engine_, std::move(*made));
  socket_.lean_on_kernel();
  if (engine_.is_guest()) {  // the stack is another process's
    become_kernels(kernel_reason::forked, false);
    engine_.count().sockets_kernel.add_shared(1);
    return {};
  }
  has_foreign_filter_ = adopted >= 0 && !take_over_filter();
  if (auto watched = engine_.watch(*this); !watched) {
    kernel_.reset();
    return watched;
  }
  const auto where = kernel_->socket().local();
  share(!where || where->port == 0);
  if (engine_.is_kernel_only()) {
    leave_to_kernel(kernel_reason::link);
    return {};
  }
  if (has_foreign_filter_) {
    leave_to_kernel(kernel_reason::option);
    return {};
  }
  if (!is_fast()) {  // to another process it is the kernel's already
    disown(kernel_reason::forked);
    return {};
  }
  engine_.count().sockets_fast.add();
  if (!where || where->port == 0) return {};
  // Who has bound it may have it still, and would be deaf for good if this process ended without removing its filter.
  if (adopted >= 0 && engine_.with_host() == sharing::interface && !engine_.is_steered()) {
    return hand_over(t, kernel_reason::forked);
  }
  take_settings(t);
  if (auto numbered = number_sends(t); !numbered) return numbered;
  engine_.work(t);
  engine_.take_all_in();  // what came before isn't its
  if (auto prepared = prepare_to_divert(t); !prepared) return prepared;
  if (is_fast()) settle(t);
  return {};
}

void endpoint::take_settings(engine::turn& t) {
  struct source final : option_source {
    companion& from;
    explicit source(companion& c) : from(c) {}
    result<std::size_t> get_option(int level, int name, std::span<std::byte> value) override {
      return from.get_option(level, name, value);
    }
  } options(kernel_->socket());
  copy_options(socket_, options, t.now());
}

// ---- Where it is bound and connected

// Where the kernel can't be kept from what the link brings, the socket is the kernel's from now on.
status endpoint::prepare_to_divert(engine::turn& t) {
  return engine_.prepare_to_divert(*this) ? status{} : hand_over(t, kernel_reason::option);
}

status endpoint::bind_companion(const endpoint_address& where) {
  if (engine_.with_host() == sharing::none && engine_.stack().addresses().contains(where.address)) {
    return kernel_->socket().bind_to_foreign(where);
  }
  return kernel_->socket().bind(where);
}

// An address that needs an interface to be named binds its socket to that one, for sending too.
bool endpoint::is_of_another_interface(const endpoint_address& where) const {
  if (engine_.with_host() == sharing::none || !where.address.needs_interface()) return false;
  const bool has_none = engine_.with_host() == sharing::loopback;
  return has_none || where.scope != static_cast<std::uint32_t>(engine_.device().interface);
}

// The kernel first: its errno is the answer, and it chooses the port.
status endpoint::bind_both(engine::turn& t, const endpoint_address& where) {
  if (is_idle_) join(t);
  if (!is_fast()) return kernel_->socket().bind(where);
  const bool was_bound = socket_.local().port != 0;
  if (!was_bound) {
    if (auto prepared = prepare_to_divert(t); !prepared) return prepared;
    if (!is_fast()) return kernel_->socket().bind(where);
  }
  const auto bound = bind_companion(where);
  const bool is_taken = bound.code() == EADDRINUSE && engine_.with_host() == sharing::none;
  if (is_taken && was_bound) return error{EINVAL};
  if (is_taken && is_held_by_ours(where)) return bind_here_alone(where);
  if (!bound && !was_bound) engine_.undivert(*this);
  // Linux remembers that interface even if the port is taken.
  if (is_of_another_interface(where) && (bound || bound.code() == EADDRINUSE)) {
    if (auto handed = hand_over(t, kernel_reason::option); !handed) return handed;
    return bound;
  }
  if (!bound) return bound;
  if (engine_.with_host() != sharing::none) {
    settle(t);
    return {};
  }
  const auto given = kernel_->socket().local();
  if (!given) return given.failure();
  const auto here = socket_.bind({where.address, given->port});
  if (here.code() == EADDRINUSE) socket_.take_place({where.address, given->port});
  if (where.port == 0) socket_.port_was_given();
  if (here.code() == EADDRNOTAVAIL) leave_to_kernel(kernel_reason::source);  // an address of the kernel's alone
  return here.code() == EADDRNOTAVAIL || here.code() == EADDRINUSE ? status{} : here;
}

// Linux binds a socket that sends or connects. What went through the companion, or was refused there, has bound that.
status endpoint::ensure_bound(engine::turn& t) {
  if (socket_.local().port != 0) return {};
  const auto kernels = kernel_->socket().local();
  const bool is_bound = kernels && kernels->port != 0;
  if (engine_.with_host() == sharing::none) {
    const auto bound = is_bound ? socket_.bind(*kernels) : bind_both(t, socket_.local());
    socket_.port_was_given();
    return bound;
  }
  if (auto prepared = prepare_to_divert(t); !prepared) return prepared;
  if (!is_bound) kernel_->socket().choose_port();
  if (is_fast()) settle(t);
  return socket_.local().port != 0 || !is_fast() ? status{} : error{EAGAIN};
}

status endpoint::connect_both(engine::turn& t, const endpoint_address& peer) {
  if (is_idle_) join(t);
  if (!is_fast()) return kernel_->socket().connect(peer);
  if (engine_.with_host() == sharing::none) {
    if (auto bound = ensure_bound(t); !bound) return bound;
    if (!names_interface(peer)) return error{EINVAL};
    const bool is_here = is_fast() && !socket_.is_kernels_by_address(peer);
    const auto here = is_here ? socket_.connect(peer, t.now()) : error{ENETUNREACH};
    if (here || (here.code() != ENETUNREACH && !peer.address.is_loopback())) return here;
    const auto kernels = kernel_->socket().connect(peer);
    // Linux keeps to an interface that was named, also if there is no way.
    const bool stays = is_here && !kernels;
    if (auto handed = stays ? status{} : hand_over(t, kernel_reason::route); !handed) return handed;
    return kernels;
  }
  if (socket_.local().port == 0) {
    if (auto prepared = prepare_to_divert(t); !prepared) return prepared;
  }
  const auto connected = kernel_->socket().connect(peer);
  // Linux keeps the old peer then, but hears it no more once it has heard it; and an interface that was named.
  if (!connected && (socket_.is_connected() || peer.scope != 0 || is_of_another_interface(peer))) {
    if (auto handed = hand_over(t, kernel_reason::option); !handed) return handed;
  }
  // A peer at port 0 is one, but no call tells of it.
  if (connected && (peer.port == 0 || is_of_another_interface(peer))) return hand_over(t, kernel_reason::option);
  if (is_fast()) settle(t);  // a connect that failed may have bound it all the same
  return connected;
}

status endpoint::disconnect_both(engine::turn& t) {
  if (is_fast() && engine_.with_host() == sharing::none) {
    socket_.disconnect();
    return kernel_->socket().disconnect();
  }
  // A wildcard of IPv6 that was connected by IPv4 isn't found at its addresses of IPv6 afterwards: only the kernel
  // knows.
  const bool becomes_deaf = family() == ip_family::v6 && socket_.is_connected() && socket_.peer().address.is_v4();
  if (is_fast() && becomes_deaf) {
    if (auto handed = hand_over(t, kernel_reason::option); !handed) return handed;
  }
  const auto done = kernel_->socket().disconnect();
  if (is_fast() && !is_idle_) settle(t);
  return done;
}

// Others that share the address by SO_REUSEPORT were left to the kernel, which chooses among all of them.
bool endpoint::is_in_kernels_group(const endpoint_address& local) const {
  if (!socket_.entry().reuse_port || !engine_.has_kernel_groups()) return false;
  for (const endpoint* each = engine_.first_endpoint(); each != nullptr; each = each->next) {
    if (each == this || each->is_fast() || !each->socket_.entry().reuse_port) continue;
    const auto theirs = each->kernel_->socket().local();
    if (theirs && theirs->port == local.port && theirs->address == local.address) return true;
  }
  return false;
}

kernel_reason endpoint::why_not_fast(const endpoint_address& local) const {
  const bool alone = !may_share_port(socket_.entry()) || !shares_port(kernel_->socket().number(), engine_);
  if (!alone || is_in_kernels_group(local)) return kernel_reason::shared_port;
  const ip_address a = local.address;
  const bool known = a.is_any() || a.is_loopback() || a.is_multicast() || a.is_limited_broadcast() ||
                     engine_.stack().addresses().contains(a) || engine_.stack().addresses().is_subnet_broadcast(a);
  return known ? kernel_reason::count : kernel_reason::source;
}

// Brings the stack's socket to where the kernel's is by now, and its datagrams to the link.
void endpoint::settle(engine::turn& t) {
  engine_.work(t);
  undivert();
  engine_.take_all_in();  // what came until now went to both
  const auto local = kernel_->socket().local();
  const auto peer = kernel_->socket().peer();
  if (!local) return;
  if (const kernel_reason why = why_not_fast(*local); why != kernel_reason::count) {
    if (engine_.is_strict()) return;
    return leave_to_kernel(why);
  }
  if (family() == ip_family::v6) socket_.entry().v6_only = kernel_->socket().is_v6_only();
  socket_.follow(*local, peer ? &*peer : nullptr);
  divert();
}

void endpoint::divert() {
  if (socket_.local().port == 0) return;
  engine_.divert(*this);
  diverted_ = true;
}

// Claims follow the address; a filter, where that is used instead, stays until the socket is the kernel's.
void endpoint::undivert() {
  if (!diverted_) return;
  diverted_ = false;
  if (engine_.is_steered()) engine_.undivert(*this);
}

// The claim, and the filter, are gone.
void endpoint::stop_diverting() {
  diverted_ = false;
  engine_.undivert(*this);
}

// ---- Leaving it to the kernel

status endpoint::hand_over(kernel_reason why) {
  if (kernel_ && engine_.is_undecided() && !is_refused_to_kernel(why)) {
    if (is_fast()) disown(why);
    return {};
  }
  own_turn t(*this);
  return hand_over(t, why);
}

// What the user wants isn't what strictness is against. On an address of our own a socket that is the kernel's is cut
// off, which no option is worth.
bool endpoint::is_refused_to_kernel(kernel_reason why) const {
  if (why == kernel_reason::option && is_fast() && engine_.with_host() == sharing::none) return true;
  return engine_.is_strict() && why != kernel_reason::rule;
}

status endpoint::hand_over(engine::turn& t, kernel_reason why) {
  if (!kernel_ || is_refused_to_kernel(why)) return error{EOPNOTSUPP};
  if (!is_fast()) return {};
  engine_.work(t);
  if (engine_.is_steered()) stop_diverting();  // first: nothing comes in any more once all is in that has come
  engine_.take_all_in();
  leave_to_kernel(why);
  return {};
}

void endpoint::become_kernels(kernel_reason why, bool has_leftovers) {
  handed_over_for_ = why;
  has_leftovers_.store(has_leftovers, std::memory_order_release);
  shared_->is_fast.store(false, std::memory_order_release);
}

// What the fast queue holds, another process, or a reader that we don't see, can't receive.
void endpoint::move_input_to_kernel() {
  while (packet* first = socket_.front()) {
    if (!engine_.give_to_kernel(*first)) return;
    release(socket_.pop());
    engine_.count().rx_datagrams.take_back(1);  // the program sees it once
  }
}

// The claim goes first; what the fast queue holds then stays to be received.
void endpoint::leave_to_kernel(kernel_reason why) {
  stop_diverting();
  if (socket_.held().is_holding()) (void)send_held_by_kernel(message_flag::more);  // for what is still to come
  const bool is_read_elsewhere =
      why == kernel_reason::forked || why == kernel_reason::unseen_reader || why == kernel_reason::sandbox;
  if (is_read_elsewhere) move_input_to_kernel();
  if (socket_.settings().peek_offset >= 0) split_place();
  become_kernels(why, has_fast_input());
  const endpoint_address local = socket_.local();
  socket_.follow({}, nullptr);
  engine_.leave_port_to_kernel(*this, local);
  engine_.count().sockets_kernel.add();
  engine_.count().by_kernel(why);
  engine_.wake(*this);
  if (engine_.family().has_spare_ends()) engine_.tell_family();
}

void endpoint::leave_if_unseen(engine::turn& t) {
  if (is_left_unseen()) (void)hand_over(t, kernel_reason::unseen_reader);
}

// A connected one claims no more than its conversation.
void endpoint::leave_if_in_the_way_of(const endpoint_address& local) {
  if (socket_.is_connected() || socket_.local().port != local.port) return;
  if (local.address.is_any() ? socket_.local().address.is_any() : is_reached_at(local.address)) {
    leave_to_kernel(kernel_reason::shared_port);
  }
}

// EPERM: the stack is another process's by now, and there is no companion.
status endpoint::check_owner() const { return engine_.is_guest() && !kernel_ ? status(error{EPERM}) : status{}; }

// The stack is another process's: what its sockets share with this one is the kernel's from now on, for both.
void endpoint::become_guest() {
  if (!kernel_ || !is_fast()) return;
  disown(kernel_reason::forked);
}

// Whoever else has it lets go of it when he hears of that.
void endpoint::disown(kernel_reason why) {
  stop_diverting();
  become_kernels(why, false);
  engine_.tell_family();
  engine_.count().sockets_kernel.add_shared(1);
  engine_.count().by_kernel(why);
}

// ---- Options

// The kernel's answer is the answer. What the fast path can't honour makes the socket the kernel's.
status endpoint::set_both(engine::turn& t, int level, int name, std::span<const std::byte> value) {
  if (is_group_option(level, name) && is_fast()) return set_group_option(t, level, name, value);
  if (auto set = kernel_->socket().set_option(level, name, value); !set) return set;
  const bool is_stamps = is_stamp_option(level, name);
  // What is left in the fast queue is received as the options then say; and UDP_SEGMENT says how many datagrams a send
  // counts for, whoever sends.
  if (!is_fast() && !has_leftovers_.load() && !is_stamps && level != IPPROTO_UDP) return {};
  const bool is_alone = engine_.with_host() == sharing::none;
  const bool depends = !is_alone || fate_of(level, name) == option_fate::kernel;
  const auto effect =
      depends ? effect_of(level, name, value, kernel_->socket(), engine_.device().interface) : option_effect::unknown;
  if (effect == option_effect::none) return {};
  // By another interface even what has an address of our own is the kernel's.
  if (effect == option_effect::kernel) return hand_over(t, is_alone ? kernel_reason::route : kernel_reason::option);
  // What Linux takes of IPv6 that is less than a number it takes for 0.
  constexpr std::byte nothing[sizeof(int)]{};
  const bool is_nothing = level == IPPROTO_IPV6 && value.size() < sizeof nothing;
  const auto here = fastudp::set_option(socket_, level, name, is_nothing ? nothing : value, t.now());
  // Where filters keep ours from the kernel, it counts them as lost.
  if (here && name == SO_RXQ_OVFL && level == SOL_SOCKET && socket_.settings().receive_drops && is_filtered()) {
    return hand_over(t, kernel_reason::option);
  }
  if (here && is_stamps) return number_sends(t);
  // What is bound here needn't be there.
  if (is_alone && here.code() == EINVAL && fate_of(level, name) == option_fate::fast) return here;
  // Also one of which the kernel takes more values than we know.
  times_sends_ |= level == SOL_SOCKET && name == SO_TXTIME;
  if (!is_fast() || here || is_harmless(level, name, value, is_alone)) return {};
  return hand_over(t, kernel_reason::option);
}

result<std::size_t> endpoint::get_both(engine::turn& t, int level, int name, std::span<std::byte> value) {
  const bool is_own = is_fast() && engine_.with_host() == sharing::none;
  const bool is_mtu = (level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU);
  const bool is_error = level == SOL_SOCKET && name == SO_ERROR && socket_.has_pending_error();
  if (is_own && level == SOL_SOCKET && name == SO_PEERNAME) return get_peer_name(value);
  if (is_own && level == IPPROTO_IPV6 && name == IPV6_PATHMTU) return get_path_mtu(t, value);
  if (is_error || (is_own && (is_mtu || is_group_option(level, name)))) {
    const auto here = fastudp::get_option(socket_, level, name, value, t.now());
    if (here.code() != left_to_kernel) return here;
  }
  if (level == SOL_SOCKET && name == SO_PEEK_OFF && (is_fast() || socket_.has_datagram())) {
    join_place();
    return fastudp::get_option(socket_, level, name, value, t.now());
  }
  const auto got = kernel_->socket().get_option(level, name, value);
  // What was sent from here has found the way again, which the kernel forgot with another TOS.
  const bool is_known_here = got.code() == ENOTCONN && is_mtu && is_fast() && socket_.knows_path();
  return is_known_here ? fastudp::get_option(socket_, level, name, value, t.now()) : got;
}

// ---- Receiving

void endpoint::count_kernel(std::uint64_t received, std::uint64_t sent, kernel_reason why) {
  // One that was refused may have left an error.
  if (received == 0 && kernel_) {
    kernel_->expect_answer(engine_.time().coarse());
    engine_.note_kernel_send();
  }
  engine_.count().rx_kernel.add_shared(received);
  engine_.count().tx_kernel.add_shared(sent);
  engine_.count().by_kernel(why, received + sent);
}

void endpoint::count_received(std::span<const message> messages) {
  for (const message& m : messages) {
    const bool is_local = m.peer.address.is_loopback() || engine_.stack().addresses().contains(m.peer.address);
    const int segment = joined_size(m.control);
    const auto size = static_cast<int>(m.length);
    const auto datagrams = static_cast<std::uint64_t>(segment > 0 ? (size + segment - 1) / segment : 1);
    count_kernel(datagrams, 0,
                 !is_fast()                   ? handed_over_for_
                 : is_local                   ? kernel_reason::loopback
                 : engine_.health().is_lost() ? kernel_reason::link_lost
                                              : kernel_reason::elsewhere);
  }
}

result<std::size_t> endpoint::receive_kernel_only(std::span<message> messages, int flags) {
  const auto got = kernel_->receive_blocking(messages, flags & ~message_flag::continued);
  if (got && (flags & (message_flag::peek | message_flag::error_queue)) == 0) count_received(messages.first(*got));
  return got;
}

result<std::size_t> endpoint::receive_from_kernel(std::span<message> messages, int flags) {
  const bool only_we_know_the_peer = engine_.with_host() == sharing::none && socket_.is_connected();
  if (only_we_know_the_peer) return receive_from_peer(messages[0], flags);
  const bool tells_ours = socket_.settings().receive_drops && socket_.drops() != 0;
  return tells_ours ? receive_and_count_drops(messages, flags) : kernel_->receive(messages, flags);
}

// The kernel tells what it has lost; the rest is ours to tell.
result<std::size_t> endpoint::receive_and_count_drops(std::span<message> messages, int flags) {
  const std::span<std::byte> room = messages[0].control;
  const auto got = kernel_->receive(messages.first(1), flags);
  if (got && *got != 0) messages[0].control = with_more_drops(messages[0].control, socket_.drops(), room);
  return got;
}

// The companion isn't connected: what strangers have sent to it is passed over, one by one.
result<std::size_t> endpoint::receive_from_peer(message& m, int flags) {
  for (const message room = m;; m = room) {
    const auto got = kernel_->receive({&m, 1}, flags);
    if (!got || *got == 0 || m.peer == socket_.peer()) return got;
    message nothing;
    if ((flags & message_flag::peek) != 0) (void)kernel_->receive({&nothing, 1}, flags & ~message_flag::peek);
  }
}

// From the fast queue and from the kernel, in turns while both have something.
result<std::size_t> endpoint::take(std::span<message> messages, int flags, time_point now) {
  const bool is_peek = (flags & message_flag::peek) != 0;
  const bool kernel_has = is_fast() && kernel_->may_have_something(now);
  const bool from_errors = (flags & message_flag::error_queue) != 0;
  const bool is_read = !is_peek && !from_errors;
  const bool has_here = from_errors ? socket_.errors_waiting() : has_fast_input();
  if (is_read && socket_.settings().receive_drops) kernels_drops_ = kernel_->socket().drops();
  // Linux tells an error before it gives what has come.
  if ((kernel_has || !is_fast()) && has_here && !from_errors) {
    if (const int pending = kernel_->take_error()) return error{pending};
  }
  // On loopback what the kernel holds of ours came later than what is here: is_the_kernels sees to it.
  const bool must_wait = engine_.with_host() == sharing::loopback && kernel_->may_be_ahead();
  const bool kernel_now = kernel_has && ((kernel_first_ && !must_wait) || !has_here);
  if (is_read && kernel_has) kernel_first_ = !kernel_now;
  if (!kernel_now) {
    const auto got = is_fast() ? take_fast(messages, flags) : take_leftovers(messages, flags);
    if (!got || *got != 0 || !kernel_has) return got;
  }
  const auto got = receive_from_kernel(messages, flags & ~message_flag::continued);
  if (got && is_read) count_received(messages.first(*got));
  const bool is_end = socket_.is_shut_for_reading() && patience(flags) != 0;
  if (got || got.code() != EAGAIN || !(has_here || is_end)) return got;
  return take_fast(messages, flags);
}

result<std::size_t> endpoint::borrow_from_kernel(std::span<message> messages) {
  constexpr std::uint32_t longest = 65'507;
  packet* p = engine_.stack().store().take(longest);
  if (p == nullptr) return error{ENOBUFS};
  message& m = messages[0];
  m.data = {p->data(), longest};
  const auto got = receive_from_kernel({&m, 1}, 0);
  if (!got || *got == 0) {
    release(p);
    return got ? error{EAGAIN} : got;
  }
  count_received({&m, 1});
  p->length = static_cast<std::uint32_t>(m.data.size());
  p->holder = this;
  m.frame = p;
  return std::size_t{1};
}

// ---- Sending

// How many datagrams the kernel makes of it.
std::size_t endpoint::count_segments(const message& m) const {
  const int own = read_control(m.control, family()).segment;
  const std::size_t segment = own >= 0 ? static_cast<std::size_t>(own) : socket_.settings().segment;
  return segment == 0 || m.data.empty() ? 1 : (m.data.size() + segment - 1) / segment;
}

// Stamps of what was sent are told by a number (SOF_TIMESTAMPING_OPT_ID), which we give, so that none is given twice.
result<std::size_t> endpoint::send_numbered(std::span<message> messages, int flags, std::uint32_t stamps) {
  std::size_t sent = 0;
  for (message& m : messages) {
    const send_choices choices = read_control(m.control, family());
    const std::uint32_t wanted = choices.stamps >= 0 ? static_cast<std::uint32_t>(choices.stamps) : stamps;
    alignas(cmsghdr) std::byte room[512];
    message numbered = m;
    const bool is_numbered = choices.stamp_id < 0 && (wanted & stamping::numbered) != 0;
    const std::uint32_t id = is_numbered ? next_stamp_id(socket_) : 0;
    if (is_numbered) numbered.control = with_stamp_id(m.control, id, room);
    const auto went = kernel_->send({&numbered, 1}, flags);
    if (!went && is_numbered) take_back_stamp_id(socket_, id);
    if (!went) return sent != 0 ? result<std::size_t>(sent) : went;
    ++sent;
  }
  return sent;
}

// A kernel that can't be told the numbers has to count alone.
status endpoint::number_sends(engine::turn& t) {
  const std::uint32_t flags = socket_.settings().stamps.flags;
  const bool is_numbered = kernel_ && (flags & stamping::with_id) != 0;
  const bool can_be = is_numbered && kernel_->socket().takes_stamp_ids();
  numbered_stamps_.store(can_be ? flags : 0, std::memory_order_release);
  return is_numbered && !can_be && is_fast() ? hand_over(t, kernel_reason::option) : status{};
}

result<std::size_t> endpoint::send_by_kernel(std::span<message> messages, int flags, kernel_reason why) {
  kernel_->expect_answer(engine_.time().coarse());
  const bool completes = completes_here(flags);
  const int kernels = completes ? flags & ~message_flag::zero_copy : flags;
  const std::uint32_t stamps = numbered_stamps_.load(std::memory_order_acquire);
  const auto sent = stamps != 0 ? send_numbered(messages, kernels, stamps) : kernel_->send(messages, kernels);
  if (!sent) return sent;
  const bool is_held_there = has_more(flags);
  kernel_holds_.store(is_held_there, std::memory_order_relaxed);
  const auto done = kernel_pieces_.exchange(0) + (completes ? static_cast<std::uint32_t>(*sent) : 0);
  is_held_there ? kernel_pieces_.store(done) : complete_sends(done);
  for (message& m : messages.first(*sent)) {
    if (!is_held_there) count_kernel(0, count_segments(m), why);
    if (m.frame != nullptr) give_back(m.frame);
  }
  return sent;
}

}  // namespace fastudp
