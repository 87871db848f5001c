// Plays sequences of random socket calls and writes what came of each: a hash, or all of it. Run on the kernel's
// sockets and under the interposer, it must write the same.

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>

#include "c_program.h"
#include "other_end.h"
#include "places.h"
#include "stage.h"

using namespace differential;

namespace {

struct request {
  choices wanted;
  std::uint64_t first = 0, count = 0;
  const char* census_file = nullptr;
  const char* other_end = nullptr;
  bool shows = false, prints_c = false;
  bool has_threads = false;  // each call is another thread's
  std::set<std::size_t> left_out;
};

volatile std::uint64_t seed_now = 0;
volatile std::size_t step_now = 0;

// Says where it was. Whatever hangs, or crashes, is a difference too.
void give_up(int signal) {
  char text[100];
  const int size = std::snprintf(text, sizeof text, "signal %d in seed %llu at call %zu\n", signal,
                                 static_cast<unsigned long long>(seed_now), static_cast<std::size_t>(step_now));
  std::fflush(stdout);
  if (write(STDERR_FILENO, text, static_cast<std::size_t>(size)) < 0) _exit(4);
  _exit(3);
}

void watch_over() {
  for (const int each : {SIGALRM, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) signal(each, give_up);
  signal(SIGPIPE, SIG_IGN);
}

// Linux stamps what arrives as long as anybody wants that, beginning some time after he said so: better somebody always
// does.
void want_stamps() {
  const int on = 1, socket = ::socket(AF_INET, SOCK_DGRAM, 0);
  if (::setsockopt(socket, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on) != 0) std::perror("SO_TIMESTAMP");
}

// What is sent to a host whose address isn't resolved yet comes back later than the rest: so it is asked before.
void greet(const char* host, const char* own, other_end& there) {
  constexpr int port = 9, patience_in_milliseconds = 1000, rounds = 3;
  const place from = at(own, port), to = at(host, port);
  const int socket = ::socket(to.raw.ss_family, SOCK_DGRAM, 0);
  (void)::bind(socket, reinterpret_cast<const sockaddr*>(&from.raw), from.length);
  (void)::sendto(socket, nullptr, 0, 0, reinterpret_cast<const sockaddr*>(&to.raw), to.length);
  pollfd answer{socket, POLLIN, 0};
  for (int i = 0; i < rounds; ++i) there.reflect(), ::poll(&answer, 1, 0);
  if (::poll(&answer, 1, patience_in_milliseconds) != 1) std::fprintf(stderr, "no answer from %s\n", host);
  ::close(socket);
}

std::vector<step> sequence(const request& r, std::uint64_t seed) {
  auto made = generate(seed, r.wanted);
  std::vector<step> kept;
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (!r.left_out.contains(i)) kept.push_back(std::move(made[i]));
  }
  return kept;
}

void play(const request& r, std::uint64_t seed, transcript& out, census& counts, other_end& there) {
  stage on(out, counts, there, r.wanted.beyond);
  out.clear();
  seed_now = seed;
  step_now = 0;
  for (const step& each : sequence(r, seed)) {
    if (r.shows) out << static_cast<std::int64_t>(step_now) << " " << as_c(each);
    r.has_threads ? std::thread([&] { on.play(each); }).join() : on.play(each);
    out << "\n";
    step_now = step_now + 1;
  }
  on.clear();
}

int play_all(const request& r) {
  constexpr unsigned patience_in_seconds = 20, often = 64;
  transcript out;
  census counts;
  other_end there;
  if (r.other_end != nullptr && !there.open(r.other_end)) return 1;
  if (r.wanted.beyond) greet(beyond_v4, "0.0.0.0", there), greet(beyond_v6, "::", there);
  for (std::uint64_t i = 0; i < r.count; ++i) {
    if (i % often == 0) alarm(patience_in_seconds);
    play(r, r.first + i, out, counts, there);
    if (r.shows) {
      std::fputs(out.text().c_str(), stdout);
    } else {
      std::printf("%llu %016llx\n", static_cast<unsigned long long>(r.first + i),
                  static_cast<unsigned long long>(out.hash()));
    }
  }
  if (r.census_file == nullptr) return 0;
  std::FILE* to = std::fopen(r.census_file, "w");
  if (to == nullptr) return 1;
  counts.sequences(r.count);
  counts.write(to);
  return std::fclose(to) == 0 ? 0 : 1;
}

void leave_out(request& r, const char* list) {
  for (const char* at = list; *at != '\0';) {
    char* end = nullptr;
    r.left_out.insert(std::strtoull(at, &end, 10));
    at = *end == ',' ? end + 1 : end + std::strlen(end);
  }
}

bool read_switch(request& r, int letter) {
  bool* const chosen = letter == 's'   ? &r.shows
                       : letter == 'p' ? &r.prints_c
                       : letter == 't' ? &r.has_threads
                       : letter == 'b' ? &r.wanted.beyond
                       : letter == 'a' ? &r.wanted.alone
                                       : nullptr;
  if (chosen == nullptr) return false;
  *chosen = true;
  return true;
}

bool read_argument(request& r, int letter, const char* value) {
  switch (letter) {
    case 'f':
      r.first = std::strtoull(value, nullptr, 10);
      return true;
    case 'n':
      r.count = std::strtoull(value, nullptr, 10);
      return true;
    case 'c':
      r.wanted.calls = std::atoi(value);
      return true;
    case '6':
      r.wanted.ipv6_percent = std::atoi(value);
      return true;
    case 'C':
      r.census_file = value;
      return true;
    case 'o':
      r.other_end = value;
      return true;
    case 'l':
      leave_out(r, value);
      return true;
    default:
      return read_switch(r, letter);
  }
}

}  // namespace

int main(int argc, char** argv) {
  static const ::option names[] = {
      {"first", 1, nullptr, 'f'},     {"count", 1, nullptr, 'n'},  {"calls", 1, nullptr, 'c'},
      {"ipv6", 1, nullptr, '6'},      {"show", 0, nullptr, 's'},   {"print-c", 0, nullptr, 'p'},
      {"leave-out", 1, nullptr, 'l'}, {"census", 1, nullptr, 'C'}, {"threads", 0, nullptr, 't'},
      {"beyond", 0, nullptr, 'b'},    {"alone", 0, nullptr, 'a'},  {"other-end", 1, nullptr, 'o'},
      {nullptr, 0, nullptr, 0},
  };
  request r;
  for (int letter; (letter = getopt_long(argc, argv, "", names, nullptr)) != -1;) {
    if (!read_argument(r, letter, optarg)) return 2;
  }
  watch_over();
  want_stamps();
  if (!r.prints_c) return play_all(r);
  std::fputs(c_program(sequence(r, r.first)).c_str(), stdout);
  return 0;
}
