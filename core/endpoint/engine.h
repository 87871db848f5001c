#pragma once
// A stack in the life of a program: opened from a URI, shared by threads, told the time, waited on.

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/counters.h"
#include "base/descriptor.h"
#include "base/reason.h"
#include "base/result.h"
#include "endpoint/clock.h"
#include "endpoint/device_losses.h"
#include "endpoint/family.h"
#include "endpoint/host_view.h"
#include "endpoint/link_health.h"
#include "endpoint/lock.h"
#include "endpoint/ownership.h"
#include "endpoint/stats_file.h"
#include "endpoint/waiting.h"
#include "endpoint/watchman.h"
#include "host/ports.h"
#include "host/reinjector.h"
#include "link/link.h"
#include "link/steering.h"
#include "link/uri.h"
#include "socket/udp_layer.h"
#include "stack/stack.h"

namespace fastudp {

struct engine_settings {
  std::uint64_t seed = 0;  // 0: from the kernel
  bool hand_clock = false;
  std::uint32_t neighbours = 0;  // 0: the default
  duration spin = 0;
  bool strict = false;               // what needs the kernel fails instead
  bool may_bypass_firewall = false;  // when the link is chosen for the program
  const char* stats_file = nullptr;  // where to count; null: in memory
  const char* why_not_faster = "";   // what spoke against a faster link, to be told when asked
};

class endpoint;

class engine final : public own_sockets, private socket_events, private host_view::listener {
 public:
  static result<std::unique_ptr<engine>> open(std::string_view uri, engine_settings settings, reason& why);
  ~engine();
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  // One call into the stack, from one thread: holds the lock and knows the time.
  class turn {
   public:
    explicit turn(engine& h) : engine_(h), errno_(errno) {
      engine_.enter(*this);
      ++engine_.acquisitions_;
      now_ = engine_.clock_.coarse();
    }
    ~turn() {
      engine_.room_.work_due(engine_.deadline());
      engine_.lock_.give_up();
      errno = errno_;  // the program's own is left alone
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    time_point now() const { return now_; }
    void look_at_clock() { now_ = engine_.clock_.precise(); }
    // A signal came in the midst of this call, whose handler has run: where the call would sleep, it fails instead.
    void note_interrupt() { interrupted_ = true; }
    bool is_interrupted() const { return interrupted_; }

   private:
    engine& engine_;
    time_point now_;
    int errno_;
    bool interrupted_ = false;
  };

  // All that follows is called within a turn.

  // Polls the stack for at most `budget` frames and sends what that made. Returns how many frames came.
  std::size_t work(turn& t, std::size_t budget = burst::capacity);
  // What the host says of its network, now and not some milliseconds later.
  void look_at_host(turn& t);
  // Before a call sends: what a program that only sends wouldn't hear of otherwise.
  void begin_sending(turn& t) {
    if (t.now() - view_is_from_ >= link_health::looks_apart || health_.is_due(t.now())) [[unlikely]]
      look_around(t);
  }
  // Sends off what calls have given to the stack, and looks after address resolution while a program only sends.
  void finish_sending(turn& t);
  // Works until `is_ready()` holds, or fails: EAGAIN at the time limit, EINTR. The wish says what for.
  template <typename Condition>
  status wait_until(turn& t, const wish& what, time_point limit, const Condition& is_ready);
  // Waits for any of many things, as poll does. Returns for how many there is something.
  result<std::size_t> wait_for_any(turn& t, std::span<wait_item> items, time_point limit, const sigset_t* signal_mask);
  // When there is work to do though nothing comes.
  time_point deadline() const {
    const time_point due = stack_->deadline();
    return must_look_at_link_ && !guest_ ? std::min(due, health_.next_look()) : due;
  }
  // Sleeps until something may have happened; true unless the limit came first.
  result<bool> wait_for_work(turn& t, time_point limit);

  fastudp::stack& stack() { return *stack_; }
  udp_layer& sockets() { return sockets_; }
  fastudp::clock& time() { return clock_; }
  // The point in time so many nanoseconds from now; never when negative. Within the turn that is to wait: this one is
  // told of a signal that came while the turn began.
  time_point limit_after(duration timeout);
  counters& count() { return stats_.mine(); }
  // What devices and the kernel have lost for this stack is in the counters as well.
  void count_losses();
  // The same while it can still be done, whoever holds the lock; not within a turn, which would use the stack.
  void count_last_losses();
  std::uint64_t acquisitions() const { return acquisitions_; }
  const char* link_name() const { return link_->info().name; }
  bool owns(const packet& p) const;
  // More lies ready for `interest` than the thread at work took: another one that waits for it is woken.
  void pass_on(const void* interest) { room_.wake_one(interest); }

  // The descriptor for a program's own loop; from then on the link announces itself whenever it was found empty.
  int announce_work();
  // A thread that works while no call does.
  status start_helper();

  // ---- The kernel's half. Within a turn, but for what says otherwise.

  // How this stack and the host's kernel share the addresses.
  sharing with_host() const { return stack_->with_host(); }
  bool is_strict() const { return strict_; }
  // Of all that have a companion.
  endpoint* first_endpoint() const { return first_; }
  // Programs that choose among sockets have left some of them to the kernel.
  bool has_kernel_groups() const { return has_kernel_groups_; }
  void note_kernel_group() { has_kernel_groups_ = true; }
  // No link carries anything: all sockets are the kernel's.
  bool is_kernel_only() const { return kernel_only_; }
  const link_info& device() const { return link_->info(); }
  bool is_steered() const { return link_->info().steered; }
  const link_health& health() const { return health_; }
  // Why this link, and not a faster one.
  const char* explanation() const { return explanation_; }

  // The number of the interface with this address of ours; only where the host's network is mirrored.
  int interface_of(const ip_address& address) const { return view_->interface_of(address); }
  // How often the kernel was given something to send that may come back to a socket of ours. Any thread.
  std::uint64_t kernel_sends() const { return kernel_sends_.load(std::memory_order_acquire); }
  void note_kernel_send() { kernel_sends_.fetch_add(1, std::memory_order_release); }

  // Keeps an eye on an endpoint's companion, and counts what the kernel gives it where BPF can.
  status watch(endpoint& of);
  void unwatch(endpoint& of);
  // By BPF, where that is there and the companion has room for a filter of ours.
  void count_arrivals(endpoint& of);
  void stop_counting(endpoint& of);
  // Learns which companions have something. A system call.
  void look_at_kernel();
  // For a socket that isn't bound yet, so that the kernel keeps nothing for it that the link brings as well. EBUSY: the
  // program has a filter of its own. ENOSPC: there are more addresses than we know.
  status prepare_to_divert(endpoint& of);
  // Datagrams for this endpoint come in by the link from now on.
  void divert(endpoint& of);
  void undivert(endpoint& of);
  // Wakes all threads that wait for it, so that they look again.
  void wake(endpoint& of);
  // Has the companion receive a datagram that the fast path took. False: that can't be done.
  bool give_to_kernel(packet& datagram);

  // For the watchman; not within a turn. Whether there are sockets that nobody has looked at.
  bool has_unseen_sockets();
  // Those of them that have something are the kernel's from now on.
  void leave_unseen_to_kernel();
  int link_descriptor() const { return link_->wait_fd(); }

  // ---- Forks

  // Another process works with this stack, which may not be touched here any more, and there is none of our own.
  bool is_guest() const { return guest_; }
  // A child that hasn't received yet: it doesn't matter whose the stack is before it does.
  bool is_undecided() const { return !owner_.is_ours() && !guest_; }
  fastudp::family& family() { return family_; }
  // Whether a thread waits for this endpoint, or looks after all for a program's own loop.
  bool is_awaited(const endpoint& of) const { return helper_runs_ || room_.is_awaited(&of); }
  // Other processes look again at the sockets that they share with this one.
  void tell_family() {
    family_.tell();
    watchman_.ring();
  }
  // The link's datagrams, all that are there, come to where they belong.
  void take_all_in();
  // Another process that works with an end of the link; 0: none does.
  pid_t relative_at(unsigned end) const;
  // For the watchman; not within a turn. Processes that have ended receive nothing any more; and what others tell.
  void look_after_family();
  // Makes what children need of the link, as long as there are the rights to. Not within a turn.
  status prepare_fork(reason& why);
  // What is received here is others' from now on; if the program goes on after all, it begins anew. Not within a turn.
  void prepare_exec();
  // From now on this process and its children open nothing. Not within a turn.
  void prepare_sandbox();
  // Closes it, where its parts are another process's: those stay where they are. False: they are ours.
  bool close_elsewhere(endpoint& of);
  void before_fork();
  void after_fork_in_parent();
  void after_fork_in_child();
  engine* next_engine = nullptr;

  // A socket with that address is the kernel's from now on: so are those that share its port and would get what is its.
  void leave_port_to_kernel(const endpoint& of, const endpoint_address& local);

  // Whether a kernel socket is the companion of one of ours on the fast path, among which the port table chooses.
  bool has(std::uint64_t cookie) const override;

  // Sockets open; close needs none.
  std::uint64_t open_sockets = 0;

 private:
  engine(const engine_settings& settings, stats_file&& stats, const buffer_limits& limits)
      : clock_(settings.hand_clock),
        spin_(settings.spin),
        room_(lock_, clock_),
        stats_(std::move(stats)),
        sockets_(stats_.mine(), *this, limits),
        strict_(settings.strict) {}
  status open_parts(uri& where, const engine_settings& settings, reason& why);
  status open_host_view(reason& why);
  status open_helpers(reason& why);
  void enter(turn& t) {
    if (!owner_.is_ours()) [[unlikely]]
      return enter_as_another(t);
    lock_.acquire();
    if (!owner_.is_ours()) [[unlikely]]
      return leave_and_enter_as_another(t);
    owner_.use();
    if (family_.has_news()) [[unlikely]]
      follow_news();
  }
  // The parts that deal with forks are in engine_forks.cpp.
  void enter_as_another(turn& t);
  void leave_and_enter_as_another(turn& t);
  void acquire_as_another();
  bool acquire_if_ours();
  void become_somebody(turn& t);
  void become_heir_or_relative();
  void become_guest();
  void become_owner();
  bool become_relative();
  result<unsigned> take_end();
  bool start_anew(unsigned end);
  bool watch_anew();
  void clear_away_the_dead();
  bool begin_to_clear_away(unsigned end);
  void follow_news();
  void let_go_of(bool (*is_chosen)(endpoint&));
  static std::uint64_t random_seed();
  void link_in(endpoint& of);
  void link_out(endpoint& of);
  // Both report to look_at_kernel.
  status watch_companion(endpoint& of);
  status watch_host();
  void load_steering();
  void write_explanation(const engine_settings& settings);
  void look_for_losses(turn& t);
  bool has_fast_sockets() const;
  void look_around(turn& t);
  void look_at_link(turn& t);
  void look_at_programs();
  void programs_are(bool attached);
  void count_trouble();
  void change_claims(endpoint& of, bool add);
  void change_all_claims(bool add);
  bool is_claimed_by_another(const endpoint& of, const claim& flow) const;
  void addresses_will_change() override;
  void addresses_changed() override;
  void interface_is(bool is_usable, bool is_gone) override;
  void kernel_has_error(udp_socket& socket) override;
  bool kernel_is_ahead(udp_socket& socket) override;
  int take_kernel_error(udp_socket& socket, time_point now) override;
  int descriptor_for(const wait_item& item) const;
  int look_at(wait_item& item, const pollfd& watched, time_point now);
  std::size_t look_at(std::span<wait_item> items, std::span<pollfd> watched, time_point now);
  status configure(uri& where, reason& why);
  status add_address(std::string_view text, reason& why);
  status add_gateway(std::string_view text, reason& why);
  void became_ready(udp_socket& socket) override;
  std::int64_t wall_time() override { return clock_.wall(); }
  // After every sleep: the time has passed, and the host may have news.
  void woke_up(turn& t, const waiter& w);
  // EAGAIN when the limit has passed, or would never: a hand-held clock stands still.
  status out_of_time(turn& t, time_point limit);
  template <typename Condition>
  bool spin(turn& t, time_point limit, const Condition& is_ready);
  static void* run_helper(void* self);

  lock lock_;
  fastudp::family family_;
  ownership owner_;
  unsigned end_ = 0;          // of the link, that we work with
  unsigned stacks_made_ = 0;  // anew, by this process
  lock becoming_;  // held while it changes whose the stack is, by threads of this process; taken before the stack's own
  bool is_locked_for_fork_ = false;
  std::atomic<bool> guest_ = false, is_confined_ = false;
  endpoint* closed_ = nullptr;  // by a child that was undecided
  stack_settings settings_;
  clock clock_;
  duration spin_;
  waiting_room room_;
  stats_file stats_;
  descriptor watched_;  // an epoll set: the companions, and the mirror of the host
  std::unique_ptr<steering> steering_;
  bool steering_was_tried_ = false;
  reason without_bpf_;
  char explanation_[512] = {};
  link_ptr link_;
  udp_layer sockets_;
  std::unique_ptr<fastudp::stack> stack_;
  std::unique_ptr<host_view> view_;
  time_point view_is_from_ = 0;
  link_health health_;
  device_losses device_losses_;
  time_point losses_are_from_ = 0;
  bool must_look_at_link_ = false;  // nothing comes in any other way, once its program is off
  endpoint* first_ = nullptr;       // of all with a companion
  bool strict_, kernel_only_ = false, has_kernel_groups_ = false;
  std::atomic<std::uint64_t> kernel_sends_{0};
  std::uint64_t acquisitions_ = 0;
  bool program_waits_ = false;
  unsigned sends_since_work_ = 0;
  bool helper_runs_ = false, had_helper_ = false, helper_must_stop_ = false;
  pthread_t helper_{};
  std::optional<reinjector> reinjector_;
  watchman watchman_{*this};  // the last, so that its thread is the first to go
};

template <typename Condition>
status engine::wait_until(turn& t, const wish& what, time_point limit, const Condition& is_ready) {
  waiter* w = room_.enter(what);
  if (w == nullptr) return error{ENOMEM};
  status outcome;
  for (bool interrupted = t.is_interrupted() && out_of_time(t, limit);;) {
    work(t);
    if (is_ready()) break;
    if (outcome = interrupted ? status(error{EINTR}) : out_of_time(t, limit); !outcome) break;
    if (spin_ > 0 && spin(t, limit, is_ready)) break;
    interrupted = !room_.sleep(*w, *link_, limit, deadline());
    woke_up(t, *w);
  }
  room_.leave(*w);
  return outcome;
}

template <typename Condition>
bool engine::spin(turn& t, time_point limit, const Condition& is_ready) {
  t.look_at_clock();
  const time_point until = std::min(limit, t.now() + spin_);
  while (t.now() < until) {
    lock_.give_up();  // others work meanwhile
    lock_.acquire();
    t.look_at_clock();
    work(t);
    if (is_ready()) return true;
  }
  return false;
}

}  // namespace fastudp
