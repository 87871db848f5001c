/* An outside C program, built with what pkg-config says. */
#include "../two_hosts.h"

int main(void) { return two_hosts(); }
