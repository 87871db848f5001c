#pragma once
// Counts allocations of the whole process, to show that a stretch of code makes none.

#include <cstddef>

namespace fastudp::test {

// How many times memory was asked for since the program began: malloc, its relatives, operator new.
std::size_t allocations();

}  // namespace fastudp::test
