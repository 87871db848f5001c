// Link URIs and the registry: what is understood, and that each refusal names what it refuses.

#include "link/uri.h"

#include <gmock/gmock.h>

#include "unit/link/support.h"

namespace fastudp::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StrEq;

uri parsed(std::string_view text) {
  reason why;
  auto out = uri::parse(text, why);
  EXPECT_TRUE(out) << why.c_str();
  return *out;
}

std::string refusal(std::string_view text) {
  reason why;
  const auto out = uri::parse(text, why);
  EXPECT_FALSE(out) << text;
  EXPECT_EQ(out.code(), EINVAL) << text;
  return why.c_str();
}

TEST(uri, has_a_scheme_a_device_and_keys) {
  auto u = parsed("tap:fast0?mtu=9000&mac=02:00:00:00:00:01");
  EXPECT_EQ(u.scheme(), "tap");
  EXPECT_EQ(u.device(), "fast0");
  EXPECT_EQ(u.take("mtu"), "9000");
  EXPECT_EQ(u.take("mac"), "02:00:00:00:00:01");
  EXPECT_EQ(u.take("vlan"), std::nullopt);
}

TEST(uri, the_device_is_verbatim_up_to_the_question_mark) {
  EXPECT_EQ(parsed("dpdk:0000:01:00.0,a=b&c?x=1").device(), "0000:01:00.0,a=b&c");
  EXPECT_EQ(parsed("auto:").device(), "");
  EXPECT_EQ(parsed("mem:%41 ").device(), "%41 ");
}

TEST(uri, values_are_verbatim_up_to_the_ampersand) {
  auto u = parsed("mem:x?capture=/a/b?c=d.pcapng&loss=");
  EXPECT_EQ(u.take("capture"), "/a/b?c=d.pcapng");
  EXPECT_EQ(u.take("loss"), "");
}

TEST(uri, an_empty_list_of_keys_is_none) {
  reason why;
  EXPECT_TRUE(parsed("mem:x?").expect_all_taken(why));
  EXPECT_TRUE(parsed("mem:x").expect_all_taken(why));
}

TEST(uri, what_is_no_uri_is_said) {
  for (const char* text : {"", "eth0", ":", ":device", "?a=b"}) {
    EXPECT_THAT(refusal(text), AllOf(HasSubstr(std::string("'") + text + "'"), HasSubstr("scheme:device"))) << text;
  }
  EXPECT_THAT(refusal("mem:x?promiscuous"), HasSubstr("'promiscuous'"));
  EXPECT_THAT(refusal("mem:x?=1"), HasSubstr("'=1'"));
  EXPECT_THAT(refusal("mem:x?a=1&&b=2"), HasSubstr("''"));
  EXPECT_THAT(refusal("mem:x?mtu=1&loss=2&mtu=3"), AllOf(HasSubstr("'mtu'"), HasSubstr("twice")));
}

TEST(uri, too_many_keys_are_refused) {
  std::string text = "mem:x?k0=0";
  for (int i = 1; i < 24; ++i) text += "&k" + std::to_string(i) + "=0";
  parsed(text);
  EXPECT_THAT(refusal(text + "&one=more"), HasSubstr("24 keys"));
}

TEST(uri, a_long_text_is_cut_in_the_message) {
  EXPECT_LT(refusal(std::string(10'000, 'x')).size(), 256u);
  EXPECT_LT(refusal("mem:x?" + std::string(10'000, 'x')).size(), 256u);
}

TEST(uri, the_key_that_nobody_took_is_named) {
  auto u = parsed("mem:x?known=1&unknown=2&other=3");
  u.take("known");
  reason why;
  const auto checked = u.expect_all_taken(why);
  EXPECT_EQ(checked.code(), EINVAL);
  EXPECT_STREQ(why.c_str(), "unknown key 'unknown' for a mem: link");
  u.take("unknown");
  EXPECT_FALSE(u.expect_all_taken(why));
  EXPECT_THAT(why.c_str(), HasSubstr("'other'"));
  u.take("other");
  EXPECT_TRUE(u.expect_all_taken(why));
}

TEST(uri, numbers_are_whole_and_in_range) {
  reason why;
  auto u = parsed("mem:x?a=5&b=10&zero=0&max=18446744073709551615");
  EXPECT_EQ(*u.take_number("a", 5, 10, 7, why), 5u);
  EXPECT_EQ(*u.take_number("b", 5, 10, 7, why), 10u);
  EXPECT_EQ(*u.take_number("missing", 5, 10, 7, why), 7u);
  EXPECT_EQ(*u.take_number("zero", 0, 10, 7, why), 0u);
  EXPECT_EQ(*u.take_number("max", 0, UINT64_MAX, 7, why), UINT64_MAX);
  for (const char* value : {"", "4", "11", "-5", "+5", " 5", "5 ", "5.0", "0x5", "five", "18446744073709551616"}) {
    const auto text = std::string("mem:x?n=") + value;
    auto bad = parsed(text);
    const auto number = bad.take_number("n", 5, 10, 7, why);
    EXPECT_FALSE(number) << value;
    EXPECT_THAT(why.c_str(), AllOf(HasSubstr(std::string("n=") + value), HasSubstr("from 5 to 10"))) << value;
  }
}

TEST(uri, switches_are_on_or_off) {
  reason why;
  auto u = parsed("mem:x?a=on&b=1&c=off&d=0&bad=yes");
  EXPECT_TRUE(*u.take_switch("a", false, why));
  EXPECT_TRUE(*u.take_switch("b", false, why));
  EXPECT_FALSE(*u.take_switch("c", true, why));
  EXPECT_FALSE(*u.take_switch("d", true, why));
  EXPECT_TRUE(*u.take_switch("missing", true, why));
  EXPECT_FALSE(*u.take_switch("missing", false, why));
  EXPECT_EQ(u.take_switch("bad", false, why).code(), EINVAL);
  EXPECT_THAT(why.c_str(), HasSubstr("bad=yes"));
}

TEST(uri, a_mac_is_a_hosts_own) {
  reason why;
  auto u = parsed("mem:x?a=02:00:00:00:00:0F&group=01:00:5e:00:00:01&zero=00:00:00:00:00:00&bad=02:00");
  EXPECT_EQ(*u.take_mac("a", why), mac_of(15));
  EXPECT_TRUE(u.take_mac("missing", why)->is_zero());
  for (const char* key : {"group", "zero", "bad"}) {
    EXPECT_EQ(u.take_mac(key, why).code(), EINVAL) << key;
    EXPECT_THAT(why.c_str(), HasSubstr(std::string(key) + "=")) << key;
  }
}

TEST(uri, a_default_is_no_demand) {
  reason why;
  auto u = parsed("mem:x?given=1");
  u.set_default("given", "2");
  u.set_default("extra", "3");
  EXPECT_EQ(u.take("given"), "1");
  EXPECT_EQ(u.take("extra"), "3");
  auto untouched = parsed("mem:x");
  untouched.set_default("extra", "3");
  EXPECT_TRUE(untouched.expect_all_taken(why));
  auto unknown = parsed("mem:x?extra=1");
  unknown.set_default("extra", "3");
  EXPECT_FALSE(unknown.expect_all_taken(why));
}

TEST(registry, an_unknown_scheme_is_named_with_those_that_exist) {
  host refused("carrier-pigeon:coop");
  EXPECT_FALSE(refused);
  EXPECT_THAT(refused.why(), AllOf(HasSubstr("'carrier-pigeon:'"), HasSubstr("mem:"), HasSubstr("tap:")));
}

TEST(registry, a_scheme_is_not_matched_by_its_beginning) {
  EXPECT_FALSE(host("me:x"));
  EXPECT_FALSE(host("memo:x"));
  EXPECT_FALSE(host("MEM:x"));
  EXPECT_TRUE(host("mem:x"));
}

TEST(wrappers, their_keys_are_understood) {
  host all("mem:x?loss=10&duplicate=0.5&reorder=100&corrupt=0.0001&delay=60000000&seed=18446744073709551615");
  EXPECT_TRUE(all) << all.why();
  host none("mem:x?loss=0&duplicate=0.0&delay=0&seed=0");
  EXPECT_TRUE(none) << none.why();
}

TEST(wrappers, a_wrong_value_is_named) {
  const char* const wrong[] = {"loss=101",   "loss=100.1",     "loss=-1",  "loss=",     "loss=.5",
                               "loss=1.",    "loss=1.00001",   "loss=ten", "loss=1e1",  "duplicate=x",
                               "reorder=5%", "corrupt=1,5",    "delay=-1", "delay=1.5", "delay=60000001",
                               "seed=x",     "loss=4294967297"};
  for (const std::string pair : wrong) {
    host refused("mem:x?" + pair);
    EXPECT_FALSE(refused) << pair;
    EXPECT_THAT(refused.why(), HasSubstr(pair)) << pair;
  }
}

}  // namespace
}  // namespace fastudp::test
