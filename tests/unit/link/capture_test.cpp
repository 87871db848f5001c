// capture: the file, byte for byte, and as tshark reads it.

#include "link/wrap/capture.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

#include "unit/link/stub_link.h"

namespace fastudp::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using wrap::captured_link;
using wrap::pcapng_file;

struct block {
  std::uint32_t type;
  std::string body;
};

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::uint32_t word(const std::string& bytes, std::size_t at) {
  std::uint32_t out = 0;
  EXPECT_LE(at + sizeof out, bytes.size());
  if (at + sizeof out <= bytes.size()) std::memcpy(&out, bytes.data() + at, sizeof out);
  return out;
}

// Walks the blocks and checks that they are framed as the format says.
std::vector<block> blocks_of(const std::string& bytes) {
  std::vector<block> out;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length = word(bytes, at + 4);
    if (length < 12 || length % 4 != 0 || at + length > bytes.size()) {
      ADD_FAILURE() << "a block of " << length << " bytes at " << at;
      break;
    }
    EXPECT_EQ(word(bytes, at + length - 4), length);
    out.push_back({word(bytes, at), bytes.substr(at + 8, length - 12)});
    at += length;
  }
  return out;
}

struct captured {
  captured() {
    reason why;
    auto made = pcapng_file::create(file.path().c_str(), why);
    EXPECT_TRUE(made) << why.c_str();
    outer.adopt(link_ptr(new captured_link(link_ptr(inner), std::move(*made))));
  }
  std::vector<block> blocks() { return blocks_of(contents(file.path())); }
  std::vector<block> packets() {
    auto all = blocks();
    EXPECT_GE(all.size(), 2u);
    all.erase(all.begin(), all.begin() + 2);
    return all;
  }

  temporary_file file;
  stub_link* inner = new stub_link;
  host outer;
};

frame sized(std::size_t size, char fill) { return ethernet(mac_of(2), mac_of(1), frame(size, fill)); }

frame frame_in(const block& b) { return b.body.substr(20, word(b.body, 12)); }

TEST(capture, has_frames_with_their_checksums_in_full) { EXPECT_FALSE(captured().outer->sums_udp()); }

TEST(capture, begins_with_a_section_and_an_ethernet_interface_in_nanoseconds) {
  captured c;
  const auto blocks = c.blocks();
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].type, 0x0a0d0d0au);
  EXPECT_EQ(word(blocks[0].body, 0), 0x1a2b3c4du);
  EXPECT_EQ(word(blocks[0].body, 4), 1u);  // version 1.0
  EXPECT_EQ(blocks[1].type, 1u);
  EXPECT_EQ(word(blocks[1].body, 0), 1u);  // Ethernet
  EXPECT_EQ(blocks[1].body.substr(8), std::string("\x09\0\x01\0\x09\0\0\0\0\0\0\0", 12));
}

TEST(capture, writes_both_directions_with_their_time) {
  captured c;
  c.outer->advance(0x1'0000'0002);
  c.outer.send(sized(50, 'a'));
  c.outer->advance(0x1'0000'0003);
  c.inner->to_receive = {sized(51, 'b'), sized(52, 'c')};
  EXPECT_EQ(c.outer.receive().size(), 2u);
  const auto packets = c.packets();
  ASSERT_EQ(packets.size(), 3u);
  const std::uint32_t low[] = {2, 3, 3}, way[] = {2, 1, 1};
  const frame frames[] = {sized(50, 'a'), sized(51, 'b'), sized(52, 'c')};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& b = packets[i].body;
    EXPECT_EQ(packets[i].type, 6u);
    EXPECT_EQ(word(b, 0), 0u);
    EXPECT_EQ(word(b, 4), 1u);
    EXPECT_EQ(word(b, 8), low[i]);
    EXPECT_EQ(word(b, 12), frames[i].size());
    EXPECT_EQ(word(b, 16), frames[i].size());
    EXPECT_EQ(frame_in(packets[i]), frames[i]);
    const auto padded = (frames[i].size() + 3) / 4 * 4;
    const std::string flags("\x02\0\x04\0", 4);
    EXPECT_EQ(b.substr(20 + padded), flags + std::string(1, static_cast<char>(way[i])) + std::string(7, '\0'));
    EXPECT_EQ(b.substr(20 + frames[i].size(), padded - frames[i].size()).find_first_not_of('\0'), std::string::npos);
  }
}

TEST(capture, writes_what_came_not_what_was_in_the_burst_before) {
  captured c;
  burst in;
  in.append(c.outer.make(sized(60, 'o')));
  c.inner->to_receive = {sized(61, 'n')};
  ASSERT_EQ(c.outer->rx_burst(in), 1u);
  const auto packets = c.packets();
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_EQ(frame_in(packets[0]), sized(61, 'n'));
}

TEST(capture, every_length_is_framed) {
  captured c;
  for (std::size_t size = 0; size < 9; ++size) c.outer.send(sized(size, 'x'));
  c.outer.send("");
  const auto packets = c.packets();
  ASSERT_EQ(packets.size(), 10u);
  for (std::size_t size = 0; size < 9; ++size) EXPECT_EQ(frame_in(packets[size]), sized(size, 'x'));
  EXPECT_EQ(frame_in(packets[9]), "");
}

TEST(capture, holds_only_what_the_link_took) {
  captured c;
  burst out;
  for (const char id : {'1', '2', '3', '4'}) out.append(c.outer.make(sized(60, id)));
  for (const std::size_t takes : {2u, 0u, 1u}) {
    c.inner->takes = takes;
    out.forget_front(c.outer->tx_burst(out));
    EXPECT_EQ(c.packets().size(), c.inner->sent.size());
  }
  c.inner->takes = 1;
  out.forget_front(c.outer->tx_burst(out));
  std::vector<frame> seen;
  for (const auto& p : c.packets()) seen.push_back(frame_in(p));
  EXPECT_EQ(seen, c.inner->sent);
  EXPECT_EQ(seen.size(), 4u);
}

TEST(capture, shows_frames_as_the_stack_made_them_not_as_the_network_spoilt_them) {
  temporary_file file;
  host spoilt("mem:spoilt?corrupt=100&capture=" + file.path()), other("mem:spoilt?promiscuous=1");
  ASSERT_TRUE(spoilt) << spoilt.why();
  spoilt.send(sized(60, 'x'));
  const auto blocks = blocks_of(contents(file.path()));
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(frame_in(blocks[2]), sized(60, 'x'));
  const auto arrived = other.receive();
  ASSERT_EQ(arrived.size(), 1u);
  EXPECT_NE(arrived[0], sized(60, 'x'));
}

TEST(capture, overwrites_an_older_file_and_is_its_owners_alone) {
  temporary_file file;
  { std::ofstream(file.path()) << std::string(100'000, 'o'); }
  ::unlink(file.path().c_str());
  host a("mem:again?capture=" + file.path());
  struct stat found;
  ASSERT_EQ(::stat(file.path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  a.close();
  { std::ofstream(file.path()) << std::string(100'000, 'o'); }
  host b("mem:again?capture=" + file.path());
  EXPECT_EQ(blocks_of(contents(file.path())).size(), 2u);
}

// A limit on the size of files, as a full disk: the file ends with a whole frame, and the link goes on.
TEST(capture, ends_with_the_last_frame_that_fits) {
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  captured c;
  const rlimit little{1000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
  for (int i = 0; i < 20; ++i) c.outer.send(sized(86, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(c.packets().size(), (1000u - 60) / (32 + 100 + 12));
  EXPECT_EQ(c.inner->sent.size(), 20u);
}

TEST(capture, what_cannot_be_written_is_said) {
  for (const std::string path : {"/nowhere/file", "/dev/null", "/"}) {
    host refused("mem:nofile?capture=" + path);
    EXPECT_FALSE(refused);
    EXPECT_THAT(refused.why(), HasSubstr("capture=" + path));
  }
  host refused("mem:nofile?capture=" + std::string(5000, 'x'));
  EXPECT_THAT(refused.why(), HasSubstr("too long"));
}

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> some;
  while (const auto n = std::fread(some.data(), 1, some.size(), pipe)) out.append(some.data(), n);
  EXPECT_EQ(::pclose(pipe), 0) << command;
  return out;
}

TEST(capture, tshark_reads_it) {
  if (std::system("command -v tshark > /dev/null") != 0) GTEST_SKIP() << "tshark is not installed";
  captured c;
  c.outer->advance(12'345'678'901);
  c.outer.send(sized(50, 'a'));
  c.inner->to_receive = {sized(1500, 'b')};
  c.outer.receive();
  const auto read = output_of("tshark -n -r " + c.file.path() +
                              " -T fields -e frame.time_epoch -e frame.len -e eth.src -e eth.dst -e eth.type"
                              " -e frame.packet_flags_direction 2> /dev/null");
  std::vector<std::string> lines;
  std::istringstream in(read);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  const std::string macs = "02:00:00:00:00:01\t02:00:00:00:00:02\t0x88b5\t";
  EXPECT_THAT(lines,
              ElementsAre("12.345678901\t64\t" + macs + "0x00000002", "12.345678901\t1514\t" + macs + "0x00000001"));
}

}  // namespace
}  // namespace fastudp::test
