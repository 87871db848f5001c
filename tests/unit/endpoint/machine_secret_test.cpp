// The secret that a host keeps.

#include "endpoint/machine_secret.h"

#include <gtest/gtest.h>

#include <string>

namespace fastudp {
namespace {

const std::string id = "0123456789abcdef0123456789abcdef";

TEST(machine_secret, is_made_of_the_hosts_number) {
  ASSERT_TRUE(secret_of(id));
  EXPECT_EQ(secret_of(id), secret_of(id + "\n"));
  EXPECT_NE(secret_of(id), secret_of("1" + id.substr(1)));
  EXPECT_NE(secret_of(id)->low, secret_of(id)->high);
}

TEST(machine_secret, does_not_show_the_hosts_number) {
  EXPECT_NE(secret_of(id)->low, 0x0123456789abcdefu);
  EXPECT_NE(secret_of(id)->high, 0x0123456789abcdefu);
}

TEST(machine_secret, is_not_made_of_anything_else) {
  for (const std::string& wrong : {std::string(), std::string("uninitialized\n"), id.substr(1), id + "0", id + "\n\n",
                                   "x" + id.substr(1), "A" + id.substr(1)}) {
    EXPECT_FALSE(secret_of(wrong)) << wrong;
  }
}

TEST(machine_secret, stays_where_there_is_a_number) { EXPECT_NE(machine_secret(), sip_key{}); }

}  // namespace
}  // namespace fastudp
