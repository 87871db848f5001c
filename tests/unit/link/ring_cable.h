#pragma once
// A cable within DPDK: two ports of its driver net_ring, each of which receives what the other one sends.

namespace fastudp::test {

inline constexpr const char *near_ring = "net_ring_near", *far_ring = "net_ring_far";

// DPDK has to run in this process. The ports go when their links are closed.
#ifdef FASTUDP_WITHOUT_DPDK
inline bool make_ring_cable() { return false; }
#else
bool make_ring_cable();
#endif

}  // namespace fastudp::test
