// Makes a sequence out of a seed: some sockets, most of them bound and able to reach each other, then calls at random,
// then a look at what is left in each.

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <numeric>
#include <utility>

#include "control.h"
#include "options.h"
#include "places.h"
#include "step.h"

namespace differential {
namespace {

constexpr int call_weights[] = {
#define DIFFERENTIAL_CALL(name, weight) weight,
#include "calls.def"
#undef DIFFERENTIAL_CALL
};

class generator {
 public:
  generator(std::uint64_t seed, const choices& wanted)
      : random_(seed),
        wanted_(wanted),
        base_port_(10'000 + static_cast<int>(seed % 1000) * 16),
        shares_ports_(random_.percent(5)),
        fills_buffers_(!shares_ports_ && !wanted.beyond && random_.percent(10)),
        gives_pieces_(!shares_ports_ && !fills_buffers_ && !wanted.beyond && random_.percent(15)),
        uses_bad_pointers_(random_.percent(50)) {}

  std::vector<step> run() {
    open_some();
    const int total = std::accumulate(std::begin(call_weights), std::end(call_weights), 0);
    for (int i = 0; i < wanted_.calls; ++i) {
      int at = random_.below(total), which = 0;
      while (at >= call_weights[which]) at -= call_weights[which++];
      add(static_cast<call>(which));
    }
    finish();
    return std::move(out_);
  }

 private:
  struct known_socket {
    family of = family::v4;
    place bound;
  };

  step& push(call what, int slot) {
    step& made = out_.emplace_back();
    made.what = what;
    made.slot = slot;
    made.fill = static_cast<std::uint32_t>(random_.below(251));
    return made;
  }

  // Mostly one that is open.
  int some_slot() { return random_.percent(6) ? random_.below(first_set) : random_.below(opened_); }
  int some_set() { return first_set + (random_.percent(80) ? 0 : 1); }
  family family_of(int slot) const { return slot < first_duplicate ? sockets_[slot].of : family::v4; }
  int port(int slot) const { return base_port_ + (shares_ports_ ? 0 : slot); }

  void open_some() {
    opened_ = 2 + random_.below(4);
    const bool is_mixed = random_.percent(50) && !fills_buffers_, is_v6 = random_.percent(wanted_.ipv6_percent);
    for (int i = 0; i < opened_; ++i) {
      const bool this_v6 = is_mixed ? random_.percent(wanted_.ipv6_percent) : is_v6;
      add_socket(i, this_v6 ? family::v6 : family::v4);
      if (shares_ports_) add_reuse(i);
      while (!shares_ports_ && random_.percent(40)) add_set_option(i, true);
      if (wanted_.beyond || random_.percent(80)) add_bind(i);
      if (shares_ports_ && random_.percent(40)) add_choice_among(i);
    }
  }

  // What is there at the end would have been there for the program to see.
  void finish() {
    if (shares_ports_) {
      push(call::drain, 0);
      return;
    }
    add_watch(call::poll, true);
    for (int i = 0; i < opened_; ++i) {
      push(call::ioctl, i).name = FIONREAD;
      const bool asks_first = random_.percent(50);
      const bool is_told_again = hears_errors_ && gets_reports_;
      if (asks_first) add_error(i);
      for (const int flags : {MSG_DONTWAIT, MSG_DONTWAIT, MSG_ERRQUEUE}) add_last_receive(i, flags);
      if (!asks_first && !is_told_again) add_error(i);
      step& local = push(call::getsockname, i);
      local.messages.emplace_back().name_room = 28;
    }
  }

  void add_error(int slot) {
    step& made = push(call::getsockopt, slot);
    made.level = SOL_SOCKET;
    made.name = SO_ERROR;
    made.length = 4;
  }

  void add_last_receive(int slot, int flags) {
    step& made = push(call::recvmsg, slot);
    made.flags = flags;
    message& m = made.messages.emplace_back();
    m.name_room = 28;
    m.control_room = 256;
    m.pieces = {{100'000, false}};
  }

  // Of sockets that share a port, a hash that nobody knows chooses the one that receives. What is compared is what they
  // receive together, so nothing may depend on which one it was.
  static bool suits_shared_ports(call what) {
    const bool is_naming = what >= call::bind && what <= call::getpeername;
    return is_naming || (what >= call::send && what <= call::sendmsg);
  }

  void add(call what) {
    if (shares_ports_ && !suits_shared_ports(what)) what = call::sendto;
    // What becomes of room that was given back under another limit is Linux's own affair.
    if (fills_buffers_ && what == call::setsockopt) what = call::sendto;
    switch (what) {
      case call::socket:
        return add_another();
      case call::bind:
        return add_bind(some_slot());
      case call::connect:
        return add_connect(some_slot());
      case call::getsockname:
      case call::getpeername:
        return add_name(what);
      case call::shutdown:
        return add_shutdown();
      case call::close:
        push(what, random_.percent(90) ? some_slot() : some_set());
        return;
      case call::dup:
      case call::dup2:
      case call::dup3:
        return add_dup(what);
      case call::fcntl:
        return add_fcntl();
      case call::ioctl:
        return add_ioctl();
      case call::getsockopt:
        return add_get_option(some_slot());
      case call::setsockopt:
        return add_set_option(some_slot());
      default:
        return add_data_or_wait(what);
    }
  }

  void add_data_or_wait(call what) {
    if (what >= call::send && what <= call::writev) return add_send(what);
    if (what >= call::recv && what <= call::readv) return add_receive(what);
    if (what >= call::select && what <= call::ppoll) return add_watch(what, false);
    add_set(what);
  }

  void add_shutdown() {
    if (gives_pieces_) return;
    step& made = push(call::shutdown, some_slot());
    made.number = random_.one_of({0, 1, 2, 0, 1, 2, 3, -1});
  }

  void add_socket(int slot, family of) {
    step& made = push(call::socket, slot);
    if (slot < first_duplicate) sockets_[slot] = {of, {}};
    made.level = of == family::v4 ? AF_INET : AF_INET6;
    made.name = SOCK_DGRAM;
    if (random_.percent(15))
      made.name |= random_.one_of<int>({SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC});
    made.number = random_.percent(70) ? 0 : IPPROTO_UDP;
    if (!random_.percent(1)) return;
    made.name = random_.one_of({0, SOCK_DGRAM | 0x100, 99, SOCK_DGRAM | (1 << 20)});
    made.number = random_.one_of({0, 17, 136, 300, -1});
  }

  // In the place of one that stays open, without a slot.
  void add_another() {
    const int slot = random_.below(opened_);
    const bool is_v6 = random_.percent(wanted_.ipv6_percent);
    add_socket(slot, fills_buffers_ ? sockets_[0].of : is_v6 ? family::v6 : family::v4);
    if (shares_ports_) add_reuse(slot);
    if (wanted_.beyond || random_.percent(60)) add_bind(slot);
  }

  void add_reuse(int slot) {
    step& made = push(call::setsockopt, slot);
    made.level = SOL_SOCKET;
    made.name = random_.percent(80) ? SO_REUSEPORT : SO_REUSEADDR;
    made.value = {std::byte{1}, std::byte{0}, std::byte{0}, std::byte{0}};
    made.length = 4;
  }

  // Who of a group receives, which is all the same to what they receive together.
  void add_choice_among(int slot) {
    step& made = push(call::setsockopt, slot);
    do {
      name_option(made, true);
    } while (find_option(made.level, made.name)->use != when::groups);
    give_value(made);
  }

  // Whose port the kernel has chosen when it sent, or failed to, is bound here a call later: what comes in between is
  // the kernel's. From beyond, therefore, all are bound.
  void add_sure_bind(int slot) {
    static constexpr const char *v4[] = {"0.0.0.0", "10.99.0.1"}, *v6[] = {"::", "fd99::1", "::ffff:10.99.0.1"};
    step& made = push(call::bind, slot);
    made.where = at(family_of(slot) == family::v4 ? random_.pick(v4) : random_.pick(v6), port(slot));
    sockets_[slot].bound = made.where;
  }

  void add_bind(int slot) {
    if (wanted_.beyond) return add_sure_bind(slot);
    step& made = push(call::bind, slot);
    const int wanted = !fills_buffers_ && random_.percent(10) ? 0
                       : random_.percent(10)                  ? port(random_.below(6))
                                                              : port(slot);
    made.where = fills_buffers_ ? at(family_of(slot) == family::v4 ? "127.0.0.1" : "::1", wanted)
                                : place_to_bind(random_.percent(4) ? family::v4 : family_of(slot), wanted, random_);
    if (slot < first_duplicate && sockets_[slot].bound.is_null) sockets_[slot].bound = made.where;
    if (slot < first_duplicate && wanted == 0) sockets_[slot].bound.port_of = slot;
    if (!fills_buffers_ && random_.percent(6)) spoil(made.where, random_);
  }

  place destination_from(int slot) {
    const place out = destination_within(slot);
    return wanted_.beyond ? beyond(out) : out;
  }

  // Mostly where somebody is.
  place destination_within(int slot) {
    const int target = random_.below(opened_);
    const place& bound = sockets_[target].bound;
    const family from = random_.percent(4) ? family::v4 : family_of(slot);
    if (bound.is_null && fills_buffers_) return at(from == family::v4 ? "127.0.0.1" : "::1", port(random_.below(8)));
    if (bound.is_null || (!fills_buffers_ && random_.percent(8)))
      return place_of_nobody(from, port(random_.below(8)), random_);
    place out = place_of(bound, from, random_);
    if (!fills_buffers_ && random_.percent(4)) spoil(out, random_);
    return out;
  }

  // "A peer at port 0" in docs/differences.md.
  place peer_for(int slot) {
    place out = destination_from(slot);
    if (wanted_.alone) give_port(out, port(slot));
    return out;
  }

  // "Failed connects" in docs/differences.md: to a broadcast address, and to one of a link that no way leads to.
  static bool fails_when_begun(const place& to) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(to.raw);
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(to.raw);
    constexpr std::uint8_t last_of_all = 255;
    if (to.raw.ss_family == AF_INET) return (ntohl(v4.sin_addr.s_addr) & last_of_all) == last_of_all;
    if (to.raw.ss_family != AF_INET6) return false;
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return v6.sin6_addr.s6_addr[15] == last_of_all;
    return IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) && v6.sin6_scope_id == 1;
  }

  void add_connect(int slot) {
    if (gives_pieces_) return;
    step& made = push(call::connect, slot);
    hears_errors_ = true;
    made.where = peer_for(slot);
    while (wanted_.alone && fails_when_begun(made.where)) made.where = peer_for(slot);
    // "A peer of before" in docs/differences.md.
    if (family_of(slot) == family::v6 || !random_.percent(15)) return;
    made.where = at(random_.percent(50) ? "0.0.0.0" : "127.0.0.1", 0);
    made.where.raw.ss_family = AF_UNSPEC;
    made.where.length = random_.one_of<socklen_t>({16, 2, 28, 1, 128});
  }

  void add_name(call what) {
    step& made = push(what, some_slot());
    made.messages.emplace_back().name_room = name_room();
    made.has_value = !random_.percent(2);
  }

  int name_room() {
    return random_.percent(75) ? random_.one_of({16, 28, 128}) : random_.one_of({-1, 0, 1, 2, 4, 8, 15, 27, 200, -2});
  }

  void add_dup(call what) {
    step& made = push(what, some_slot());
    made.other = random_.percent(70) ? first_duplicate + random_.below(2) : some_slot();
    made.flags = what == call::dup3 ? random_.one_of<int>({0, O_CLOEXEC, O_CLOEXEC, O_NONBLOCK}) : 0;
  }

  void add_fcntl() {
    step& made = push(call::fcntl, some_slot());
    made.name =
        random_.one_of<int>({F_GETFL, F_SETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD, F_DUPFD_CLOEXEC, F_GETOWN, 99});
    made.other = first_duplicate + random_.below(2);
    if (made.name == F_SETFL) made.number = random_.one_of<int>({O_NONBLOCK, O_NONBLOCK, 0, O_NONBLOCK | O_RDWR});
    if (made.name == F_SETFD) made.number = random_.below(3);
    if (made.name == F_DUPFD || made.name == F_DUPFD_CLOEXEC) made.number = random_.one_of({0, 3, 40, 60, -1, 1 << 20});
  }

  void add_ioctl() {
    step& made = push(call::ioctl, some_slot());
    made.name = random_.one_of<int>(
        {FIONREAD, FIONREAD, FIONREAD, TIOCOUTQ, TIOCOUTQ, FIONBIO, FIONBIO, FIOASYNC, SIOCATMARK, 0x1234});
    if ((fills_buffers_ || wanted_.alone) && made.name == FIOASYNC) made.name = FIONREAD;
    made.number = random_.percent(60);
    made.has_value = !random_.percent(3);
  }

  // "Options of the kernel" in docs/differences.md.
  static bool is_refused_alone(const option& o) {
    return o.is_kernels || (o.level == IPPROTO_IPV6 && o.name == IPV6_MTU);
  }

  const option& some_option(bool may_be_early) {
    const bool is_usual = !fills_buffers_ && random_.percent(45);
    for (;;) {
      const option& found = random_.pick(options);
      if (is_usual && found.use != when::often) continue;
      if (found.use == when::early && !may_be_early) continue;
      if (wanted_.alone && is_refused_alone(found)) continue;
      if (found.use == when::excused || (wanted_.beyond && found.use == when::within)) continue;
      if (found.use == when::groups && !shares_ports_) continue;
      if (found.use == when::pieces && !gives_pieces_) continue;
      if (uses_bad_pointers_ && is_count_of_losses(found)) continue;
      if (gives_pieces_ && (found.name == SO_SNDBUF || found.name == SO_SNDBUFFORCE)) continue;
      if ((found.use == when::filling) != fills_buffers_) continue;
      return found;
    }
  }

  void name_option(step& made, bool may_be_early) {
    const option& chosen = some_option(may_be_early);
    made.level = chosen.level;
    made.name = chosen.name;
    if (!fills_buffers_ && random_.percent(1)) made.level = random_.one_of({0, 1, 41, 17, 6, 99});
    const option* other = find_option(made.level, made.name);
    const bool is_fit = other != nullptr && other->use == when::now && !(wanted_.alone && is_refused_alone(*other));
    if (!is_fit || chosen.use == when::groups) made.level = chosen.level;
  }

  void add_get_option(int slot) {
    step& made = push(call::getsockopt, slot);
    name_option(made, true);
    made.length = random_.percent(75) ? random_.one_of({4, 8, 16, 64}) : random_.one_of({0, 1, 2, 3, 5, 40, 300, -1});
    made.has_value = !random_.percent(2);
  }

  static void grow_to(std::vector<std::byte>& value, int length) {
    value.resize(std::max<std::size_t>(value.size(), length < 0 ? 0u : static_cast<unsigned>(length)));
  }

  static bool is_count_of_losses(const option& o) { return o.level == SOL_SOCKET && o.name == SO_RXQ_OVFL; }

  static bool is_report_option(const option& o) {
    const bool is_stamps = o.name == SO_TIMESTAMPING_OLD || o.name == SO_TIMESTAMPING_NEW;
    return o.level == SOL_SOCKET && (is_stamps || o.name == SO_ZEROCOPY);
  }

  static bool is_error_option(const option& o) {
    return (o.level == IPPROTO_IP && o.name == IP_RECVERR) || (o.level == IPPROTO_IPV6 && o.name == IPV6_RECVERR);
  }

  void give_value(step& made) {
    const option& chosen = *find_option(made.level, made.name);
    made.value = value_for(chosen, random_);
    made.length = static_cast<int>(made.value.size());
    if (chosen.kind == value_kind::program) made.length = sizeof(sock_fprog);
    if (random_.percent(12)) made.length = random_.one_of({0, 1, 2, 3, 4, 5, 8, 12, 16, 300, -1});
    if (chosen.kind != value_kind::program) grow_to(made.value, made.length);
    made.has_value = !random_.percent(2);
  }

  // "Datagrams before an option" in docs/differences.md: some are set before anything can come.
  void add_set_option(int slot, bool is_early = false) {
    step& made = push(call::setsockopt, slot);
    name_option(made, is_early);
    if (gives_pieces_ && !is_early) made.level = IPPROTO_UDP, made.name = UDP_CORK;
    give_value(made);
    const option& chosen = *find_option(made.level, made.name);
    hears_errors_ = hears_errors_ || is_error_option(chosen);
    gets_reports_ = gets_reports_ || is_report_option(chosen);
    looks_at_place_ = looks_at_place_ || (chosen.level == SOL_SOCKET && chosen.name == SO_PEEK_OFF);
  }

  std::uint32_t size_to_send() {
    if (wanted_.beyond) return random_.one_of({0u, 1u, 2u, 10u, 10u, 100u, 500u, 1200u});
    if (fills_buffers_ && random_.percent(30)) return random_.one_of({2000u, 9000u, 16'384u, 20'000u, 65'000u});
    if (shares_ports_ || fills_buffers_ || random_.percent(80))
      return random_.one_of({0u, 1u, 2u, 10u, 10u, 100u, 500u, 1472u});
    return random_.one_of(
        {1473u, 2000u, 9000u, 16'384u, 20'000u, 65'507u, 65'508u, 65'527u, 65'535u, 65'536u, 70'000u});
  }

  int flags_to_send() {
    int out = random_.percent(60) ? MSG_DONTWAIT : 0;
    if (fills_buffers_) return out;
    if (wanted_.beyond && !wanted_.alone) return out | (random_.percent(10) ? MSG_ZEROCOPY : 0);
    if (random_.percent(15)) out |= random_.one_of<int>({MSG_NOSIGNAL, MSG_CONFIRM, MSG_EOR, MSG_DONTROUTE, MSG_PROXY});
    if (random_.percent(4)) {
      out |= random_.one_of<int>({MSG_OOB, MSG_TRUNC, MSG_CTRUNC, MSG_PEEK, MSG_ERRQUEUE, MSG_WAITFORONE, MSG_FASTOPEN,
                                  MSG_CMSG_CLOEXEC, MSG_WAITALL, 0x80000, 0x40000, 0x8000000, INT32_MIN, MSG_FIN,
                                  MSG_RST});
    }
    if (random_.percent(5)) out |= MSG_ZEROCOPY;
    if (gives_pieces_ && random_.percent(20)) out |= MSG_MORE;
    return out;
  }

  // Of more than a thousand pieces Linux takes none.
  std::vector<piece> pieces_of(std::uint32_t size) {
    std::vector<piece> out;
    const int count = random_.percent(60) ? 1 : random_.one_of({0, 2, 3, 5, 16});
    for (int i = 0; i < count; ++i) {
      const std::uint32_t part = i + 1 == count ? size : static_cast<std::uint32_t>(random_.below(int(size) + 1));
      out.push_back({part, part != 0 && !gives_pieces_ && random_.percent(1)});
      size -= part;
    }
    if (random_.below(1000) == 0) out.resize(random_.one_of({1024u, 1025u}));
    return out;
  }

  message message_to_send(int slot, bool is_whole) {
    message out;
    if (random_.percent(75)) out.to = destination_from(slot);
    out.pieces = is_whole ? std::vector<piece>{{size_to_send(), !gives_pieces_ && random_.percent(1)}}
                          : pieces_of(size_to_send());
    out.has_control = !is_whole && !fills_buffers_ && random_.percent(35);
    if (out.has_control) out.control = control_to_send(family_of(slot), wanted_.beyond, random_);
    return out;
  }

  // From beyond, an error that comes between two messages of a call is seen by the kernel alone: it comes at once
  // there.
  int messages_to_send() {
    const bool may_fail_midway = wanted_.beyond && hears_errors_;
    return may_fail_midway ? random_.below(2) : random_.one_of({0, 1, 2, 3, 5, 5, 8, 20, 70});
  }

  void add_send(call what) {
    const int slot = some_slot();
    step& made = push(what, slot);
    made.flags = flags_to_send();
    const bool is_whole = what == call::send || what == call::sendto || what == call::write;
    const int count = what == call::sendmmsg ? messages_to_send() : 1;
    for (int i = 0; i < count; ++i) made.messages.push_back(message_to_send(slot, is_whole));
    // A call without an address must not seem to have one.
    if (what != call::sendto && is_whole) made.messages[0].to = {};
  }

  int flags_to_receive() {
    int out = MSG_DONTWAIT;
    if (random_.percent(20)) out = 0;
    if (random_.percent(35))
      out |= random_.one_of<int>({MSG_PEEK, MSG_PEEK, MSG_TRUNC, MSG_TRUNC | MSG_PEEK, MSG_ERRQUEUE});
    if (random_.percent(4)) {
      out |= random_.one_of<int>({MSG_OOB, MSG_WAITALL, MSG_CMSG_CLOEXEC, MSG_EOR, MSG_NOSIGNAL, MSG_DONTROUTE,
                                  MSG_CTRUNC, MSG_CONFIRM, INT32_MIN, 0x80000});
    }
    // How much was stored then isn't told.
    if (looks_at_place_) out &= ~MSG_TRUNC;
    if (hears_errors_ && gets_reports_) out &= ~MSG_ERRQUEUE;
    return out;
  }

  std::uint32_t room() { return random_.one_of({0u, 1u, 10u, 100u, 2000u, 2000u, 65'536u, 100'000u}); }

  message room_for_message(bool is_whole) {
    message out;
    out.name_room = name_room();
    out.pieces = is_whole ? std::vector<piece>{{room(), random_.percent(1)}} : pieces_of(room());
    if (random_.percent(80)) out.control_room = random_.one_of({256, 256, 1024, 0, 8, 16, 20, 24, 28, 40, 64});
    return out;
  }

  // "Bad pointers" in docs/differences.md.
  static void mend(message& later) {
    if (later.name_room < -1) later.name_room = -1;
    for (piece& each : later.pieces) each.is_null = false;
    if (later.pieces.size() > 1024) later.pieces.clear();
  }

  // How many of several can be had is known only when none is waited for.
  void add_receive(call what) {
    step& made = push(what, some_slot());
    made.flags = flags_to_receive();
    const bool is_whole = what == call::recv || what == call::recvfrom || what == call::read;
    const int count = what == call::recvmmsg ? random_.one_of({0, 1, 2, 3, 5, 70}) : 1;
    for (int i = 0; i < count; ++i) made.messages.push_back(room_for_message(is_whole));
    for (int i = uses_bad_pointers_ ? 1 : 0; i < count; ++i) mend(made.messages[static_cast<std::size_t>(i)]);
    if (what != call::recvmmsg) return;
    made.flags |= random_.percent(50) ? MSG_WAITFORONE : MSG_DONTWAIT;
    made.number = random_.percent(70) ? -1 : random_.one_of<std::int64_t>({0, 1'000'000'000, 2'000'000'000, -2});
  }

  void add_watch(call what, bool all) {
    step& made = push(what, 0);
    for (int i = 0; i < slot_count; ++i) {
      if (!all && !random_.percent(50)) continue;
      const std::uint32_t events =
          random_.percent(70) ? POLLIN | POLLOUT : static_cast<std::uint32_t>(random_.below(0x4000));
      made.watched.emplace_back(i, all ? 0x3fff : events);
    }
    made.flags = random_.below(16);  // select: which of the sets are given, and whether a timeout is
  }

  void add_set(call what) {
    const int set = some_set();
    if (!has_set_[set - first_set] && what != call::epoll_create1) push(call::epoll_create1, set);
    has_set_[set - first_set] = true;
    step& made = push(what, set);
    if (what == call::epoll_ctl) return choose_ctl(made);
    // Which ones a full list names isn't compared, so nothing may depend on it.
    made.number = is_plain_[set - first_set] ? random_.one_of({1, 2, 8, 16}) : 16;
    if (random_.percent(3)) made.number = random_.one_of({0, -1, INT32_MAX});
    if (what == call::epoll_create1) made.flags = random_.one_of<int>({0, EPOLL_CLOEXEC, EPOLL_CLOEXEC, 1});
  }

  void choose_ctl(step& made) {
    made.name = random_.one_of<int>({EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL});
    if (random_.percent(2)) made.name = random_.one_of({0, 4, 99});
    made.other = random_.percent(88) ? some_slot() : some_set();
    std::uint32_t events = random_.percent(70) ? EPOLLIN : static_cast<std::uint32_t>(random_.below(0x4000));
    for (const std::uint32_t each : {std::uint32_t{EPOLLOUT}, std::uint32_t{EPOLLET}, std::uint32_t{EPOLLONESHOT}}) {
      if (random_.percent(30)) events |= each;
    }
    if (random_.percent(4)) events |= random_.one_of<std::uint32_t>({EPOLLEXCLUSIVE, EPOLLWAKEUP});
    // "Edges of sets in sets" in docs/differences.md.
    if (made.other >= first_set || gives_pieces_) events &= ~std::uint32_t{EPOLLET};
    // A set within a set wakes those who ask for EPOLLIN.
    if (made.other >= first_set && !(events & EPOLLIN)) events &= ~std::uint32_t{EPOLLRDNORM};
    if (events & (EPOLLET | EPOLLONESHOT)) is_plain_[0] = is_plain_[1] = false;
    made.watched.emplace_back(made.other, events);
    made.has_value = !random_.percent(2);
  }

  dice random_;
  const choices& wanted_;
  int base_port_;
  bool shares_ports_;
  // "Two queues" in docs/differences.md: where buffers are filled, all must go one way.
  bool fills_buffers_;
  // "Pieces" in docs/differences.md: those sockets aren't connected.
  bool gives_pieces_;
  // "Bad pointers" in docs/differences.md: or are losses counted?
  bool uses_bad_pointers_;
  // "Reports" in docs/differences.md: of both what is next in the queue is looked at last of all.
  bool hears_errors_ = false, gets_reports_ = false;
  bool looks_at_place_ = false;
  int opened_ = 0;
  bool has_set_[slot_count - first_set]{}, is_plain_[slot_count - first_set]{true, true};
  known_socket sockets_[first_duplicate];
  std::vector<step> out_;
};

}  // namespace

const char* name_of(call what) {
  static constexpr const char* names[] = {
#define DIFFERENTIAL_CALL(name, weight) #name,
#include "calls.def"
#undef DIFFERENTIAL_CALL
  };
  return names[static_cast<std::size_t>(what)];
}

std::vector<step> generate(std::uint64_t seed, const choices& wanted) { return generator(seed, wanted).run(); }

}  // namespace differential
