#include "host/firewall.h"
namespace fastudp {
certainty host_firewall_has_rules(char*, std::size_t) { return certainty::no; }
}
