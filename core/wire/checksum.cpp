// Adding up words as fast as the machine can: 64 bits at a time everywhere, 256 where there is AVX2.
#include "wire/checksum.h"

#include <atomic>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace fastudp {
namespace {

using word = std::uint64_t;
using wire::add_carrying;

// `length` bytes, at most eight, as the word that they begin.
template <bool Copy>
word take(std::byte*& to, const std::byte*& from, std::size_t length) {
  word out = 0;
  std::memcpy(&out, from, length);
  from += length;
  if constexpr (Copy) {
    std::memcpy(to, &out, length);
    to += length;
  }
  return out;
}

template <bool Copy>
word sum_words(std::byte* to, const std::byte* from, std::size_t length) {
  constexpr std::size_t size = sizeof(word);
  word a = 0, b = 0, c = 0, d = 0;  // independent of each other, so that the additions overlap
  for (; length >= 4 * size; length -= 4 * size) {
    a = add_carrying(a, take<Copy>(to, from, size));
    b = add_carrying(b, take<Copy>(to, from, size));
    c = add_carrying(c, take<Copy>(to, from, size));
    d = add_carrying(d, take<Copy>(to, from, size));
  }
  for (; length >= size; length -= size) a = add_carrying(a, take<Copy>(to, from, size));
  // In pieces of constant length, which are cheaper than a call.
  if (length & 4) b = add_carrying(b, take<Copy>(to, from, 4));
  if (length & 2) c = add_carrying(c, take<Copy>(to, from, 2));
  if (length & 1) d = add_carrying(d, take<Copy>(to, from, 1));
  return add_carrying(add_carrying(a, b), add_carrying(c, d));
}

word sum_scalar(const std::byte* from, std::size_t length) { return sum_words<false>(nullptr, from, length); }
word copy_scalar(std::byte* to, const std::byte* from, std::size_t length) { return sum_words<true>(to, from, length); }

#if defined(__x86_64__)
#define FASTUDP_AVX2 __attribute__((target("avx2")))

struct lanes {
  __m256i low, high;  // halves of 64-bit words, in lanes wide enough never to overflow
};

template <bool Copy>
FASTUDP_AVX2 inline void take_wide(lanes& sum, std::byte* to, const std::byte* from) {
  const __m256i block = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  if constexpr (Copy) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), block);
  sum.low = _mm256_add_epi64(sum.low, _mm256_and_si256(block, _mm256_set1_epi64x(0xffffffff)));
  sum.high = _mm256_add_epi64(sum.high, _mm256_srli_epi64(block, 32));
}

FASTUDP_AVX2 inline word total(const lanes& sum) {
  alignas(32) word parts[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(parts), _mm256_add_epi64(sum.low, sum.high));
  return parts[0] + parts[1] + parts[2] + parts[3];
}

template <bool Copy>
FASTUDP_AVX2 word sum_wide(std::byte* to, const std::byte* from, std::size_t length) {
  constexpr std::size_t block = sizeof(__m256i);
  lanes even = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  lanes odd = even;
  const std::size_t whole = length / (2 * block) * (2 * block);
  for (std::size_t at = 0; at < whole; at += 2 * block) {
    take_wide<Copy>(even, Copy ? to + at : nullptr, from + at);
    take_wide<Copy>(odd, Copy ? to + at + block : nullptr, from + at + block);
  }
  const word wide = add_carrying(total(even), total(odd));
  _mm256_zeroupper();  // g++ 12 leaves it out before a call that it knows, and what comes next is ten times slower
  const word rest = sum_words<Copy>(Copy ? to + whole : nullptr, from + whole, length - whole);
  return add_carrying(wide, rest);
}

FASTUDP_AVX2 word sum_avx2(const std::byte* from, std::size_t length) { return sum_wide<false>(nullptr, from, length); }
FASTUDP_AVX2 word copy_avx2(std::byte* to, const std::byte* from, std::size_t length) {
  return sum_wide<true>(to, from, length);
}

// Asks the processor itself: __builtin_cpu_supports needs a constructor that runs at a time of its own.
bool has_avx2() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
  unsigned saved = 0, saved_high = 0;
  __asm__("xgetbv" : "=a"(saved), "=d"(saved_high) : "c"(0));
  constexpr unsigned sse_and_avx = 0b110;
  if ((saved & sse_and_avx) != sse_and_avx) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}
#endif

constexpr checksum_kernel kernels[] = {
    {"scalar", sum_scalar, copy_scalar},
#if defined(__x86_64__)
    {"avx2", sum_avx2, copy_avx2},
#endif
};

std::size_t count_usable() {
#if defined(__x86_64__)
  return has_avx2() ? 2 : 1;
#else
  return 1;
#endif
}

// Constant-initialised, so that it serves constructors of other objects too.
std::atomic<const checksum_kernel*> best{nullptr};

const checksum_kernel& choose() {
  const checksum_kernel* chosen = &checksum_kernels().back();
  best.store(chosen, std::memory_order_relaxed);
  return *chosen;
}

const checksum_kernel& kernel() {
  const checksum_kernel* chosen = best.load(std::memory_order_relaxed);
  return chosen ? *chosen : choose();
}

// Headers and small messages: the wide path would cost more than it saves.
constexpr std::size_t worth_wide = 128;

}  // namespace

std::span<const checksum_kernel> checksum_kernels() { return {kernels, count_usable()}; }

namespace wire {

std::uint64_t sum_bytes(std::span<const std::byte> from) {
  if (from.size() < worth_wide) return sum_scalar(from.data(), from.size());
  return kernel().sum(from.data(), from.size());
}

std::uint64_t copy_and_sum_bytes(std::byte* to, std::span<const std::byte> from) {
  if (from.size() < worth_wide) return copy_scalar(to, from.data(), from.size());
  return kernel().copy_and_sum(to, from.data(), from.size());
}

}  // namespace wire
}  // namespace fastudp
