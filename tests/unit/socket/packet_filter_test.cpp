// Classic BPF: the kernel and libpcap are asked what they make of the same programs.

#include "socket/packet_filter.h"

#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <pcap/bpf.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "base/random.h"

namespace fastudp::test {
namespace {

using program = std::vector<sock_filter>;

std::uint32_t run(const program& steps, std::span<const std::byte> data, const filter_input& more = {}) {
  filter_input in = more;
  in.data = data;
  return run_filter(steps, in);
}

class kernel {
 public:
  kernel() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends_), 0); }
  ~kernel() { ::close(ends_[0]), ::close(ends_[1]); }
  kernel(const kernel&) = delete;
  kernel& operator=(const kernel&) = delete;

  bool takes(const program& steps) {
    const sock_fprog given{static_cast<unsigned short>(steps.size()), const_cast<sock_filter*>(steps.data())};
    return ::setsockopt(ends_[1], SOL_SOCKET, SO_ATTACH_FILTER, &given, sizeof given) == 0;
  }
  // How much of it is kept, which is all that can be seen.
  std::size_t keeps(std::span<const std::byte> data) {
    EXPECT_EQ(::send(ends_[0], data.data(), data.size(), 0), static_cast<ssize_t>(data.size()));
    std::byte room[2048];
    const ssize_t got = ::recv(ends_[1], room, sizeof room, MSG_DONTWAIT);
    return got < 0 ? 0 : static_cast<std::size_t>(got);
  }

 private:
  int ends_[2] = {-1, -1};
};

// Mostly sensible: what is no program at all is refused too soon to be of interest.
class author {
 public:
  // Places by a register wrap around on Linux, and nowhere else.
  explicit author(std::uint64_t seed, bool wraps = false) : random_(seed), wraps_(wraps) {}

  program write() {
    program out;
    const std::uint32_t length = 2 + random_.below(20);
    for (std::uint32_t at = 0; at + 1 < length; ++at) out.push_back(step(length - at - 2));
    out.push_back(BPF_STMT(static_cast<unsigned short>(BPF_RET | (random_.below(2) != 0 ? BPF_A : BPF_K)), number()));
    return out;
  }
  std::vector<std::byte> data() {
    std::vector<std::byte> out(1 + random_.below(80));
    for (std::byte& each : out) each = static_cast<std::byte>(random_.next());
    return out;
  }

 private:
  template <typename... Values>
  unsigned short any(Values... values) {
    const int all[] = {values...};
    return static_cast<unsigned short>(all[random_.below(sizeof...(values))]);
  }
  std::uint32_t number() {
    return random_.below(3) != 0 ? random_.below(90) : static_cast<std::uint32_t>(random_.next());
  }
  std::uint8_t jump(std::uint32_t room) { return static_cast<std::uint8_t>(random_.below(room + 1)); }

  sock_filter step(std::uint32_t room) {
    switch (random_.below(8)) {
      case 0:
        return {
            static_cast<unsigned short>(BPF_LD | any(BPF_W, BPF_H, BPF_B) | any(BPF_ABS, wraps_ ? BPF_IND : BPF_ABS)),
            0, 0, place()};
      case 1:
        return {static_cast<unsigned short>(BPF_LD | any(BPF_IMM, BPF_LEN)), 0, 0, number()};
      case 2:
        return {static_cast<unsigned short>(BPF_LDX | any(BPF_IMM, BPF_LEN)), 0, 0, number()};
      case 3:
        return {BPF_LDX | BPF_B | BPF_MSH, 0, 0, place()};
      case 4:
        return {any(BPF_MISC | BPF_TAX, BPF_MISC | BPF_TXA, BPF_ST, BPF_STX), 0, 0, random_.below(16)};
      case 5:
        return {static_cast<unsigned short>(BPF_JMP | any(BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET) | any(BPF_K, BPF_X)),
                jump(room), jump(room), number()};
      default:
        return compute();
    }
  }
  std::uint32_t place() {
    return random_.below(8) != 0 ? random_.below(80) : static_cast<std::uint32_t>(random_.next()) >> 1;
  }
  sock_filter compute() {
    const int operation =
        any(BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH, BPF_NEG);
    const bool shifts = operation == BPF_LSH || operation == BPF_RSH;
    const int source = shifts || operation == BPF_NEG ? BPF_K : any(BPF_K, BPF_X);
    const std::uint32_t by = shifts ? random_.below(32) : std::max(number(), 1u);
    return {static_cast<unsigned short>(BPF_ALU | operation | source), 0, 0, by};
  }

  random_source random_;
  bool wraps_;
};

TEST(packet_filter, says_what_libpcap_says) {
  std::size_t kept = 0;
  for (std::uint64_t seed = 1; seed <= 100'000; ++seed) {
    author writer(seed);
    const program steps = writer.write();
    const auto data = writer.data();
    std::vector<bpf_insn> theirs;
    for (const sock_filter& s : steps) theirs.push_back({s.code, s.jt, s.jf, s.k});
    const auto length = static_cast<unsigned>(data.size());
    const std::uint32_t expected =
        ::bpf_filter(theirs.data(), reinterpret_cast<const unsigned char*>(data.data()), length, length);
    ASSERT_EQ(run(steps, data), expected) << "seed " << seed;
    kept += expected != 0;
  }
  EXPECT_GT(kept, 20'000u);  // it isn't that all of them fail
}

TEST(packet_filter, keeps_what_the_kernel_keeps) {
  kernel linux_own;
  std::size_t taken = 0, kept = 0;
  for (std::uint64_t seed = 1; seed <= 5'000; ++seed) {
    author writer(seed, true);
    const program steps = writer.write();
    const auto data = writer.data();
    if (!linux_own.takes(steps)) continue;
    ++taken;
    const std::size_t expected = linux_own.keeps(data);
    ASSERT_EQ(std::min<std::size_t>(run(steps, data), data.size()), expected) << "seed " << seed;
    kept += expected != 0;
  }
  EXPECT_GT(taken, 2'000u);
  EXPECT_GT(kept, 500u);
}

constexpr std::uint32_t at(int offset) { return static_cast<std::uint32_t>(offset); }

std::uint32_t load(std::uint32_t place, const filter_input& in) {
  return run({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place), BPF_STMT(BPF_RET | BPF_A, 0)}, in.data, in);
}

TEST(packet_filter, knows_what_is_known_of_a_datagram) {
  const std::byte v4[20] = {std::byte{0x45}}, v6[40] = {std::byte{0x60}};
  const filter_input in{
      .data = {}, .network = v4, .interface = 7, .packet_type = PACKET_MULTICAST, .hardware_type = 772};
  EXPECT_EQ(load(at(SKF_AD_OFF + SKF_AD_PROTOCOL), in), 0x0800u);
  EXPECT_EQ(load(at(SKF_AD_OFF + SKF_AD_PROTOCOL), {.data = {}, .network = v6}), 0x86ddu);
  EXPECT_EQ(load(at(SKF_AD_OFF + SKF_AD_PKTTYPE), in), static_cast<std::uint32_t>(PACKET_MULTICAST));
  EXPECT_EQ(load(at(SKF_AD_OFF + SKF_AD_IFINDEX), in), 7u);
  EXPECT_EQ(load(at(SKF_AD_OFF + SKF_AD_HATYPE), in), 772u);
  EXPECT_EQ(load(at(SKF_AD_OFF + SKF_AD_PAY_OFFSET), in), 8u);
  EXPECT_EQ(load(at(SKF_NET_OFF), in), 0x45000000u);
  EXPECT_EQ(load(at(SKF_NET_OFF + 17), in), 0u);
  random_source one(5), same(5);
  EXPECT_EQ(load(at(SKF_AD_OFF + SKF_AD_RANDOM), {.data = {}, .network = v4, .random = &one}),
            static_cast<std::uint32_t>(same.next()));
}

TEST(packet_filter, says_what_it_cannot_know) {
  const auto runs = [](std::uint16_t code, std::uint32_t k) {
    const sock_filter steps[] = {{code, 0, 0, k}, BPF_STMT(BPF_RET | BPF_A, 0)};
    return can_run(steps);
  };
  for (int known : {SKF_AD_PROTOCOL, SKF_AD_PKTTYPE, SKF_AD_IFINDEX, SKF_AD_MARK, SKF_AD_HATYPE, SKF_AD_ALU_XOR_X,
                    SKF_AD_PAY_OFFSET, SKF_AD_RANDOM}) {
    EXPECT_TRUE(runs(BPF_LD | BPF_W | BPF_ABS, at(SKF_AD_OFF + known)));
    EXPECT_TRUE(runs(BPF_LD | BPF_B | BPF_ABS, at(SKF_AD_OFF + known)));
  }
  for (int unknown : {SKF_AD_NLATTR, SKF_AD_NLATTR_NEST, SKF_AD_QUEUE, SKF_AD_RXHASH, SKF_AD_CPU, SKF_AD_VLAN_TAG,
                      SKF_AD_VLAN_TAG_PRESENT, SKF_AD_VLAN_TPID}) {
    EXPECT_FALSE(runs(BPF_LD | BPF_W | BPF_ABS, at(SKF_AD_OFF + unknown)));
  }
  EXPECT_FALSE(runs(BPF_LD | BPF_H | BPF_ABS, at(SKF_LL_OFF + 12)));
  EXPECT_FALSE(runs(BPF_LDX | BPF_B | BPF_MSH, at(SKF_LL_OFF)));
  EXPECT_TRUE(runs(BPF_LDX | BPF_B | BPF_MSH, at(SKF_NET_OFF)));
  EXPECT_TRUE(runs(BPF_LD | BPF_B | BPF_IMM, at(SKF_LL_OFF)));
}

TEST(packet_filter, divides_by_nothing_and_looks_nowhere) {
  const std::byte data[4]{};
  EXPECT_EQ(
      run({BPF_STMT(BPF_LD | BPF_IMM, 5), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), BPF_STMT(BPF_RET | BPF_K, 9)}, data),
      0u);
  EXPECT_EQ(
      run({BPF_STMT(BPF_LD | BPF_IMM, 5), BPF_STMT(BPF_ALU | BPF_MOD | BPF_X, 0), BPF_STMT(BPF_RET | BPF_K, 9)}, data),
      0u);
  EXPECT_EQ(run({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 1), BPF_STMT(BPF_RET | BPF_K, 9)}, data), 0u);
  EXPECT_EQ(run({BPF_JUMP(BPF_JMP | BPF_JA, 0xffffffff, 0, 0), BPF_STMT(BPF_RET | BPF_K, 9)}, data), 0u);
  EXPECT_EQ(run({BPF_STMT(BPF_LD | BPF_MEM, 16), BPF_STMT(BPF_RET | BPF_K, 9)}, data), 0u);
  EXPECT_EQ(run({}, data), 0u);
}

}  // namespace
}  // namespace fastudp::test
