#pragma once
// What a host says of its groups, by IGMP or by MLD.

#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/time.h"
#include "wire/group_membership.h"

namespace fastudp {

struct group_record {
  group_record_type type;
  ip_address group;
  std::span<const ip_address> sources;
};

// A router's question, of whichever protocol.
struct group_query {
  // The oldest version in which it can be understood: how the host has to talk as long as such routers are heard.
  enum class dialect : std::uint8_t { sources, leaves, reports };  // IGMPv3 and MLDv2; IGMPv2 and MLDv1; IGMPv1
  dialect version = dialect::sources;
  ip_address group{};  // any: every group
  duration most_delay = 0;
  std::uint8_t robustness = 0;  // 0: not said
  bool too_many_sources = false;
  std::span<const ip_address> sources{};  // none: whatever the source
};

class group_messages {
 public:
  // To a report, which leaves when it is full or finished.
  virtual void add(const group_record& what) = 0;
  virtual void finish() = 0;
  // In the older dialects.
  virtual void report(const ip_address& group, group_query::dialect version) = 0;
  virtual void leave(const ip_address& group) = 0;

 protected:
  ~group_messages() = default;
};

}  // namespace fastudp
