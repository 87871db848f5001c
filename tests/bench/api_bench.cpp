// One direction over the in-memory link, sender and receiver in one thread: what a datagram costs through the C API,
// and what a frame of the same size costs in a raw loop on the same link, which knows no headers and no checksums.

#include <benchmark/benchmark.h>
#include <fastudp.h>

#include <array>
#include <string>
#include <vector>

namespace {

constexpr std::size_t largest_burst = 64, headers = 42;

std::string fresh_hub() {
  static int count = 0;
  return "mem:bench" + std::to_string(++count);
}

fastudp_addr address(const char* text) {
  fastudp_addr out{};
  fastudp_addr_parse(text, &out);
  return out;
}

class host {
 public:
  host(const std::string& hub, const char* own, std::uint16_t port) {
    fastudp_addr any = address(own);
    const bool is_v4 = any.family == FASTUDP_IPV4;
    const auto uri = hub + "?announce=off&address=" + own + (is_v4 ? "/24" : "/64");
    if (fastudp_stack_open(&stack_, uri.c_str(), nullptr, nullptr, 0) != 0) return;
    any = address(is_v4 ? "0.0.0.0" : "::");
    any.port = port;
    fastudp_socket_open(stack_, any.family, &socket_);
    fastudp_socket_bind(socket_, &any);
  }
  ~host() {
    fastudp_socket_close(socket_);
    fastudp_stack_close(stack_);
  }
  host(const host&) = delete;
  host& operator=(const host&) = delete;

  void learn(const char* neighbour, const host& other) {
    fastudp_stack_info info{};
    info.size = sizeof info;
    fastudp_stack_get_info(other.stack_, &info);
    const auto key = address(neighbour);
    fastudp_stack_add_neighbour(stack_, &key, info.mac);
  }
  fastudp_socket* socket() const { return socket_; }

 private:
  fastudp_stack* stack_ = nullptr;
  fastudp_socket* socket_ = nullptr;
};

struct hosts {
  std::string hub = fresh_hub();
  host sender, receiver;
  fastudp_addr to;

  explicit hosts(bool v6 = false)
      : sender{hub, v6 ? "fd00::1" : "10.0.0.1", 5000},
        receiver{hub, v6 ? "fd00::2" : "10.0.0.2", 7},
        to{address(v6 ? "[fd00::2]:7" : "10.0.0.2:7")} {
    sender.learn(v6 ? "fd00::2" : "10.0.0.2", receiver);
  }
};

class burst {
 public:
  burst(std::size_t count, std::size_t size) : count_(count), size_(static_cast<std::uint32_t>(size)) {}

  fastudp_msg* prepared(const fastudp_addr& peer) {
    for (std::size_t i = 0; i < count_; ++i) {
      messages_[i].data = data_[i].data();
      messages_[i].size = size_;
      messages_[i].peer = peer;
    }
    return messages_.data();
  }
  fastudp_msg* messages() { return messages_.data(); }

 private:
  std::size_t count_;
  std::uint32_t size_;
  std::array<fastudp_msg, largest_burst> messages_{};
  std::array<std::array<char, 1472>, largest_burst> data_{};
};

void finish(benchmark::State& state, std::size_t count, std::size_t size) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(count));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(count * size));
}

void copy(benchmark::State& state, bool v6) {
  const auto size = static_cast<std::size_t>(state.range(0)), count = static_cast<std::size_t>(state.range(1));
  hosts pair(v6);
  burst messages(count, size);
  for (auto _ : state) {
    const int sent = fastudp_send(pair.sender.socket(), messages.prepared(pair.to), count, FASTUDP_DONTWAIT);
    const int received = fastudp_recv(pair.receiver.socket(), messages.prepared({}), count, FASTUDP_DONTWAIT);
    if (sent != static_cast<int>(count) || received != sent) state.SkipWithError("datagrams were lost");
  }
  finish(state, count, size);
}

void copied(benchmark::State& state) { copy(state, false); }
void copied_v6(benchmark::State& state) { copy(state, true); }

void borrowed(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0)), count = static_cast<std::size_t>(state.range(1));
  hosts pair;
  burst messages(count, size);
  for (auto _ : state) {
    fastudp_alloc(pair.sender.socket(), messages.prepared(pair.to), count);
    const int sent = fastudp_submit(pair.sender.socket(), messages.messages(), count, FASTUDP_DONTWAIT);
    const int received = fastudp_borrow(pair.receiver.socket(), messages.messages(), count, FASTUDP_DONTWAIT);
    const int released = fastudp_release(messages.messages(), count);
    if (sent != static_cast<int>(count) || received != sent || released != sent) {
      state.SkipWithError("datagrams were lost");
    }
  }
  finish(state, count, size);
}

void raw(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0)) + headers;
  const auto count = static_cast<std::size_t>(state.range(1));
  const auto hub = fresh_hub();
  fastudp_link *sender = nullptr, *receiver = nullptr;
  fastudp_link_open(&sender, hub.c_str(), nullptr, 0);
  fastudp_link_open(&receiver, hub.c_str(), nullptr, 0);
  std::vector<std::uint8_t> frame(size, 0xff), seen(2000);
  for (auto _ : state) {
    std::int64_t lost = 0;
    for (std::size_t i = 0; i < count; ++i) lost += fastudp_link_send(sender, frame.data(), size) < 0;
    for (std::size_t i = 0; i < count; ++i) lost += fastudp_link_recv(receiver, seen.data(), seen.size()) < 0;
    if (lost != 0) state.SkipWithError("frames were lost");
  }
  finish(state, count, size - headers);
  fastudp_link_close(sender);
  fastudp_link_close(receiver);
}

const std::vector<std::int64_t> sizes{64, 512, 1400}, bursts{1, 64};

BENCHMARK(raw)->ArgsProduct({sizes, bursts})->ArgNames({"bytes", "burst"});
BENCHMARK(copied)->ArgsProduct({sizes, bursts})->ArgNames({"bytes", "burst"});
BENCHMARK(copied_v6)->ArgsProduct({sizes, bursts})->ArgNames({"bytes", "burst"});
BENCHMARK(borrowed)->ArgsProduct({sizes, bursts})->ArgNames({"bytes", "burst"});

}  // namespace
