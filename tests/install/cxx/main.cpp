// An outside C++ program, built with find_package.
#include "../two_hosts.h"

int main() { return two_hosts(); }
