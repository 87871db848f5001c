#include "socket/packet_filter.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include "base/byte_order.h"
#include "wire/ipv4.h"

namespace fastudp {
namespace {

// Offsets that are negative mean other places than the data.
constexpr std::int32_t ancillary_at = SKF_AD_OFF, network_at = SKF_NET_OFF, link_at = SKF_LL_OFF;
constexpr std::uint32_t ether_type_v4 = 0x0800, ether_type_v6 = 0x86dd, udp_header = 8;

std::int32_t as_offset(std::uint32_t value) { return static_cast<std::int32_t>(value); }
std::uint32_t ancillary_of(const sock_filter& step) { return step.k - static_cast<std::uint32_t>(ancillary_at); }
bool is_load_from_place(const sock_filter& step) {
  return BPF_CLASS(step.code) == BPF_LD && BPF_MODE(step.code) == BPF_ABS;
}
// Also the length of a header, which is read from there.
bool reads_by_constant(const sock_filter& step) {
  return is_load_from_place(step) || step.code == (BPF_LDX | BPF_B | BPF_MSH);
}

// Of the link's header and of nothing.
bool is_out_of_reach(std::uint32_t offset) { return as_offset(offset) < network_at && as_offset(offset) >= link_at; }

bool is_known_ancillary(std::uint32_t what) {
  switch (what) {
    case SKF_AD_PROTOCOL:
    case SKF_AD_PKTTYPE:
    case SKF_AD_IFINDEX:
    case SKF_AD_MARK:
    case SKF_AD_HATYPE:
    case SKF_AD_ALU_XOR_X:
    case SKF_AD_PAY_OFFSET:
    case SKF_AD_RANDOM:
      return true;
    default:
      return false;
  }
}

// One run of a program: its registers and its scratch memory.
class machine {
 public:
  explicit machine(const filter_input& in) : in_(in) {}
  std::uint32_t run(std::span<const sock_filter> program);

 private:
  // False: it is over, with nothing.
  bool step(const sock_filter& s);
  bool load(const sock_filter& s);
  bool load_index(const sock_filter& s);
  bool load_from(std::int32_t offset, std::uint16_t size, std::uint32_t& out) const;
  bool load_ancillary(std::uint32_t what);
  bool compute(std::uint16_t operation, std::uint32_t operand);
  bool store(std::uint32_t where, std::uint32_t value);
  bool holds(const sock_filter& s) const;
  std::uint32_t operand(const sock_filter& s) const { return BPF_SRC(s.code) == BPF_X ? x_ : s.k; }

  const filter_input& in_;
  std::uint32_t a_ = 0, x_ = 0;
  std::array<std::uint32_t, BPF_MEMWORDS> memory_{};
};

// Only forward, so that there is an end.
std::uint32_t machine::run(std::span<const sock_filter> program) {
  for (std::uint64_t at = 0; at < program.size(); ++at) {
    const sock_filter& s = program[at];
    if (BPF_CLASS(s.code) == BPF_RET) return BPF_RVAL(s.code) == BPF_A ? a_ : s.k;
    if (BPF_CLASS(s.code) != BPF_JMP) {
      if (!step(s)) return 0;
    } else if (BPF_OP(s.code) == BPF_JA) {
      at += s.k;
    } else {
      at += holds(s) ? s.jt : s.jf;
    }
  }
  return 0;
}

bool machine::holds(const sock_filter& s) const {
  switch (BPF_OP(s.code)) {
    case BPF_JEQ:
      return a_ == operand(s);
    case BPF_JGT:
      return a_ > operand(s);
    case BPF_JGE:
      return a_ >= operand(s);
    default:
      return (a_ & operand(s)) != 0;
  }
}

bool machine::step(const sock_filter& s) {
  switch (BPF_CLASS(s.code)) {
    case BPF_LD:
      return load(s);
    case BPF_LDX:
      return load_index(s);
    case BPF_ST:
      return store(s.k, a_);
    case BPF_STX:
      return store(s.k, x_);
    case BPF_ALU:
      return compute(BPF_OP(s.code), operand(s));
    default:
      (BPF_MISCOP(s.code) == BPF_TAX ? x_ : a_) = BPF_MISCOP(s.code) == BPF_TAX ? a_ : x_;
      return true;
  }
}

bool machine::store(std::uint32_t where, std::uint32_t value) {
  if (where >= memory_.size()) return false;
  memory_[where] = value;
  return true;
}

bool machine::load(const sock_filter& s) {
  switch (BPF_MODE(s.code)) {
    case BPF_ABS:
      if (as_offset(s.k) < 0 && as_offset(s.k) >= ancillary_at) return load_ancillary(ancillary_of(s));
      return load_from(as_offset(s.k), BPF_SIZE(s.code), a_);
    case BPF_IND:
      return load_from(as_offset(x_ + s.k), BPF_SIZE(s.code), a_);
    case BPF_LEN:
      a_ = static_cast<std::uint32_t>(in_.data.size());
      return true;
    case BPF_IMM:
      a_ = s.k;
      return true;
    default:
      if (s.k >= memory_.size()) return false;
      a_ = memory_[s.k];
      return true;
  }
}

bool machine::load_index(const sock_filter& s) {
  switch (BPF_MODE(s.code)) {
    case BPF_MSH: {  // the length of an IPv4 header that begins there
      std::uint32_t byte;
      if (!load_from(as_offset(s.k), BPF_B, byte)) return false;
      x_ = (byte & 0xf) * 4;
      return true;
    }
    case BPF_LEN:
      x_ = static_cast<std::uint32_t>(in_.data.size());
      return true;
    case BPF_IMM:
      x_ = s.k;
      return true;
    default:
      if (s.k >= memory_.size()) return false;
      x_ = memory_[s.k];
      return true;
  }
}

bool machine::load_from(std::int32_t offset, std::uint16_t size, std::uint32_t& out) const {
  if (offset < network_at) return false;
  const auto from = offset >= 0 ? in_.data : in_.network;
  const std::size_t at = static_cast<std::size_t>(offset >= 0 ? offset : offset - network_at);
  const std::size_t width = size == BPF_W ? 4 : size == BPF_H ? 2 : 1;
  if (at > from.size() || width > from.size() - at) return false;
  const std::byte* first = from.data() + at;
  out = width == 4   ? load_network<std::uint32_t>(first)
        : width == 2 ? load_network<std::uint16_t>(first)
                     : static_cast<std::uint32_t>(*first);
  return true;
}

bool machine::load_ancillary(std::uint32_t what) {
  switch (what) {
    case SKF_AD_PROTOCOL:
      if (in_.network.empty()) return false;
      a_ = is_ipv4(in_.network[0]) ? ether_type_v4 : ether_type_v6;
      return true;
    case SKF_AD_PKTTYPE:
      a_ = in_.packet_type;
      return true;
    case SKF_AD_IFINDEX:
      a_ = static_cast<std::uint32_t>(in_.interface);
      return true;
    case SKF_AD_MARK:
      a_ = 0;  // what somebody marks is the kernel's
      return true;
    case SKF_AD_HATYPE:
      a_ = in_.hardware_type;
      return true;
    case SKF_AD_ALU_XOR_X:
      a_ ^= x_;
      return true;
    case SKF_AD_PAY_OFFSET:
      a_ = udp_header;
      return true;
    case SKF_AD_RANDOM:
      a_ = in_.random != nullptr ? static_cast<std::uint32_t>(in_.random->next()) : 0;
      return true;
    default:
      return false;
  }
}

// Linux's shifts count modulo 32.
bool machine::compute(std::uint16_t operation, std::uint32_t by) {
  const bool divides = operation == BPF_DIV || operation == BPF_MOD;
  if (divides && by == 0) return false;
  switch (operation) {
    case BPF_ADD:
      return a_ += by, true;
    case BPF_SUB:
      return a_ -= by, true;
    case BPF_MUL:
      return a_ *= by, true;
    case BPF_DIV:
      return a_ /= by, true;
    case BPF_MOD:
      return a_ %= by, true;
    case BPF_AND:
      return a_ &= by, true;
    case BPF_OR:
      return a_ |= by, true;
    case BPF_XOR:
      return a_ ^= by, true;
    case BPF_LSH:
      return a_ <<= by & 31, true;
    case BPF_RSH:
      return a_ >>= by & 31, true;
    case BPF_NEG:
      return a_ = -a_, true;
    default:
      return false;
  }
}

}  // namespace

std::uint32_t run_filter(std::span<const sock_filter> program, const filter_input& in) {
  return machine(in).run(program);
}

bool can_run(std::span<const sock_filter> program) {
  return std::ranges::all_of(program, [](const sock_filter& s) {
    if (!reads_by_constant(s)) return true;
    if (is_out_of_reach(s.k)) return false;
    const bool is_ancillary = is_load_from_place(s) && as_offset(s.k) < 0 && as_offset(s.k) >= ancillary_at;
    return !is_ancillary || is_known_ancillary(ancillary_of(s));
  });
}

bool can_choose(std::span<const sock_filter> program) {
  return can_run(program) && std::ranges::none_of(program, [](const sock_filter& s) {
           return is_load_from_place(s) && ancillary_of(s) == SKF_AD_PAY_OFFSET;
         });
}

result<packet_filter> packet_filter::copy(std::span<const sock_filter> program) {
  packet_filter out;
  if (program.empty()) return out;
  out.steps_.reset(new (std::nothrow) sock_filter[program.size()]);
  if (out.steps_ == nullptr) return error{ENOMEM};
  std::ranges::copy(program, out.steps_.get());
  out.size_ = program.size();
  return out;
}

}  // namespace fastudp
