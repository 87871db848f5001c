#pragma once
// The groups that a host is in for the sake of an address of its own (RFC 1112 7.2, RFC 4291 2.8). A switch that looks
// at reports must let solicitations of the address through.

#include "stack/groups.h"
#include "stack/local_addresses.h"

namespace fastudp {

inline void hold_groups_of(const ip_address& own, group_table& groups, bool announce, time_point now) {
  groups.hold(own.is_v4() ? all_systems_group : all_nodes_group, false, now);
  if (!own.is_v4()) groups.hold(solicited_node_group(own), announce, now);
}

// Of an address that is in `left` no more; another may have the same group.
inline void let_go_of_group_of(const ip_address& own, const local_addresses& left, group_table& groups,
                               time_point now) {
  const ip_address group = solicited_node_group(own);
  if (!own.is_v4() && !left.is_solicited_node_group(group)) groups.let_go(group, now);
}

}  // namespace fastudp
