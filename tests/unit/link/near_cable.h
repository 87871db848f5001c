#pragma once
// A fixture: a cable whose end `near` has 10.99.0.1 here, and a socket of the kernel's at port 5353; frames are put on
// it from `far`.

#include <gtest/gtest.h>

#include <optional>

#include "base/descriptor.h"
#include "unit/link/namespace.h"

namespace fastudp::test {

class near_cable : public testing::Test {
 protected:
  void SetUp() override {
    if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
    if (!has_plugin()) GTEST_SKIP() << without_plugin;
    make_cable("near");
    ASSERT_EQ(run("ip address add 10.99.0.1/24 dev near && ip link set lo up"), 0);
    kernel_ = descriptor(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(5353);
    ASSERT_EQ(::bind(kernel_.number(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    wire_.emplace("far");
  }

  descriptor kernel_;
  std::optional<packet_socket> wire_;
};

}  // namespace fastudp::test
