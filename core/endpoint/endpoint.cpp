#include "endpoint/endpoint.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "endpoint/control.h"
#include "endpoint/explain.h"
#include "endpoint/facts.h"
#include "endpoint/stamps.h"
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

result<std::size_t> write_flag(bool flag, std::span<std::byte> value) {
  const int out = flag;
  const std::size_t written = std::min(sizeof out, value.size());
  std::memcpy(value.data(), &out, written);
  return written;
}

}  // namespace

endpoint::~endpoint() {
  count_kernels_losses();
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
  if (kernel_ && (!is_fast() || is_idle_ || socket_.local().port == 0 || socket_.local().scope != 0)) {
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
  const bool is_filter = is_filter_option(level, name);
  const auto set = is_group_program(level, name) ? set_group_program(t, name, value)
                   : is_filter && kernel_        ? set_filter_option(t, name, value)
                   : is_filter                   ? set_filter_alone(name, value)
                   : kernel_                     ? set_both(t, level, name, value)
                                                 : fastudp::set_option(socket_, level, name, value, t.now());
  if (is_group_option(level, name)) engine_.finish_sending(t);  // what was joined or left is reported
  if (set && level == IPPROTO_UDP && name == UDP_CORK && !socket_.settings().corked) take_cork_out(t);
  settle_descriptor();
  return refuse_option(level, name, set);
}

result<std::size_t> endpoint::get_option(int level, int name, std::span<std::byte> value) {
  own_turn t(*this);
  const auto got = level == SOL_SOCKET && name == SO_GET_FILTER ? get_filter(value)
                   : kernel_                                    ? get_both(t, level, name, value)
                   : level == SOL_SOCKET && name == SO_LOCK_FILTER
                       ? write_flag(filter_is_locked_, value)
                       : fastudp::get_option(socket_, level, name, value, t.now());
  settle_descriptor();
  if (!got) return refuse_option(level, name, got.failure()).failure();
  return got;
}

// ---- Sending

status endpoint::send_one(const message& m, int flags, time_point now) {
  send_choices choices = read_control(m.control, socket_.family());
  choices.confirm = (flags & message_flag::confirm) != 0;
  choices.only_on_link = (flags & message_flag::dont_route) != 0;
  choices.is_out_of_band = (flags & message_flag::out_of_band) != 0;
  choices.is_probe = (flags & message_flag::probe) != 0;
  if (choices.is_timed && !times_sends_ && choices.refusal == 0) choices.refusal = EINVAL;
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
  engine_.begin_sending(t);
  if (kernel_) {
    if (auto bound = ensure_bound(t); !bound) return bound.failure();
  }
  std::size_t sent = 0;
  status outcome;
  const bool is_probe = (flags & message_flag::probe) != 0;  // of which data is left: Linux ends there
  while (sent < messages.size() && (outcome = send_one(messages[sent], flags, t.now()))) {
    if (!messages[sent++].data.empty() && is_probe) break;
  }
  engine_.finish_sending(t);
  settle_descriptor();  // sending takes a pending error
  to_kernel = outcome.code() == left_to_kernel;
  if (sent > 0 || outcome || to_kernel) return sent;
  return refuse("send", outcome, messages[0].peer).failure();
}

// One by the kernel, when the fast path left that to it; then the next may be the fast path's again.
result<std::size_t> endpoint::send_some(std::span<message> messages, int flags, bool& goes_on) {
  bool to_kernel = false;
  const auto went = send_fast(messages, flags, to_kernel);
  goes_on = to_kernel && *went < messages.size();
  if (!goes_on) return went;
  const auto why = !is_fast() ? handed_over_for_ : is_idle_ ? kernel_reason::forked : socket_.why_kernel();
  const auto left = send_by_kernel(messages.subspan(*went, 1), flags, why);
  goes_on = left && *left != 0;
  if (!left && *went == 0) return left;
  return *went + (left ? *left : 0);
}

// Ends at the first that fails, which is told when it is the first of all.
result<std::size_t> endpoint::send(std::span<message> messages, int flags) {
  int known = known_send_flags;
  if (kernel_ && engine_.with_host() == sharing::none && is_fast()) [[unlikely]] {
    known |= message_flag::out_of_band | message_flag::dont_route | message_flag::probe;
    flags &= known;  // Linux passes over the others
  }
  const bool is_known = (flags & ~known) == 0;
  if (!is_known && !kernel_) return error{EOPNOTSUPP};
  std::size_t sent = 0;
  bool goes_on = true;
  while (goes_on && sent < messages.size()) {
    const auto rest = messages.subspan(sent);
    const bool is_held_there = kernel_holds_.load(std::memory_order_relaxed);
    const bool to_kernel = !is_fast() || !is_known || is_held_there || (kernel_ && engine_.is_undecided());
    const kernel_reason why = !is_fast()                   ? handed_over_for_
                              : !is_known || is_held_there ? kernel_reason::option
                                                           : kernel_reason::forked;
    goes_on = false;
    if (!is_known && is_fast() && !is_held_there) give_held_to_kernel();
    const auto went = to_kernel ? send_by_kernel(rest, flags, why) : send_some(rest, flags, goes_on);
    if (!went) return sent > 0 ? result<std::size_t>(sent) : went;
    sent += *went;
  }
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

// For who only looks, that is what lies where he looks.
bool endpoint::has_datagram(int flags) const {
  std::uint32_t offset;
  return (flags & message_flag::peek) != 0 ? socket_.peek(offset) != nullptr : socket_.has_datagram();
}

bool endpoint::has_input(time_point now, int flags) {
  if (has_datagram(flags) || socket_.has_pending_error() || socket_.is_shut_for_reading()) return true;
  return kernel_ && (!is_fast() || kernel_->may_have_something(now));
}

// How long a receive may wait; reading the error queue never does.
duration endpoint::patience(int flags) const {
  const bool dont_wait = (flags & (message_flag::dont_wait | message_flag::error_queue)) != 0;
  return dont_wait ? 0 : socket_.settings().receive_timeout;
}

// The limit is that of the whole call: never until it is known.
status endpoint::wait_for_input(engine::turn& t, int flags, time_point& limit) {
  const bool from_errors = (flags & message_flag::error_queue) != 0;
  const duration timeout = patience(flags);
  if (timeout == 0) {
    engine_.work(t);
    // Linux looks for data first: without any, even a socket that is shut down says to try again.
    const bool found = from_errors ? socket_.errors_waiting() : has_datagram(flags) || socket_.has_pending_error();
    const bool may_be_there = kernel_ && (!is_fast() || kernel_->may_have_something(t.now()));
    return found || may_be_there ? status{} : error{EAGAIN};
  }
  if (limit == never && timeout != never) limit = engine_.time().precise() + timeout;
  return engine_.wait_until(t, {.interest = this}, limit, [&] { return has_input(t.now(), flags); });
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
  if (kernel_ && !is_fast() && !has_fast_input()) (void)no_leftovers();
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

// Whoever only looks may do so at a place (SO_PEEK_OFF), which then moves on.
bool endpoint::peek(message& m, int flags) {
  if (socket_.settings().peek_offset < 0) {
    if (socket_.front() != nullptr) fill(m, *socket_.front());
    return socket_.front() != nullptr;
  }
  std::uint32_t offset;
  packet* p = socket_.peek(offset);
  if (p == nullptr) return false;
  const std::size_t room = m.data.size(), left = p->length - offset, stored = std::min(room, left);
  if (stored != 0) std::memcpy(m.data.data(), p->data() + offset, stored);
  m.data = m.data.first(stored);
  if (p->length == 0) p->peeked = true;
  describe(m, *p, p->length);
  // Linux: room for all that is left of it is enough.
  if (room > left) m.flags &= ~message_flag::truncated;
  socket_.moved_by((flags & message_flag::truncated) != 0 ? p->length : stored);
  return true;
}

// All but the payload.
void endpoint::describe(message& m, packet& datagram, std::uint32_t length) const {
  m.length = length;
  m.flags = m.data.size() < length ? message_flag::truncated : 0;
  m.peer = sender_of(datagram);
  if (m.peer.address.is_link_local()) m.peer.scope = static_cast<std::uint32_t>(interface(m.peer.address));
  m.has_peer = true;
  fill_control(m, datagram);
}

// The host's number of the one that datagrams come by. Those to an address of another interface than loopback's go by
// loopback's, and Linux names the other one.
int endpoint::interface(const ip_address& destination) const {
  return engine_.with_host() == sharing::loopback ? engine_.interface_of(destination) : engine_.device().interface;
}

result<std::size_t> endpoint::receive(std::span<message> messages, int flags) {
  if ((flags & ~known_receive_flags) != 0) return error{EOPNOTSUPP};
  if (messages.empty()) return std::size_t{0};
  note_look();
  const bool errors_are_kernels = kernel_ && engine_.with_host() != sharing::none;
  if ((flags & message_flag::error_queue) != 0 && errors_are_kernels) {
    const std::size_t own = receive_reports(messages);
    return own != 0 ? result<std::size_t>(own) : receive_kernel_only(messages, flags);
  }
  if (!is_fast() && !has_leftovers_.load(std::memory_order_acquire)) return receive_kernel_only(messages, flags);
  const auto got = receive_here(messages, flags);
  return got.code() == left_to_kernel ? receive_kernel_only(messages, flags) : got;
}

// left_to_kernel: the socket was handed over, and what is asked for isn't in its fast queue.
result<std::size_t> endpoint::receive_here(std::span<message> messages, int flags) {
  own_turn t(*this);
  if (auto ours = check_owner(); !ours) return ours.failure();
  if (engine_.is_guest()) return no_leftovers();  // what lies in the queue is the owner's
  look(t);
  for (time_point limit = never;;) {
    if (auto input = wait_for_input(t, flags, limit); !input) return input.failure();
    if (auto here = check_leftovers(flags, t.now()); !here) return here.failure();
    const auto got = kernel_ ? take(messages, flags, t.now()) : take_fast(messages, flags);
    end_of_input();
    // What the kernel was thought to have may be gone, or not have been for us.
    const bool false_alarm = kernel_ && (got ? *got == 0 : got.code() == EAGAIN) && !socket_.is_shut_for_reading();
    const bool is_over = !got && got.code() == EAGAIN && socket_.is_shut_for_reading();
    if (is_over && patience(flags) != 0) return std::size_t{0};
    if ((flags & message_flag::error_queue) != 0 && got && *got == 0) return error{EAGAIN};
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
    if (peek(messages[0], flags)) ++count;
  } else {
    while (count < messages.size() && socket_.front() != nullptr) {
      message& m = messages[count++];
      fill(m, *socket_.front());
      socket_.moved_by(-static_cast<std::int64_t>((flags & message_flag::truncated) != 0 ? m.length : m.data.size()));
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
    socket_.moved_by(-static_cast<std::int64_t>(p->length));
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
  const bool has_error = socket_.has_pending_error() || socket_.errors_waiting();
  if (has_error) out |= ready::error;
  if (has_error && socket_.settings().select_error_queue) out |= ready::priority;
  if (socket_.is_shut_for_reading() && socket_.is_shut_for_writing()) out |= ready::hang_up;
  return out;
}

// The kernel is asked only for what isn't there already.
int endpoint::readiness(time_point now, int asked) {
  if (kernel_ && engine_.is_guest()) return ready::writable | kernel_->ask();
  socket_.set_aside();
  const int here = fast_readiness();
  // On loopback the kernel's errors are those of what was just sent, elsewhere they are seen on their way.
  const bool is_loopback = engine_.with_host() == sharing::loopback;
  const bool may_have_error = kernel_ && (is_loopback ? kernel_->expects_answer(now) : kernel_->expects_error(now));
  const bool lacks_datagram = (asked & ready::readable & ~here) != 0;
  const bool is_enough = (here & asked & ~ready::writable) != 0 && !lacks_datagram && !may_have_error;
  if (!kernel_ || (is_enough && is_fast())) return here;
  return here | (is_fast() ? kernel_->readiness(now) : kernel_->ask());
}

// Whoever has looked may sleep until the next one, whatever else lies there.
int endpoint::edge(std::int32_t& known, int asked, time_point now) {
  if (kernel_ && engine_.is_guest()) return 0;
  const bool has_news = known != socket_.last_arrival();
  known = socket_.last_arrival();
  socket_.announce_next_arrival();
  return has_news ? readiness(now, asked) & asked : 0;
}

int endpoint::poll() {
  constexpr int everything = ready::readable | ready::error | ready::hang_up;
  own_turn t(*this);
  look(t);
  engine_.work(t);
  return readiness(t.now(), everything);
}

std::uint32_t endpoint::next_length() {
  own_turn t(*this);
  engine_.work(t);
  const packet* first = engine_.is_guest() ? nullptr : socket_.front();
  std::uint32_t length = 0;
  for (const packet* each = first; each != nullptr; each = joined_to(*each)) length += each->length;
  if (first != nullptr || !kernel_) return length;
  // It passes over what isn't the peer's.
  message nothing;
  constexpr int look = message_flag::peek | message_flag::dont_wait;
  if (engine_.with_host() == sharing::none && socket_.is_connected()) (void)receive_from_peer(nothing, look);
  return kernel_->socket().next_length();
}

result<int> endpoint::wait(int events, duration timeout) {
  own_turn t(*this);
  const time_point limit = engine_.limit_after(timeout);
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
