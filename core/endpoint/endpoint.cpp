#include "endpoint/endpoint.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "endpoint/control.h"
#include "endpoint/explain.h"
#include "socket/group_options.h"
#include "socket/options.h"

namespace fastudp {
namespace {

constexpr int known_borrow_flags =
    message_flag::dont_wait | message_flag::no_signal | message_flag::wait_for_one | message_flag::continued;
constexpr int known_receive_flags = message_flag::continued | message_flag::peek | message_flag::truncated |
                                    message_flag::dont_wait | message_flag::error_queue | message_flag::no_signal |
                                    message_flag::wait_for_one;
constexpr int known_send_flags = message_flag::dont_wait | message_flag::confirm | message_flag::no_signal |
                                 message_flag::more | message_flag::zero_copy;
constexpr std::uint32_t all_headers = ethernet_size + ipv6_size + fixed_size<ipv6_fragment> + udp_size;

// The next of those that a program gets as one with it.
packet* joined_to(const packet& queued) {
  return queued.next != nullptr && queued.next->joins == joining::always ? queued.next : nullptr;
}

in_addr to_in(const ip_address& from) { return std::bit_cast<in_addr>(from.ipv4()); }
in6_addr to_in6(const ip_address& from) { return std::bit_cast<in6_addr>(from.bytes); }

sock_extended_err describe(const queued_error& e) {
  sock_extended_err out{};
  out.ee_errno = static_cast<std::uint32_t>(e.code);
  out.ee_origin = e.origin;
  out.ee_type = e.type;
  out.ee_code = e.icmp_code;
  out.ee_info = e.info;
  out.ee_data = e.data;
  return out;
}

// IP_RECVERR's control message, or IPV6_RECVERR's: the error, then the address of whoever reported it.
void put_report(control_writer& out, const queued_error& e, ip_family family) {
  const bool is_reported = e.is_icmp();
  if (family == ip_family::v4) {
    struct {
      sock_extended_err what;
      sockaddr_in offender;
    } report{describe(e), {}};
    if (is_reported)
      report.offender = {.sin_family = AF_INET, .sin_port = 0, .sin_addr = to_in(e.offender), .sin_zero = {}};
    out.put(IPPROTO_IP, IP_RECVERR, report);
  } else {
    struct {
      sock_extended_err what;
      sockaddr_in6 offender;
    } report{describe(e), {}};
    report.offender.sin6_family = is_reported ? AF_INET6 : AF_UNSPEC;
    if (is_reported) report.offender.sin6_addr = to_in6(e.offender);
    out.put(IPPROTO_IPV6, IPV6_RECVERR, report);
  }
}

void put_v4_facts(control_writer& out, const ip_facts& facts, int interface, const ip_address& answer_from,
                  const socket_settings& wanted) {
  if (wanted.receive_packet_info) {
    out.put(
        IPPROTO_IP, IP_PKTINFO,
        in_pktinfo{.ipi_ifindex = interface, .ipi_spec_dst = to_in(answer_from), .ipi_addr = to_in(facts.destination)});
  }
  if (wanted.receive_ttl) out.put(IPPROTO_IP, IP_TTL, static_cast<int>(facts.ttl));
  if (wanted.receive_tos) out.put(IPPROTO_IP, IP_TOS, facts.tos);
}

// The control messages that the socket asked for, in Linux's order; `answer_from` is where an answer should come from.
// An IPv6 socket that gets a datagram over IPv4 is told of both families.
void put_facts(control_writer& out, const ip_facts& facts, int interface, const ip_address& answer_from,
               const socket_settings& wanted) {
  const in6_pktinfo where{.ipi6_addr = to_in6(facts.destination), .ipi6_ifindex = static_cast<unsigned>(interface)};
  if (wanted.v6.receive_packet_info) out.put(IPPROTO_IPV6, IPV6_PKTINFO, where);
  if (facts.destination.is_v4()) return put_v4_facts(out, facts, interface, answer_from, wanted);
  if (wanted.v6.receive_hops) out.put(IPPROTO_IPV6, IPV6_HOPLIMIT, static_cast<int>(facts.ttl));
  if (wanted.v6.receive_traffic_class) out.put(IPPROTO_IPV6, IPV6_TCLASS, static_cast<int>(facts.tos));
  if (wanted.v6.receive_packet_info_2292) out.put(IPPROTO_IPV6, IPV6_2292PKTINFO, where);
  if (wanted.v6.receive_hops_2292) out.put(IPPROTO_IPV6, IPV6_2292HOPLIMIT, static_cast<int>(facts.ttl));
}

}  // namespace

endpoint::~endpoint() {
  if (kernel_ && engine_.is_guest()) return;
  if (kernel_) {
    leave_shared();
    engine_.unwatch(*this);
  }
  if (!socket_.groups().empty()) {
    const time_point now = engine_.time().coarse();
    socket_.leave_groups(now);
    engine_.stack().flush(now);
  }
  if (shared_ != &unshared_) family::give_back(*shared_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

status endpoint::refuse(const char* call, status outcome, endpoint_address about) {
  if (!outcome) explain(why_, call, outcome.code(), about);
  return outcome;
}

reason endpoint::why() {
  own_turn t(*this);
  return why_;
}

status endpoint::bind(endpoint_address where) {
  own_turn t(*this);
  return refuse("bind", kernel_ ? bind_both(t, where) : socket_.bind(where), where);
}

status endpoint::connect(endpoint_address peer) {
  own_turn t(*this);
  socket_.held().redirect(peer);
  return refuse("connect", kernel_ ? connect_both(t, peer) : socket_.connect(peer, t.now()), peer);
}

status endpoint::disconnect() {
  own_turn t(*this);
  if (kernel_) return disconnect_both(t);
  socket_.disconnect();
  return {};
}

status endpoint::shut_down(bool reading, bool writing) {
  own_turn t(*this);
  const auto ours = socket_.shut_down(reading, writing);
  if (!kernel_) return ours;
  const auto kernels = kernel_->socket().shut_down(reading && writing ? SHUT_RDWR : reading ? SHUT_RD : SHUT_WR);
  engine_.wake(*this);
  return engine_.with_host() == sharing::none && is_fast() ? ours : kernels;
}

endpoint_address endpoint::local() {
  own_turn t(*this);
  if (kernel_ && (!is_fast() || is_idle_)) {
    const auto kernels = kernel_->socket().local();
    return kernels ? *kernels : endpoint_address{};
  }
  return socket_.local();
}

result<endpoint_address> endpoint::peer() {
  own_turn t(*this);
  if (kernel_ && (!is_fast() || is_idle_)) return kernel_->socket().peer();
  // Linux: a peer at port 0 is none.
  if (!socket_.is_connected() || socket_.peer().port == 0) return error{ENOTCONN};
  return socket_.peer();
}

status endpoint::refuse_option(int level, int name, status outcome) {
  if (!outcome) explain_option(why_, level, name, outcome.code());
  return outcome;
}

status endpoint::set_option(int level, int name, std::span<const std::byte> value) {
  own_turn t(*this);
  const auto set =
      kernel_ ? set_both(t, level, name, value) : fastudp::set_option(socket_, level, name, value, t.now());
  if (is_group_option(level, name)) engine_.finish_sending(t);  // what was joined or left is reported
  if (level == IPPROTO_UDP && name == UDP_CORK && !socket_.settings().corked) take_cork_out(t);
  settle_descriptor();
  return refuse_option(level, name, set);
}

result<std::size_t> endpoint::get_option(int level, int name, std::span<std::byte> value) {
  own_turn t(*this);
  const auto got =
      kernel_ ? get_both(t, level, name, value) : fastudp::get_option(socket_, level, name, value, t.now());
  settle_descriptor();
  if (!got) return refuse_option(level, name, got.failure()).failure();
  return got;
}

// ---- Sending

status endpoint::send_one(const message& m, int flags, time_point now) {
  send_choices choices = read_control(m.control, socket_.family());
  choices.confirm = (flags & message_flag::confirm) != 0;
  if (completes_here(flags)) [[unlikely]] {
    choices.completes = true;
    has_completed_.store(true, std::memory_order_relaxed);
  }
  const bool more = has_more(flags);
  if (more || socket_.held().is_holding()) [[unlikely]]
    return send_piece(m, choices, more, now);
  if (m.frame != nullptr) return send_frame(m.frame, m, choices, now);
  return socket_.send(m.data, m.has_peer ? &m.peer : nullptr, choices, now);
}

status endpoint::send_frame(packet* frame, const message& m, const send_choices& choices, time_point now) {
  frame->begin = static_cast<std::uint32_t>(m.data.data() - frame->frame);
  frame->length = static_cast<std::uint32_t>(m.data.size());
  auto* holder = static_cast<endpoint*>(frame->holder);
  const auto sent = socket_.send_packet(frame, m.has_peer ? &m.peer : nullptr, choices, now);
  if (sent) holder->frames_out_.fetch_sub(1, std::memory_order_release);
  return sent;
}

// As far as the fast path goes; `to_kernel`: the next one is the kernel's to send.
result<std::size_t> endpoint::send_fast(std::span<message> messages, int flags, bool& to_kernel) {
  own_turn t(*this);
  if (auto ours = check_owner(); !ours) return ours.failure();
  if (!is_fast() || is_idle_) {
    to_kernel = true;
    return std::size_t{0};
  }
  if (kernel_) {
    if (auto bound = ensure_bound(t); !bound) return bound.failure();
    if (const int pending = kernel_->take_error(t.now())) return error{pending};
  }
  std::size_t sent = 0;
  status outcome;
  while (sent < messages.size() && (outcome = send_one(messages[sent], flags, t.now()))) ++sent;
  engine_.finish_sending(t);
  settle_descriptor();  // sending takes a pending error
  to_kernel = outcome.code() == left_to_kernel;
  if (sent > 0 || outcome || to_kernel) return sent;
  return refuse("send", outcome, messages[0].peer).failure();
}

result<std::size_t> endpoint::send(std::span<message> messages, int flags) {
  const bool is_known = (flags & ~known_send_flags) == 0;
  if (!is_known && !kernel_) return error{EOPNOTSUPP};
  std::size_t sent = 0;
  do {
    const auto rest = messages.subspan(sent);
    const bool is_held_there = kernel_holds_.load(std::memory_order_relaxed);
    bool to_kernel = !is_fast() || !is_known || is_held_there || (kernel_ && engine_.is_undecided());
    kernel_reason why = !is_fast()                   ? handed_over_for_
                        : !is_known || is_held_there ? kernel_reason::option
                                                     : kernel_reason::forked;
    result<std::size_t> went = std::size_t{0};
    if (!to_kernel) {
      went = send_fast(rest, flags, to_kernel);
      if (to_kernel && *went < rest.size()) {
        why = !is_fast() ? handed_over_for_ : is_idle_ ? kernel_reason::forked : socket_.why_kernel();
        const auto left = send_by_kernel(rest.subspan(*went, 1), flags, why);
        if (left) *went += *left;
        if (!left && *went == 0) went = left;
      }
    } else {
      went = send_by_kernel(rest, flags, why);
    }
    if (!went) return sent > 0 ? result<std::size_t>(sent) : went;
    sent += *went;
    if (!to_kernel || *went == 0 || !is_fast()) break;
  } while (sent < messages.size());
  return sent;
}

result<std::size_t> endpoint::allocate(std::span<message> messages) {
  own_turn t(*this);
  std::size_t made = 0;
  for (message& m : messages) {
    if (m.data.size() > 65'507) return made > 0 ? result<std::size_t>(made) : error{EMSGSIZE};
    packet* p = engine_.stack().out().take_datagram(static_cast<std::uint32_t>(udp_size + m.data.size()));
    if (p == nullptr) break;
    p->holder = this;
    frames_out_.fetch_add(1, std::memory_order_relaxed);
    m.frame = p;
    m.data = {p->data(), m.data.size()};
    ++made;
  }
  if (made == 0 && !messages.empty()) return error{ENOBUFS};
  return made;
}

// The program may have moved `data` within the frame; all headers must still fit in front of it.
status endpoint::check_frame(const message& m) const {
  const packet* p = m.frame;
  if (p == nullptr || !engine_.owns(*p)) return error{EINVAL};
  const std::byte* first = p->frame + all_headers;
  const std::byte* end = p->frame + p->capacity;
  if (m.data.data() < first || m.data.data() > end || m.data.size() > static_cast<std::size_t>(end - m.data.data())) {
    return error{EINVAL};
  }
  return {};
}

result<std::size_t> endpoint::submit(std::span<message> messages, int flags) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto valid = check_frame(messages[i]);
    if (!valid && i == 0) return valid.failure();
    if (!valid) messages = messages.first(i);
  }
  const auto sent = send(messages, flags);
  for (std::size_t i = 0; sent && i < *sent; ++i) messages[i].frame = nullptr;
  return sent;
}

void endpoint::give_back(packet* borrowed) {
  auto* holder = static_cast<endpoint*>(borrowed->holder);
  borrowed->home->release_from_any_thread(borrowed);
  holder->frames_out_.fetch_sub(1, std::memory_order_release);
}

// ---- Receiving

bool endpoint::has_input(time_point now) {
  if (socket_.has_datagram() || socket_.has_pending_error() || socket_.is_shut_for_reading()) return true;
  return kernel_ && (!is_fast() || kernel_->may_have_something(now));
}

// The limit is that of the whole call: never until it is known.
status endpoint::wait_for_input(engine::turn& t, int flags, time_point& limit) {
  const bool from_errors = (flags & message_flag::error_queue) != 0;
  // Reading the error queue never waits.
  const bool dont_wait = from_errors || (flags & message_flag::dont_wait) != 0;
  const duration timeout = dont_wait ? 0 : socket_.settings().receive_timeout;
  if (timeout == 0) {
    engine_.work(t);
    // Linux looks for data first: without any, even a socket that is shut down says to try again.
    const bool found = from_errors ? socket_.errors_waiting() : socket_.has_datagram() || socket_.has_pending_error();
    return found || (kernel_ && kernel_->may_have_something(t.now())) ? status{} : error{EAGAIN};
  }
  if (limit == never && timeout != never) limit = engine_.time().precise() + timeout;
  return engine_.wait_until(t, {.interest = this}, limit, [&] { return has_input(t.now()); });
}

// The descriptor is readable exactly while there is something.
void endpoint::settle_descriptor() {
  if (!descriptor_is_readable_ || has_something()) return;
  std::uint64_t count;
  (void)!::read(descriptor_, &count, sizeof count);
  descriptor_is_readable_ = false;
}

// One thread was woken for all that came; it passes the rest on.
void endpoint::end_of_input() {
  if (has_something()) engine_.pass_on(this);
  settle_descriptor();
}

void endpoint::fill(message& m, packet& datagram) {
  std::size_t stored = 0;
  std::uint32_t length = 0;
  for (packet* each = &datagram; each != nullptr; each = joined_to(*each)) {
    const std::size_t size = std::min<std::size_t>(m.data.size() - stored, each->length);
    if (size != 0) std::memcpy(m.data.data() + stored, each->data(), size);
    stored += size;
    length += each->length;
  }
  m.data = m.data.first(stored);
  describe(m, datagram, length);
}

// All but the payload.
void endpoint::describe(message& m, const packet& datagram, std::uint32_t length) const {
  m.length = length;
  m.flags = m.data.size() < length ? message_flag::truncated : 0;
  m.peer = sender_of(datagram);
  if (m.peer.address.is_link_local()) m.peer.scope = static_cast<std::uint32_t>(interface());
  m.has_peer = true;
  fill_control(m, datagram);
}

// The host's number of the one that datagrams come by.
int endpoint::interface() const {
  constexpr int loopback = 1;
  return engine_.with_host() == sharing::loopback ? loopback : engine_.device().interface;
}

void endpoint::fill_control(message& m, const packet& datagram) const {
  if (!socket_.settings().wants_facts()) {
    m.control = m.control.first(0);
    return;
  }
  control_writer out(m.control);
  if (socket_.settings().receive_joined && joined_to(datagram) != nullptr)
    out.put(IPPROTO_UDP, UDP_GRO, static_cast<int>(datagram.length));
  const ip_facts facts = facts_of(datagram);
  put_facts(out, facts, interface(), facts.destination, socket_.settings());
  m.control = m.control.first(out.size());
  if (out.is_truncated()) m.flags |= message_flag::control_truncated;
}

// As Linux: the payload that was quoted, where the datagram was going, and who reported it in a control message.
status endpoint::fill_error(message& m) {
  queued_error e;
  packet* quoted = socket_.pop_error(e);
  if (quoted == nullptr) return error{EAGAIN};
  const std::size_t stored = std::min<std::size_t>(m.data.size(), quoted->length);
  if (stored != 0) std::memcpy(m.data.data(), quoted->data(), stored);
  m.data = m.data.first(stored);
  m.length = quoted->length;
  m.peer = e.destination;
  m.has_peer = !e.is_completion();
  m.flags = message_flag::error_queue | (stored < quoted->length ? message_flag::truncated : 0);
  control_writer out(m.control);
  // Linux has no local address there, that is, none for an answer.
  const ip_address nowhere = ip_address::any(ip_family::v4);
  if (e.is_icmp()) put_facts(out, e.message, interface(), nowhere, socket_.settings());
  put_report(out, e, e.is_completion() ? family() : e.destination.address.family());
  m.control = m.control.first(out.size());
  if (out.is_truncated()) m.flags |= message_flag::control_truncated;
  release(quoted);
  return {};
}

result<std::size_t> endpoint::receive(std::span<message> messages, int flags) {
  if ((flags & ~known_receive_flags) != 0) return error{EOPNOTSUPP};
  if (messages.empty()) return std::size_t{0};
  note_look();
  const bool errors_are_kernels = kernel_ && engine_.with_host() != sharing::none;
  if ((flags & message_flag::error_queue) != 0 && errors_are_kernels) {
    const auto completions = receive_completions(messages);
    return completions && *completions != 0 ? completions : receive_kernel_only(messages, flags);
  }
  if (!is_fast() && !has_leftovers_.load(std::memory_order_acquire)) return receive_kernel_only(messages, flags);
  const auto got = receive_here(messages, flags);
  return got.code() == left_to_kernel ? receive_kernel_only(messages, flags) : got;
}

result<std::size_t> endpoint::receive_completions(std::span<message> messages) {
  if (!has_completed_.load(std::memory_order_relaxed)) return std::size_t{0};
  own_turn t(*this);
  if (engine_.is_guest()) return std::size_t{0};
  const auto got = take_fast(messages, message_flag::error_queue);
  settle_descriptor();
  return got;
}

// left_to_kernel: the socket was handed over, and its fast queue is empty.
result<std::size_t> endpoint::receive_here(std::span<message> messages, int flags) {
  own_turn t(*this);
  if (auto ours = check_owner(); !ours) return ours.failure();
  if (engine_.is_guest()) return no_leftovers();  // what lies in the queue is the owner's
  look(t);
  for (time_point limit = never;;) {
    if (auto input = wait_for_input(t, flags, limit); !input) return input.failure();
    if (kernel_ && !is_fast() && !has_fast_input()) return no_leftovers();
    const auto got = kernel_ ? take(messages, flags, t.now()) : take_fast(messages, flags);
    end_of_input();
    // What the kernel was thought to have may be gone, or not have been for us.
    const bool false_alarm = kernel_ && (got ? *got == 0 : got.code() == EAGAIN) && !socket_.is_shut_for_reading();
    if (!false_alarm || (flags & (message_flag::continued | message_flag::error_queue)) != 0) return got;
    if ((flags & message_flag::dont_wait) != 0) return error{EAGAIN};
  }
}

result<std::size_t> endpoint::take_fast(std::span<message> messages, int flags) {
  std::size_t count = 0;
  if (flags & message_flag::error_queue) {
    while (count < messages.size() && fill_error(messages[count])) ++count;
  } else if (socket_.has_pending_error() && (flags & message_flag::continued) != 0) {
    return std::size_t{0};  // for the next call to tell
  } else if (const int pending = socket_.take_error()) {
    return error{pending};
  } else if (flags & message_flag::peek) {
    if (packet* first = socket_.front()) fill(messages[count++], *first);
  } else {
    while (count < messages.size() && socket_.front() != nullptr) {
      fill(messages[count++], *socket_.front());
      socket_.release_front();
    }
  }
  return count;
}

result<std::size_t> endpoint::borrow(std::span<message> messages, int flags) {
  if ((flags & ~known_borrow_flags) != 0) return error{EOPNOTSUPP};
  if (messages.empty()) return std::size_t{0};
  own_turn t(*this);
  if (engine_.is_guest()) return error{EPERM};
  look(t);
  for (time_point limit = never;;) {
    if (auto input = wait_for_input(t, flags, limit); !input) return input.failure();
    if (socket_.has_pending_error() && (flags & message_flag::continued) != 0) return std::size_t{0};
    if (const int pending = socket_.take_error()) {
      end_of_input();
      return error{pending};
    }
    result<std::size_t> got = borrow_fast(messages);
    if (*got == 0 && kernel_) got = borrow_from_kernel(messages);
    if (got) frames_out_.fetch_add(static_cast<std::uint32_t>(*got), std::memory_order_relaxed);
    end_of_input();
    const bool false_alarm = kernel_ && !got && got.code() == EAGAIN;
    if (!false_alarm || (flags & message_flag::dont_wait) != 0) return got;
  }
}

std::size_t endpoint::borrow_fast(std::span<message> messages) {
  std::size_t count = 0;
  while (count < messages.size()) {
    packet* p = socket_.pop();
    if (p == nullptr) break;
    message& m = messages[count++];
    m.data = p->bytes();
    describe(m, *p, p->length);
    p->holder = this;
    m.frame = p;
  }
  return count;
}

// ---- Waiting

bool endpoint::has_something() {
  const int wanted = ready::readable | ready::error;
  return (readiness(engine_.time().coarse(), wanted) & wanted) != 0;
}

int endpoint::fast_readiness() const {
  int out = ready::writable;
  if (socket_.has_datagram() || socket_.is_shut_for_reading()) out |= ready::readable;
  if (socket_.has_pending_error() || socket_.errors_waiting()) out |= ready::error;
  if (socket_.is_shut_for_reading() && socket_.is_shut_for_writing()) out |= ready::hang_up;
  return out;
}

// The kernel is asked only for what isn't there already.
int endpoint::readiness(time_point now, int asked) {
  if (kernel_ && engine_.is_guest()) return ready::writable | kernel_->ask();
  const int here = fast_readiness();
  const bool is_enough = (here & asked & ~ready::writable) != 0;
  if (!kernel_ || is_enough) return here;
  return here | (is_fast() ? kernel_->readiness(now) : kernel_->ask());
}

int endpoint::poll() {
  constexpr int everything = ready::readable | ready::error | ready::hang_up;
  own_turn t(*this);
  look(t);
  engine_.work(t);
  return readiness(t.now(), everything);
}

result<int> endpoint::wait(int events, time_point limit) {
  own_turn t(*this);
  look(t);
  if (engine_.is_guest()) {
    wait_item self{.socket = this, .fd = -1, .events = static_cast<std::int16_t>(events), .revents = 0};
    const auto there = engine_.wait_for_any(t, {&self, 1}, limit, nullptr);
    return there ? result<int>(self.revents) : there.failure();
  }
  events |= ready::error | ready::hang_up;
  const auto waited = engine_.wait_until(t, {.interest = this, .only_looks = true}, limit,
                                         [&] { return (readiness(t.now(), events) & events) != 0; });
  if (!waited && waited.code() != EAGAIN) return waited.failure();
  return readiness(t.now(), events) & events;
}

result<int> endpoint::descriptor() {
  own_turn t(*this);
  look(t);
  if (engine_.is_guest()) return kernel_ ? result<int>(kernel_->socket().number()) : error{EPERM};
  if (descriptor_ < 0) {
    const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) return error{errno};
    descriptor_ = fd;
    if (has_something()) became_ready();
  }
  if (auto started = engine_.start_helper(); !started) return started.failure();
  return descriptor_;
}

void endpoint::became_ready() {
  if (descriptor_ < 0 || descriptor_is_readable_) return;
  const std::uint64_t one = 1;
  descriptor_is_readable_ = ::write(descriptor_, &one, sizeof one) == sizeof one;
}

}  // namespace fastudp
