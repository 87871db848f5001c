// Two stacks on a network that loses, doubles, delays, overtakes and corrupts, in simulated time: what arrives is what
// was sent, at the socket that it was sent to, and nothing is left over. A seed that fails is printed;
// FASTUDP_SIM_SEED=N runs it alone. FASTUDP_SIM_DATAGRAMS=N sets how many are sent in all.

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "link/registry.h"
#include "socket/udp_layer.h"
#include "stack/stack.h"

namespace fastudp {
namespace {

constexpr std::size_t sockets_per_host = 3;
constexpr std::uint64_t datagrams_per_seed = 2'000;
constexpr std::uint16_t first_port = 5000;
constexpr std::uint32_t longest_unfragmented = 1'452;  // over either IP

std::uint64_t setting(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

// One host: its link is impaired in what it transmits.
class host final : private socket_events {
 public:
  host(unsigned number, ip_family family, const std::string& uri_text) : sockets_(count_, *this, {}) {
    reason why;
    auto where = uri::parse(uri_text, why);
    link_ = std::move(*open_link(*where, {.count = count_}, why));
    stack_ = std::move(*stack::create(*link_, count_, sockets_, {.seed = number}));
    EXPECT_TRUE(sockets_.open(*stack_));
    const bool is_v4 = family == ip_family::v4;
    address_ = is_v4 ? parse_ip("10.0.0.0").value() : parse_ip("fd00::").value();
    address_.bytes[15] = static_cast<std::uint8_t>(number);
    EXPECT_TRUE(stack_->add_address({address_, static_cast<std::uint8_t>(is_v4 ? 24 : 64)}, 0));
    for (std::size_t i = 0; i < sockets_per_host; ++i) {
      in_use_[i] = std::make_unique<udp_socket>(sockets_, family);
      EXPECT_TRUE(in_use_[i]->bind({address_, static_cast<std::uint16_t>(first_port + i)}));
    }
  }

  udp_socket& socket(std::size_t i) { return *in_use_[i]; }
  endpoint_address address_of(std::size_t i) const { return {address_, static_cast<std::uint16_t>(first_port + i)}; }
  void work(time_point now) {
    while (stack_->poll(now, burst::capacity) != 0) continue;
  }
  void flush(time_point now) { stack_->flush(now); }
  std::uint32_t neighbours() const { return stack_->neighbours().size(); }
  std::uint32_t frames_out() const { return stack_->store().in_use(); }

  void close_sockets() {
    for (auto& s : in_use_) s.reset();
  }

 private:
  void became_ready(udp_socket&) override {}

  counters count_;
  link_ptr link_;
  udp_layer sockets_;
  std::unique_ptr<stack> stack_;
  ip_address address_;
  std::array<std::unique_ptr<udp_socket>, sockets_per_host> in_use_;
};

// The first bytes of each payload; the rest follows from the number.
struct heading {
  std::uint64_t number;
  std::uint32_t size;
  std::uint32_t to;  // host and socket
};

std::string payload_of(const heading& h) {
  std::string out(h.size, '\0');
  random_source bytes(h.number);
  for (char& c : out) c = static_cast<char>(bytes.next());
  std::memcpy(out.data(), &h, std::min(sizeof h, out.size()));
  return out;
}

// Mostly what fits a frame, at times what has to be fragmented.
std::uint32_t random_size(random_source& random) {
  constexpr std::uint32_t least = sizeof(heading);
  const std::uint32_t kind = random.below(100);
  if (kind < 90) return least + random.below(longest_unfragmented - least);
  if (kind < 99) return longest_unfragmented + 1 + random.below(8'000);
  return 10'000 + random.below(65'507 - 10'000);
}

class network {
 public:
  network(std::uint64_t seed, ip_family family, bool duplicates) : random_(seed), duplicates_(duplicates) {
    for (unsigned i = 0; i < 2; ++i) {
      const std::string uri = "mem:sim?loss=10&reorder=10&corrupt=5&delay=200" +
                              std::string(duplicates ? "&duplicate=10" : "") +
                              "&seed=" + std::to_string(seed * 2 + i + 1);
      hosts_[i] = std::make_unique<host>(i + 1, family, uri);
    }
  }

  void run(std::uint64_t datagrams) {
    for (std::uint64_t i = 0; i < datagrams; ++i) {
      send();
      step(static_cast<duration>(random_.below(400)) * microsecond);
    }
    // Until every timer that a datagram may wait for has run.
    for (int i = 0; i < 70; ++i) step(second);
  }

  void expect_nothing_left() {
    for (auto& h : hosts_) {
      EXPECT_LE(h->neighbours(), 64u);
      h->close_sockets();
      EXPECT_EQ(h->frames_out(), 0u) << "frames of the store are lost";
    }
  }

  std::uint64_t arrived() const { return arrived_; }
  std::uint64_t altered() const { return altered_; }

 private:
  void send() {
    const std::size_t from = random_.below(2), to = 1 - from, port = random_.below(sockets_per_host);
    const heading h{next_number_++, random_size(random_), static_cast<std::uint32_t>(to * sockets_per_host + port)};
    const std::string payload = payload_of(h);
    const endpoint_address destination = hosts_[to]->address_of(port);
    const auto sent = hosts_[from]
                          ->socket(random_.below(sockets_per_host))
                          .send(std::as_bytes(std::span(payload)), &destination, {}, now_);
    hosts_[from]->flush(now_);
    if (sent) sent_[h.number] = h;
  }

  void step(duration by) {
    now_ += by;
    for (auto& h : hosts_) h->work(now_);
    for (std::size_t h = 0; h < hosts_.size(); ++h) {
      for (std::size_t s = 0; s < sockets_per_host; ++s) {
        while (packet* p = hosts_[h]->socket(s).pop()) {
          check(*p, static_cast<std::uint32_t>(h * sockets_per_host + s));
          release(p);
        }
      }
    }
  }

  void check(packet& p, std::uint32_t at) {
    heading h{};
    ASSERT_GE(p.length, sizeof h);
    std::memcpy(&h, p.data(), sizeof h);
    const auto found = sent_.find(h.number);
    ASSERT_NE(found, sent_.end()) << "nobody sent number " << h.number;
    EXPECT_EQ(at, found->second.to) << "at another's socket";
    const std::string expected = payload_of(found->second);
    ASSERT_EQ(p.length, expected.size());
    if (std::memcmp(p.data(), expected.data(), expected.size()) != 0) {
      // Two bits that are flipped in two fragments may cancel in a sum of 16 bits; a single one never does.
      EXPECT_GT(h.size, longest_unfragmented) << "number " << h.number << " is altered";
      ++altered_;
      return;
    }
    ++arrived_;
    EXPECT_LE(++copies_[h.number], duplicates_ ? 2 : 1) << "number " << h.number << " came too often";
  }

  random_source random_;
  bool duplicates_;
  time_point now_ = second;
  std::array<std::unique_ptr<host>, 2> hosts_;
  std::uint64_t next_number_ = 1;
  std::unordered_map<std::uint64_t, heading> sent_;
  std::unordered_map<std::uint64_t, int> copies_;
  std::uint64_t arrived_ = 0, altered_ = 0;
};

struct totals {
  std::uint64_t arrived = 0, altered = 0;
};

void run_seed(std::uint64_t seed, std::uint64_t datagrams, totals& sum) {
  SCOPED_TRACE("FASTUDP_SIM_SEED=" + std::to_string(seed));
  network n(seed, seed / 2 % 2 == 0 ? ip_family::v4 : ip_family::v6, seed % 2 == 0);
  n.run(datagrams);
  n.expect_nothing_left();
  sum.arrived += n.arrived();
  sum.altered += n.altered();
}

TEST(two_stacks, what_arrives_is_what_was_sent) {
  totals sum;
  if (const std::uint64_t one = setting("FASTUDP_SIM_SEED", 0); one != 0) {
    run_seed(one, datagrams_per_seed, sum);
    return;
  }
  const std::uint64_t total = setting("FASTUDP_SIM_DATAGRAMS", 1'000'000);
  for (std::uint64_t seed = 1; seed <= total / datagrams_per_seed && !HasFailure(); ++seed) {
    run_seed(seed, datagrams_per_seed, sum);
  }
  // A tenth of the frames is lost, a twentieth corrupted, and of long datagrams few get through; a network on which the
  // first ARP exchange fails carries nothing for a second, which is longer than most of it lasts.
  EXPECT_GT(sum.arrived, total / 2);
  EXPECT_LT(sum.altered, total / 1'000);
  std::printf(
      "%llu of %llu datagrams arrived, %llu of several fragments with an alteration that their sum can't show\n",
      static_cast<unsigned long long>(sum.arrived), static_cast<unsigned long long>(total),
      static_cast<unsigned long long>(sum.altered));
}

}  // namespace
}  // namespace fastudp
