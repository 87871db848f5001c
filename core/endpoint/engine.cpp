#include "endpoint/engine.h"

#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include <fcntl.h>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "endpoint/choose.h"
#include "endpoint/endpoint.h"
#include "endpoint/fork.h"
#include "endpoint/machine_secret.h"
#include "endpoint/thread.h"
#include "link/registry.h"

namespace fastudp {
namespace {

// A program that only sends is looked after this often, in send calls.
constexpr unsigned sends_between_work = 32;
constexpr std::uint32_t most_mirrored_routes = 1 << 20;  // costs address space until they are there
// A program that is killed has counted all but the link's losses of this time.
constexpr duration looks_for_losses_apart = second;
// A program that never sleeps hears of changes to routes and neighbours this late.
constexpr duration view_stays_good = 5 * millisecond;

// A number that the administrator has set for kernel sockets holds for ours.
std::uint32_t sysctl(const char* path, std::uint32_t fallback) {
  char text[32];
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fallback;
  const ssize_t size = ::read(fd, text, sizeof text);
  ::close(fd);
  std::uint32_t value = fallback;
  if (size > 0) std::from_chars(text, text + size, value);
  return value;
}

buffer_limits limits_of_the_host() {
  return {.receive_default = sysctl("/proc/sys/net/core/rmem_default", 212'992),
          .receive_max = sysctl("/proc/sys/net/core/rmem_max", 212'992),
          .send_default = sysctl("/proc/sys/net/core/wmem_default", 212'992),
          .send_max = sysctl("/proc/sys/net/core/wmem_max", 212'992)};
}

// Takes the next of a list with commas off; false: there is none.
bool next_in_list(std::string_view& rest, std::string_view& out) {
  if (rest.empty()) return false;
  const auto comma = std::min(rest.find(','), rest.size());
  out = rest.substr(0, comma);
  rest.remove_prefix(std::min(comma + 1, rest.size()));
  return true;
}

int width(std::string_view text) { return static_cast<int>(std::min<std::size_t>(text.size(), 64)); }

}  // namespace

std::uint64_t engine::random_seed() {
  std::uint64_t seed = 0;
  return ::getrandom(&seed, sizeof seed, 0) == sizeof seed && seed != 0 ? seed : 1;
}

result<std::unique_ptr<engine>> engine::open(std::string_view text, engine_settings settings, reason& why) {
  auto where = uri::parse(text, why);
  if (!where) return where.failure();
  if (where->scheme() == "auto") return open_best(text, *where, settings, why);
  const auto spin =
      where->take_number("spin", 0, 1'000'000, static_cast<std::uint64_t>(settings.spin / microsecond), why);
  if (!spin) return spin.failure();
  settings.spin = static_cast<duration>(*spin) * microsecond;
  auto stats = stats_file::open(settings.stats_file, why);
  if (!stats) return stats.failure();
  std::unique_ptr<engine> out(new (std::nothrow) engine(settings, std::move(*stats), limits_of_the_host()));
  if (!out) return why.fail(ENOMEM, "no memory for a stack");
  if (!out->lock_.share() || !out->family_.open()) return why.fail(ENOMEM, "no memory for a stack");
  out->owner_.begin(out->family_.end(0));
  if (auto opened = out->open_parts(*where, settings, why); !opened) return opened.failure();
  if (auto kept = survive_forks(*out); !kept) return why.fail(kept.code(), "no memory for fork handlers");
  out->write_explanation(settings);
  out->stats_.explain(out->explanation());
  return out;
}

// The link on a line of its own, then what is to be said of it: once, though it may stand in the way of two links.
void engine::write_explanation(const engine_settings& settings) {
  const char* how = *link_->info().way != '\0' ? link_->info().way
                    : !link_->info().shared    ? ""
                    : is_steered()             ? "what is claimed is taken at tc, before the kernel sees it"
                                   : "filters keep what is ours from the kernel's sockets, which costs it the work";
  const bool is_told = std::string_view(without_bpf_.c_str()) == settings.why_not_faster;
  const char* slower = link_->info().shared && !is_steered() && !is_told ? without_bpf_.c_str() : "";
  const auto end_of = [](const char* line, const char* next) { return *line != '\0' && *next != '\0' ? "\n" : ""; };
  const char* faster = settings.why_not_faster;
  std::snprintf(explanation_, sizeof explanation_, "%s\n%s%s%s%s%s", link_name(), how, end_of(how, faster), faster,
                end_of(how, slower), slower);
}

status engine::open_parts(uri& where, const engine_settings& settings, reason& why) {
  const auto announce = where.take("announce");
  if (announce && *announce != "on" && *announce != "off") {
    return why.fail(EINVAL, "announce=%.*s: write on or off", width(*announce), announce->data());
  }
  if (auto opened = room_.open(); !opened) return why.fail(opened.code(), "eventfd: %s", std::strerror(opened.code()));
  watched_ = descriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (!watched_) return why.fail(errno, "epoll: %m");
  room_.also_watch(watched_.number());
  if (where.scheme() == "xdp" || (where.scheme() == "packet" && !where.has("address"))) load_steering();
  auto device = open_link(where, {.count = count(), .claims = steering_.get(), .why_not_steered = &without_bpf_}, why);
  if (!device) return device.failure();
  link_ = std::move(*device);
  stack_settings& wanted = settings_;
  wanted = {.seed = settings.seed != 0 ? settings.seed : random_seed()};
  kernel_only_ = where.scheme() == "host";
  if (link_->info().shared || kernel_only_) wanted.with_host = sharing::interface;
  if (link_->info().shared) wanted.routes = most_mirrored_routes;
  if (where.scheme() == "loop") wanted.with_host = sharing::loopback;
  if (settings.neighbours != 0) wanted.neighbours = settings.neighbours;
  constexpr std::uint32_t by_default = 6168, unreachable = 1 << 3;
  wanted.limits_errors_v4 = (sysctl("/proc/sys/net/ipv4/icmp_ratemask", by_default) & unreachable) != 0;
  wanted.limits_errors_v6 = sysctl("/proc/sys/net/ipv6/icmp/ratelimit", 1000) != 0;
  wanted.announce = !announce || *announce == "on";
  if (where.has("address")) wanted.stable_secret = machine_secret();
  auto made = stack::create(*link_, count(), sockets_, wanted);
  if (!made) return why.fail(made.code(), "no memory for the stack's tables: %s", std::strerror(made.code()));
  stack_ = std::move(*made);
  if (auto opened = sockets_.open(*stack_); !opened) return why.fail(opened.code(), "no memory for the port table");
  if (auto configured = configure(where, why); !configured) return configured;
  device_losses_.open(link_->info());
  must_look_at_link_ = where.scheme() == "xdp" && wanted.with_host == sharing::none;
  if (wanted.with_host == sharing::none || kernel_only_) return {};
  const auto opened = open_host_view(why);
  return opened && link_->info().shared ? open_helpers(why) : opened;
}

status engine::open_helpers(reason& why) {
  if (auto opened = watchman_.open(); !opened)
    return why.fail(opened.code(), "eventfd: %s", std::strerror(opened.code()));
  if (auto made = reinjector::open()) reinjector_ = std::move(*made);
  return {};
}

status engine::open_host_view(reason& why) {
  const int interface = link_->info().interface;
  auto view = host_view::open(interface != 0 ? interface : loopback_interface, *stack_, *this, why);
  if (!view) return view.failure();
  view_ = std::move(*view);
  const auto watched = watch_host();
  return watched ? watched : why.fail(watched.code(), "epoll: %s", std::strerror(watched.code()));
}

// The keys that give a stack its addresses, each a list with commas.
status engine::configure(uri& where, reason& why) {
  const auto addresses = where.take("address");
  const auto gateways = where.take("gateway");
  if (auto known = where.expect_all_taken(why); !known) return known;
  if (!addresses && (where.scheme() == "tap" || where.scheme() == "dpdk")) {
    return why.fail(EINVAL, "%.*s: needs an address of its own: add ?address=A.B.C.D/LEN", width(where.scheme()),
                    where.scheme().data());
  }
  for (std::string_view rest = addresses.value_or(""), each; next_in_list(rest, each);) {
    if (auto added = add_address(each, why); !added) return added;
  }
  for (std::string_view rest = gateways.value_or(""), each; next_in_list(rest, each);) {
    if (auto added = add_gateway(each, why); !added) return added;
  }
  return {};
}

status engine::add_address(std::string_view text, reason& why) {
  if (text == "auto") {
    if (stack_->autoconfigure(clock_.precise())) return {};
    return why.fail(EINVAL, "address=auto: on this link the addresses are the host's");
  }
  const auto parsed = text.find('/') != text.npos ? parse_ip_prefix(text) : std::nullopt;
  if (parsed && stack_->add_address(*parsed, clock_.precise())) return {};
  return why.fail(
      EINVAL, "address=%.*s: write a host address and its prefix length, such as 10.0.0.2/24 or fd00::2/64, or auto",
      width(text), text.data());
}

status engine::add_gateway(std::string_view text, reason& why) {
  const auto parsed = parse_ip(text);
  if (!parsed) {
    return why.fail(EINVAL, "gateway=%.*s: write an IP address, such as 10.0.0.1 or fd00::1", width(text), text.data());
  }
  if (stack_->add_route({.address = ip_address::any(parsed->family())}, &*parsed)) return {};
  return why.fail(EINVAL, "gateway=%.*s: not within the prefix of address=", width(text), text.data());
}

engine::~engine() {
  forget(*this);
  if (stack_) count_last_losses();  // the helper may be at work
  if (owner_.is_ours()) family_.end(end_).holder.store(0, std::memory_order_release);
  if (!helper_runs_) return;
  lock_.acquire();
  helper_must_stop_ = true;
  room_.wake_one(nullptr);
  lock_.give_up();
  pthread_join(helper_, nullptr);
}

void engine::look_at_host(turn& t) {
  view_is_from_ = t.now();
  if (view_ != nullptr && !guest_) view_->update();
}

std::size_t engine::work(turn& t, std::size_t budget) {
  if (guest_) return 0;
  sends_since_work_ = 0;
  if (t.now() - view_is_from_ >= view_stays_good) look_at_host(t);
  if (health_.is_due(t.now())) look_at_link(t);
  std::size_t frames = stack_->poll(t.now(), budget);
  while (frames == 0 && program_waits_ && !link_->arm()) frames = stack_->poll(t.now(), budget);
  if (t.now() - losses_are_from_ >= looks_for_losses_apart) look_for_losses(t);
  return frames;
}

// Not those of the device: while somebody changes the network's configuration, the kernel doesn't answer.
void engine::look_for_losses(turn& t) {
  losses_are_from_ = t.now();
  link_->count_losses();
}

void engine::count_losses() {
  if (guest_) return;
  link_->count_losses();
  device_losses_.count(count());
  for (endpoint* each = first_; each != nullptr; each = each->next) each->count_kernels_losses();
}

bool engine::has_fast_sockets() const {
  for (const endpoint* each = first_; each != nullptr; each = each->next) {
    if (each->is_fast()) return true;
  }
  return false;
}

// A signal handler may end a process in the midst of a call, and another thread be killed with the lock: then what
// isn't known yet isn't waited for. A child that hasn't used the stack may still take it over. A sandbox for which all
// sockets were left to the kernel may forbid what asking takes.
void engine::count_last_losses() {
  constexpr int most_tries = 1000;
  if (is_confined_ && !has_fast_sockets()) return;
  for (int tries = 0; tries < most_tries && owner_.is_ours(); ++tries) {
    if (!lock_.try_acquire()) {
      ::sched_yield();
      continue;
    }
    if (owner_.is_ours()) count_losses();
    return lock_.give_up();
  }
}

void engine::finish_sending(turn& t) {
  if (guest_) return;
  stack_->flush(t.now());
  if (stack_->neighbours().parked() != 0 || ++sends_since_work_ >= sends_between_work) work(t);
}

result<bool> engine::wait_for_work(turn& t, time_point limit) {
  if (clock_.is_hand_held()) return !link_->arm() || deadline() <= t.now();
  if (t.is_interrupted() && out_of_time(t, limit)) return error{EINTR};
  waiter* w = room_.enter({});
  if (w == nullptr) return error{ENOMEM};
  const auto slept = room_.sleep(*w, *link_, limit, deadline());
  woke_up(t, *w);
  room_.leave(*w);
  if (!slept) return slept.failure();
  return t.now() < limit || deadline() <= t.now();
}

void engine::woke_up(turn& t, const waiter& w) {
  t.look_at_clock();
  if (w.news == host_news::none) view_is_from_ = t.now();
  if (w.news == host_news::unknown || w.news == host_news::some) look_at_kernel();
}

status engine::out_of_time(turn& t, time_point limit) {
  if (clock_.is_hand_held()) return error{EAGAIN};
  if (limit != never) t.look_at_clock();
  return t.now() < limit ? status{} : error{EAGAIN};
}

time_point engine::limit_after(duration timeout) {
  if (timeout < 0) return never;
  const time_point now = clock_.precise();
  return timeout >= never - now ? never : now + timeout;
}

int engine::announce_work() {
  // From now on a poll that finds nothing arms the link. To do so here as well would take frames at hand for the
  // program to wait for in vain.
  if (!std::exchange(program_waits_, true)) (void)link_->arm();
  return link_->wait_fd();
}

void engine::became_ready(udp_socket& socket) {
  if (socket.tag == nullptr) return;
  room_.wake_one(socket.tag);
  static_cast<endpoint*>(socket.tag)->became_ready();
}

bool engine::owns(const packet& p) const { return p.home == &link_->frames() || stack_->store().owns(*p.home); }

void* engine::run_helper(void* self) {
  engine& h = *static_cast<engine*>(self);
  turn t(h);
  waiter* w = h.room_.enter({});
  if (w == nullptr) return nullptr;
  while (!h.helper_must_stop_) {
    h.work(t);
    (void)h.room_.sleep(*w, *h.link_, never, h.deadline());
    h.woke_up(t, *w);
  }
  h.room_.leave(*w);
  return nullptr;
}

status engine::start_helper() {
  if (helper_runs_ || clock_.is_hand_held()) return {};
  const auto started = start_thread(helper_, &run_helper, this);
  helper_runs_ = bool(started);
  had_helper_ |= helper_runs_;
  return started;
}

}  // namespace fastudp
