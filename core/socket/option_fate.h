#pragma once
// What becomes of each option on a socket that has a half in the kernel. The list is options.def.

namespace fastudp {

enum class option_fate { fast, companion, kernel, host, refused };

option_fate fate_of(int level, int name);

}  // namespace fastudp
