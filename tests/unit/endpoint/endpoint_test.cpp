// A socket as a program has it: bursts, flags, borrowed frames, and a descriptor that tells the truth.

#include "endpoint/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/errqueue.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "unit/endpoint/endpoint_support.h"

namespace fastudp {
namespace {

using test::at;
using test::hub_name;
using test::octets;
using test::open_endpoint;
using test::open_engine;
using test::receive_now;
using testing::ElementsAre;

const std::string again = std::strerror(EAGAIN);

template <typename T>
std::string raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// One host that talks to itself, and a raw port on its hub to say what it likes.
class one_host : public testing::Test {
 protected:
  one_host()
      : engine_(open_engine(hub_name() + "?announce=off&address=10.0.0.1/24", {.seed = 1, .hand_clock = true})) {}

  // Sends so many to port 53, "0" and so on.
  void fill(std::size_t count) {
    open_endpoint sender(*engine_);
    for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(test::send(*sender, std::to_string(i), at("10.0.0.1", 53)));
  }
  // Works off what other threads handed back; how many frames are out then.
  std::uint32_t frames_out() {
    pool& link = engine_->stack().frames();
    link.reclaim();
    engine_->stack().store().reclaim();
    return link.count() - link.available() + engine_->stack().store().in_use() - posted_;
  }
  // An ICMP error about what this socket sent to the peer: to a port of ours that nobody has.
  static void provoke(endpoint& s) { EXPECT_TRUE(test::send(s, "anybody?", at("10.0.0.1", 9))); }

  std::unique_ptr<engine> engine_;
  // What the link itself holds to receive into.
  const std::uint32_t posted_ = engine_->stack().frames().count() - engine_->stack().frames().available();
};

TEST_F(one_host, a_burst_comes_in_order_and_no_longer_than_asked_for) {
  open_endpoint s(*engine_, at("0.0.0.0", 53));
  fill(10);
  std::vector<message> burst(7);
  std::vector<std::string> room(7, std::string(100, '\0'));
  for (std::size_t i = 0; i < burst.size(); ++i) burst[i].data = octets(room[i]);
  ASSERT_EQ(*s->receive(burst, message_flag::dont_wait), 7u);
  for (std::size_t i = 0; i < burst.size(); ++i) EXPECT_EQ(test::text_of(burst[i].data), std::to_string(i));
  for (message& m : burst) m.data = octets(room[0]);
  ASSERT_EQ(*s->receive(burst, message_flag::dont_wait), 3u);
  EXPECT_EQ(s->receive(burst, message_flag::dont_wait).code(), EAGAIN);
}

TEST_F(one_host, too_little_room_cuts_and_says_so) {
  open_endpoint s(*engine_, at("0.0.0.0", 53)), sender(*engine_);
  ASSERT_TRUE(test::send(*sender, "longer than that", at("10.0.0.1", 53)));
  ASSERT_TRUE(test::send(*sender, "next", at("10.0.0.1", 53)));
  std::string room(6, '\0');
  message m;
  m.data = octets(room);
  ASSERT_TRUE(s->receive({&m, 1}, 0));
  EXPECT_EQ(room, "longer");
  EXPECT_EQ(m.length, 16u);
  EXPECT_EQ(m.flags, message_flag::truncated);
  EXPECT_EQ(receive_now(*s), "next");
}

TEST_F(one_host, peeking_leaves_it) {
  open_endpoint s(*engine_, at("0.0.0.0", 53));
  fill(2);
  EXPECT_EQ(test::receive(*s, message_flag::peek), "0");
  EXPECT_EQ(test::receive(*s, message_flag::peek), "0");
  EXPECT_EQ(receive_now(*s), "0");
  EXPECT_EQ(receive_now(*s), "1");
}

TEST_F(one_host, a_flag_that_is_not_known_is_refused) {
  open_endpoint s(*engine_, at("0.0.0.0", 53));
  message m;
  EXPECT_EQ(s->receive({&m, 1}, 0x1).code(), EOPNOTSUPP);
  EXPECT_EQ(s->send({&m, 1}, 0x1).code(), EOPNOTSUPP);
  EXPECT_EQ(s->borrow({&m, 1}, message_flag::peek).code(), EOPNOTSUPP);
}

TEST_F(one_host, an_empty_burst_is_none) {
  open_endpoint s(*engine_, at("0.0.0.0", 53));
  EXPECT_EQ(*s->receive({}, 0), 0u);
  EXPECT_EQ(*s->borrow({}, 0), 0u);
  EXPECT_EQ(*s->send({}, 0), 0u);
  EXPECT_EQ(*s->allocate({}), 0u);
}

TEST_F(one_host, a_burst_of_sends_ends_at_the_first_refusal) {
  open_endpoint s(*engine_);
  std::vector<message> burst(3);
  for (message& m : burst) m.peer = at("10.0.0.1", 53), m.has_peer = true;
  burst[1].peer.port = 0;
  EXPECT_EQ(*s->send(burst, 0), 1u);
  EXPECT_EQ(s->send(std::span(burst).subspan(1), 0).code(), EINVAL);
  EXPECT_FALSE(s->why().empty());
}

// ---- Borrowed frames

TEST_F(one_host, borrowed_frames_are_counted_until_they_are_given_back) {
  open_endpoint s(*engine_, at("0.0.0.0", 53));
  fill(5);
  std::vector<message> burst(8);
  ASSERT_EQ(*s->borrow(burst, 0), 5u);
  EXPECT_EQ(test::text_of(burst[4].data), "4");
  EXPECT_EQ(burst[4].peer.address, test::ip("10.0.0.1"));
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(s->has_frames_out());
    burst[i].data[0] = std::byte{'x'};
    endpoint::give_back(burst[i].frame);
  }
  EXPECT_FALSE(s->has_frames_out());
  EXPECT_EQ(frames_out(), 0u);
}

TEST_F(one_host, an_allocated_frame_is_filled_and_sent) {
  open_endpoint s(*engine_, at("0.0.0.0", 53));
  for (const std::size_t size : {0, 1, 1472, 1473, 65'507}) {
    message m;
    m.data = {static_cast<std::byte*>(nullptr), size};
    ASSERT_EQ(*s->allocate({&m, 1}), 1u) << size;
    ASSERT_EQ(m.data.size(), size);
    std::ranges::fill(m.data, std::byte{'a'});
    m.peer = at("10.0.0.1", 53);
    m.has_peer = true;
    EXPECT_EQ(*s->submit({&m, 1}, 0), 1u) << size;
    EXPECT_EQ(m.frame, nullptr);
    EXPECT_FALSE(s->has_frames_out());
    EXPECT_EQ(receive_now(*s), std::string(size, 'a'));
  }
  EXPECT_EQ(frames_out(), 0u);
}

TEST_F(one_host, more_than_a_datagram_cannot_be_allocated) {
  open_endpoint s(*engine_);
  std::vector<message> two(2);
  two[0].data = {static_cast<std::byte*>(nullptr), 65'508};
  EXPECT_EQ(s->allocate(two).code(), EMSGSIZE);
  std::swap(two[0].data, two[1].data);
  ASSERT_EQ(*s->allocate(two), 1u);
  endpoint::give_back(two[0].frame);
  EXPECT_EQ(frames_out(), 0u);
}

TEST_F(one_host, what_does_not_lie_in_its_frame_is_refused_and_stays_the_programs) {
  open_endpoint s(*engine_, at("0.0.0.0", 53));
  message m;
  m.data = {static_cast<std::byte*>(nullptr), 100};
  ASSERT_EQ(*s->allocate({&m, 1}), 1u);
  m.peer = at("10.0.0.1", 53);
  m.has_peer = true;
  const message good = m;
  std::byte elsewhere[100];
  const packet& p = *m.frame;
  for (const std::span<std::byte>& bad :
       std::vector<std::span<std::byte>>{std::span<std::byte>(elsewhere), std::span(p.frame, 100),
                                         std::span(p.frame + 69, 100), std::span(p.frame + p.capacity - 99, 100)}) {
    m = good;
    m.data = bad;
    EXPECT_EQ(s->submit({&m, 1}, 0).code(), EINVAL);
    EXPECT_EQ(m.frame, good.frame);
  }
  m = good;
  m.frame = nullptr;
  EXPECT_EQ(s->submit({&m, 1}, 0).code(), EINVAL);
  {
    m = good;
    m.data = std::span(p.frame + 70, 100);
    std::ranges::fill(m.data, std::byte{'m'});
    EXPECT_EQ(*s->submit({&m, 1}, 0), 1u) << "moved, but with room for the headers";
    EXPECT_EQ(receive_now(*s), std::string(100, 'm'));
  }
}

TEST_F(one_host, a_refused_submit_leaves_the_frame) {
  open_endpoint s(*engine_);
  message m;
  m.data = {static_cast<std::byte*>(nullptr), 10};
  ASSERT_EQ(*s->allocate({&m, 1}), 1u);
  EXPECT_EQ(s->submit({&m, 1}, 0).code(), EDESTADDRREQ);
  EXPECT_NE(m.frame, nullptr);
  EXPECT_TRUE(s->has_frames_out());
  endpoint::give_back(m.frame);
  EXPECT_EQ(frames_out(), 0u);
}

TEST_F(one_host, a_borrowed_frame_goes_out_by_another_socket) {
  open_endpoint s(*engine_, at("0.0.0.0", 53)), other(*engine_), last(*engine_, at("0.0.0.0", 54));
  fill(1);
  message m;
  ASSERT_EQ(*s->borrow({&m, 1}, 0), 1u);
  m.peer = at("10.0.0.1", 54);
  m.has_peer = true;
  EXPECT_EQ(*other->submit({&m, 1}, 0), 1u);
  EXPECT_FALSE(s->has_frames_out());
  EXPECT_FALSE(other->has_frames_out());
  EXPECT_EQ(receive_now(*last), "0");
}

// ---- The descriptor

class descriptor_of : public one_host {
 protected:
  descriptor_of() : s_(*engine_, at("0.0.0.0", 53)) { fd_ = *s_->descriptor(); }
  // It is readable exactly while the socket says that it has something.
  void expect_truth(bool something, const char* what) {
    EXPECT_EQ(test::is_readable(fd_), something) << what;
    EXPECT_EQ((s_->poll() & (ready::readable | ready::error)) != 0, something) << what;
    EXPECT_EQ(test::is_readable(fd_), something) << what << ", after a poll";
  }
  void turn_on(int name, int value = 1) { ASSERT_TRUE(s_->set_option(IPPROTO_IP, name, octets(raw(value)))); }
  int pending_error() {
    std::string room(4, '\0');
    EXPECT_TRUE(s_->get_option(SOL_SOCKET, SO_ERROR, octets(room)));
    int value;
    std::memcpy(&value, room.data(), sizeof value);
    return value;
  }

  open_endpoint s_;
  int fd_ = -1;
};

TEST_F(descriptor_of, a_socket_with_datagrams) {
  expect_truth(false, "at first");
  fill(3);
  for (const char* text : {"0", "1", "2"}) {
    expect_truth(true, text);
    EXPECT_EQ(receive_now(*s_), text);
  }
  expect_truth(false, "drained");
  EXPECT_EQ(receive_now(*s_), again);
  expect_truth(false, "looked again");
  fill(1);
  EXPECT_EQ(test::receive(*s_, message_flag::peek), "0");
  expect_truth(true, "peeked");
  message m;
  ASSERT_EQ(*s_->borrow({&m, 1}, 0), 1u);
  endpoint::give_back(m.frame);
  expect_truth(false, "borrowed");
}

TEST_F(descriptor_of, a_socket_that_had_something_before) {
  open_endpoint early(*engine_, at("0.0.0.0", 54)), sender(*engine_);
  ASSERT_TRUE(test::send(*sender, "x", at("10.0.0.1", 54)));
  const auto fd = early->descriptor();
  EXPECT_TRUE(test::is_readable(*fd));
  EXPECT_EQ(*early->descriptor(), *fd) << "it is always the same";
}

TEST_F(descriptor_of, a_socket_with_a_pending_error) {
  ASSERT_TRUE(s_->connect(at("10.0.0.1", 9)));
  struct {
    const char* how;
    std::function<void()> take;
  } const ways[] = {
      {"received", [&] { EXPECT_EQ(receive_now(*s_), std::strerror(ECONNREFUSED)); }},
      {"asked for", [&] { EXPECT_EQ(pending_error(), ECONNREFUSED); }},
      {"by a send", [&] { EXPECT_EQ(test::send(*s_, "x").code(), ECONNREFUSED); }},
      {"borrowed",
       [&] {
         message m;
         EXPECT_EQ(s_->borrow({&m, 1}, message_flag::dont_wait).code(), ECONNREFUSED);
       }},
  };
  for (const auto& [how, take] : ways) {
    provoke(*s_);
    expect_truth(true, "an error came");
    take();
    expect_truth(false, how);
  }
}

TEST_F(descriptor_of, a_socket_with_an_error_queue) {
  turn_on(IP_RECVERR);
  provoke(*s_);
  expect_truth(true, "both told and queued");
  EXPECT_EQ(pending_error(), ECONNREFUSED);
  expect_truth(true, "still queued");
  EXPECT_EQ(test::receive(*s_, message_flag::error_queue), "anybody?");
  expect_truth(false, "read");
  provoke(*s_);
  EXPECT_EQ(pending_error(), ECONNREFUSED);
  turn_on(IP_RECVERR, 0);
  expect_truth(false, "thrown away");
}

// sock_dequeue_err_skb: who reads the queue has been told.
TEST_F(descriptor_of, reading_the_error_queue_settles_the_pending_error) {
  turn_on(IP_RECVERR);
  provoke(*s_);
  EXPECT_EQ(test::receive(*s_, message_flag::error_queue), "anybody?");
  EXPECT_EQ(receive_now(*s_), again);
  expect_truth(false, "nothing is left");
}

TEST_F(descriptor_of, a_socket_that_is_shut) {
  ASSERT_TRUE(s_->connect(at("10.0.0.1", 53)));
  ASSERT_TRUE(s_->shut_down(true, false));
  expect_truth(true, "the end is something to read");
  EXPECT_EQ(test::receive(*s_), "nothing");
  expect_truth(true, "and stays so");
}

// ---- The error queue's messages

TEST_F(one_host, an_error_message_says_who_and_what) {
  open_endpoint s(*engine_, at("10.0.0.1", 53));
  ASSERT_TRUE(s->set_option(IPPROTO_IP, IP_RECVERR, octets(raw(1))));
  provoke(*s);
  std::string room(3, '\0'), control(100, '\0');
  message m;
  m.data = octets(room);
  m.control = octets(control);
  ASSERT_EQ(*s->receive({&m, 1}, message_flag::error_queue), 1u);
  EXPECT_EQ(room, "any");
  EXPECT_EQ(m.length, 8u);
  EXPECT_EQ(m.flags, message_flag::error_queue | message_flag::truncated);
  EXPECT_EQ(m.peer, at("10.0.0.1", 9));
  cmsghdr header;
  sock_extended_err what;
  sockaddr_in offender;
  ASSERT_EQ(m.control.size(), CMSG_SPACE(sizeof what + sizeof offender));
  std::memcpy(&header, control.data(), sizeof header);
  std::memcpy(&what, control.data() + CMSG_LEN(0), sizeof what);
  std::memcpy(&offender, control.data() + CMSG_LEN(0) + sizeof what, sizeof offender);
  EXPECT_EQ(header.cmsg_level, IPPROTO_IP);
  EXPECT_EQ(header.cmsg_type, IP_RECVERR);
  EXPECT_EQ(header.cmsg_len, CMSG_LEN(sizeof what + sizeof offender));
  EXPECT_EQ(what.ee_errno, unsigned{ECONNREFUSED});
  EXPECT_EQ(what.ee_origin, SO_EE_ORIGIN_ICMP);
  EXPECT_EQ(what.ee_type, 3);
  EXPECT_EQ(what.ee_code, 3);
  EXPECT_EQ(offender.sin_family, AF_INET);
  EXPECT_EQ(offender.sin_addr.s_addr, htonl(0x0a000001));
  EXPECT_EQ(s->receive({&m, 1}, message_flag::error_queue).code(), EAGAIN) << "it never waits";
}

TEST_F(one_host, what_is_ready) {
  open_endpoint s(*engine_, at("0.0.0.0", 53));
  EXPECT_EQ(s->poll(), ready::writable);
  fill(1);
  EXPECT_EQ(s->poll(), ready::writable | ready::readable);
  EXPECT_EQ(*s->wait(ready::readable, never), ready::readable);
  EXPECT_EQ(*s->wait(ready::writable, never), ready::writable);
  (void)receive_now(*s);
  EXPECT_EQ(*s->wait(ready::readable, never), 0);
}

}  // namespace
}  // namespace fastudp
