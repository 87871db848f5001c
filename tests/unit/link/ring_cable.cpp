#include "unit/link/ring_cable.h"

#include <rte_eth_ring.h>
#include <rte_ring.h>

namespace fastudp::test {
namespace {

constexpr unsigned ring_size = 4096;

// Made once: a driver doesn't take its rings along when it goes.
rte_ring* ring(const char* name) {
  rte_ring* const there = rte_ring_lookup(name);
  return there != nullptr ? there : rte_ring_create(name, ring_size, SOCKET_ID_ANY, 0);
}

}  // namespace

bool make_ring_cable() {
  rte_ring *one = ring("to_far"), *other = ring("to_near");
  if (one == nullptr || other == nullptr) return false;
  return rte_eth_from_rings("near", &other, 1, &one, 1, SOCKET_ID_ANY) >= 0 &&
         rte_eth_from_rings("far", &one, 1, &other, 1, SOCKET_ID_ANY) >= 0;
}

}  // namespace fastudp::test
