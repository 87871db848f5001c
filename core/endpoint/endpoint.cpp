#include "endpoint/endpoint.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "endpoint/control.h"
#include "endpoint/explain.h"
#include "socket/options.h"

namespace fastudp {
namespace {

constexpr int known_borrow_flags =
    message_flag::dont_wait | message_flag::no_signal | message_flag::wait_for_one | message_flag::continued;
constexpr int known_receive_flags = message_flag::continued | message_flag::peek | message_flag::truncated |
                                    message_flag::dont_wait | message_flag::error_queue | message_flag::no_signal |
                                    message_flag::wait_for_one;
constexpr int known_send_flags = message_flag::dont_wait | message_flag::confirm | message_flag::no_signal;
constexpr std::uint32_t all_headers = ethernet_size + ipv4_size + udp_size;

// IP_RECVERR's control message: the error, then the address of whoever reported it.
struct error_report {
  sock_extended_err what;
  sockaddr_in offender;
};

error_report to_report(const queued_error& e) {
  error_report out{};
  out.what.ee_errno = static_cast<std::uint32_t>(e.code);
  out.what.ee_origin = e.origin;
  out.what.ee_type = e.type;
  out.what.ee_code = e.icmp_code;
  out.what.ee_info = e.info;
  if (e.origin == SO_EE_ORIGIN_ICMP) {
    out.offender.sin_family = AF_INET;
    std::memcpy(&out.offender.sin_addr, e.offender.bytes.data(), e.offender.bytes.size());
  }
  return out;
}

// The control messages that the socket asked for, in Linux's order; `answer_from` is where an answer should come from.
void put_facts(control_writer& out, const ip_facts& facts, ipv4_address answer_from, const socket_settings& wanted) {
  if (wanted.receive_packet_info) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, answer_from.bytes.data(), answer_from.bytes.size());
    std::memcpy(&info.ipi_addr, facts.destination.bytes.data(), facts.destination.bytes.size());
    out.put(IPPROTO_IP, IP_PKTINFO, info);
  }
  if (wanted.receive_ttl) out.put(IPPROTO_IP, IP_TTL, static_cast<int>(facts.ttl));
  if (wanted.receive_tos) out.put(IPPROTO_IP, IP_TOS, facts.tos);
}

}  // namespace

endpoint::~endpoint() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

status endpoint::refuse(const char* call, status outcome, endpoint_address about) {
  if (!outcome) explain(why_, call, outcome.code(), about);
  return outcome;
}

reason endpoint::why() {
  engine::turn t(engine_);
  return why_;
}

status endpoint::bind(endpoint_address where) {
  engine::turn t(engine_);
  return refuse("bind", socket_.bind(where), where);
}

status endpoint::connect(endpoint_address peer) {
  engine::turn t(engine_);
  return refuse("connect", socket_.connect(peer, t.now()), peer);
}

void endpoint::disconnect() {
  engine::turn t(engine_);
  socket_.disconnect();
}

status endpoint::shut_down(bool reading, bool writing) {
  engine::turn t(engine_);
  return socket_.shut_down(reading, writing);
}

endpoint_address endpoint::local() {
  engine::turn t(engine_);
  return socket_.local();
}

result<endpoint_address> endpoint::peer() {
  engine::turn t(engine_);
  // Linux: a peer at port 0 is none.
  if (!socket_.is_connected() || socket_.peer().port == 0) return error{ENOTCONN};
  return socket_.peer();
}

status endpoint::refuse_option(int level, int name, status outcome) {
  if (!outcome) explain_option(why_, level, name, outcome.code());
  return outcome;
}

status endpoint::set_option(int level, int name, std::span<const std::byte> value) {
  engine::turn t(engine_);
  const auto set = fastudp::set_option(socket_, level, name, value);
  settle_descriptor();
  return refuse_option(level, name, set);
}

result<std::size_t> endpoint::get_option(int level, int name, std::span<std::byte> value) {
  engine::turn t(engine_);
  const auto got = fastudp::get_option(socket_, level, name, value, t.now());
  settle_descriptor();
  if (!got) return refuse_option(level, name, got.failure()).failure();
  return got;
}

// ---- Sending

status endpoint::send_one(const message& m, int flags, time_point now) {
  send_choices choices = read_control(m.control);
  choices.confirm = (flags & message_flag::confirm) != 0;
  const endpoint_address* to = m.has_peer ? &m.peer : nullptr;
  if (m.frame == nullptr) return socket_.send(m.data, to, choices, now);
  packet* p = m.frame;
  p->begin = static_cast<std::uint32_t>(m.data.data() - p->frame);
  p->length = static_cast<std::uint32_t>(m.data.size());
  auto* holder = static_cast<endpoint*>(p->holder);
  const auto sent = socket_.send_packet(p, to, choices, now);
  if (sent) holder->frames_out_.fetch_sub(1, std::memory_order_release);
  return sent;
}

result<std::size_t> endpoint::send(std::span<message> messages, int flags) {
  if ((flags & ~known_send_flags) != 0) return error{EOPNOTSUPP};
  engine::turn t(engine_);
  std::size_t sent = 0;
  status outcome;
  while (sent < messages.size() && (outcome = send_one(messages[sent], flags, t.now()))) ++sent;
  engine_.finish_sending(t);
  settle_descriptor();  // sending takes a pending error
  if (sent > 0 || outcome) return sent;
  return refuse("send", outcome, messages[0].peer).failure();
}

result<std::size_t> endpoint::allocate(std::span<message> messages) {
  engine::turn t(engine_);
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

bool endpoint::has_input() const {
  return socket_.has_datagram() || socket_.has_pending_error() || socket_.is_shut_for_reading();
}

status endpoint::wait_for_input(engine::turn& t, int flags) {
  const bool from_errors = (flags & message_flag::error_queue) != 0;
  // Reading the error queue never waits.
  const bool dont_wait = from_errors || (flags & message_flag::dont_wait) != 0;
  const duration timeout = dont_wait ? 0 : socket_.settings().receive_timeout;
  if (timeout == 0) {
    engine_.work(t);
    // Linux looks for data first: without any, even a socket that is shut down says to try again.
    const bool found = from_errors ? socket_.errors_waiting() : socket_.has_datagram() || socket_.has_pending_error();
    return found ? status{} : error{EAGAIN};
  }
  const time_point limit = timeout == never ? never : engine_.time().precise() + timeout;
  return engine_.wait_until(t, {.interest = this}, limit, [&] { return has_input(); });
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
  const std::size_t stored = std::min<std::size_t>(m.data.size(), datagram.length);
  if (stored != 0) std::memcpy(m.data.data(), datagram.data(), stored);
  m.data = m.data.first(stored);
  describe(m, datagram);
}

// All but the payload.
void endpoint::describe(message& m, const packet& datagram) const {
  m.length = datagram.length;
  m.flags = m.data.size() < datagram.length ? message_flag::truncated : 0;
  m.peer = sender_of(datagram);
  fill_control(m, datagram);
}

void endpoint::fill_control(message& m, const packet& datagram) const {
  control_writer out(m.control);
  const auto header = *view<ipv4>::parse({datagram.frame + datagram.network, datagram.transport - datagram.network});
  const ip_facts facts = facts_of(header);
  put_facts(out, facts, facts.destination, socket_.settings());
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
  m.flags = message_flag::error_queue | (stored < quoted->length ? message_flag::truncated : 0);
  control_writer out(m.control);
  // Linux has no local address there, that is, none for an answer.
  if (e.origin == SO_EE_ORIGIN_ICMP) put_facts(out, e.message, {}, socket_.settings());
  out.put(IPPROTO_IP, IP_RECVERR, to_report(e));
  m.control = m.control.first(out.size());
  if (out.is_truncated()) m.flags |= message_flag::control_truncated;
  release(quoted);
  return {};
}

result<std::size_t> endpoint::receive(std::span<message> messages, int flags) {
  if ((flags & ~known_receive_flags) != 0) return error{EOPNOTSUPP};
  if (messages.empty()) return std::size_t{0};
  engine::turn t(engine_);
  if (auto input = wait_for_input(t, flags); !input) return input.failure();
  std::size_t count = 0;
  if (flags & message_flag::error_queue) {
    while (count < messages.size() && fill_error(messages[count])) ++count;
  } else if (socket_.has_pending_error() && (flags & message_flag::continued) != 0) {
    return std::size_t{0};  // for the next call to tell
  } else if (const int pending = socket_.take_error()) {
    end_of_input();
    return error{pending};
  } else if (flags & message_flag::peek) {
    if (packet* first = socket_.front()) fill(messages[count++], *first);
  } else {
    while (count < messages.size()) {
      packet* p = socket_.pop();
      if (p == nullptr) break;
      fill(messages[count++], *p);
      release(p);
    }
  }
  end_of_input();
  return count;
}

result<std::size_t> endpoint::borrow(std::span<message> messages, int flags) {
  if ((flags & ~known_borrow_flags) != 0) return error{EOPNOTSUPP};
  if (messages.empty()) return std::size_t{0};
  engine::turn t(engine_);
  if (auto input = wait_for_input(t, flags); !input) return input.failure();
  if (socket_.has_pending_error() && (flags & message_flag::continued) != 0) return std::size_t{0};
  if (const int pending = socket_.take_error()) {
    end_of_input();
    return error{pending};
  }
  std::size_t count = 0;
  while (count < messages.size()) {
    packet* p = socket_.pop();
    if (p == nullptr) break;
    message& m = messages[count++];
    m.data = p->bytes();
    describe(m, *p);
    p->holder = this;
    m.frame = p;
  }
  frames_out_.fetch_add(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  end_of_input();
  return count;
}

// ---- Waiting

bool endpoint::has_something() const { return (readiness() & (ready::readable | ready::error)) != 0; }

int endpoint::readiness() const {
  int out = ready::writable;
  if (socket_.has_datagram() || socket_.is_shut_for_reading()) out |= ready::readable;
  if (socket_.has_pending_error() || socket_.errors_waiting()) out |= ready::error;
  if (socket_.is_shut_for_reading() && socket_.is_shut_for_writing()) out |= ready::hang_up;
  return out;
}

int endpoint::poll() {
  engine::turn t(engine_);
  engine_.work(t);
  return readiness();
}

result<int> endpoint::wait(int events, time_point limit) {
  engine::turn t(engine_);
  events |= ready::error | ready::hang_up;
  const auto waited =
      engine_.wait_until(t, {.interest = this, .only_looks = true}, limit, [&] { return (readiness() & events) != 0; });
  if (!waited && waited.code() != EAGAIN) return waited.failure();
  return readiness() & events;
}

result<int> endpoint::descriptor() {
  engine::turn t(engine_);
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
