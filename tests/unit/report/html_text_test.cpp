#include "report/html_text.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace morex::report {
namespace {

TEST(HtmlText, Nothing_that_means_something_in_html_stays) {
  EXPECT_EQ(escape_html("<a href='x'>\"&amp;\"</a>"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;amp;&quot;&lt;/a&gt;");
  EXPECT_EQ(escape_html("plain ü 漢"), "plain ü 漢");
}

TEST(HtmlText, Json_cannot_end_its_script_element_and_reads_back) {
  const Json value = {{"text", "</script><!-- & <b>"}, {"key<", 1}};
  const std::string text = script_json(value);
  EXPECT_EQ(text.find_first_of("<>&"), std::string::npos) << text;
  EXPECT_EQ(Json::parse(text), value);
  EXPECT_EQ(Json::parse(script_json({{"half", "\xE6\xBC"}}))["half"], "\uFFFD");
}

TEST(HtmlText, Base64_of_the_standard) {  // RFC 4648, section 10
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) EXPECT_EQ(base64(bytes), text);
  EXPECT_EQ(base64(std::string("\xFF\x00\xFE", 3)), "/wD+");
}

TEST(HtmlText, A_template_is_filled_in_one_pass) {
  EXPECT_EQ(fill_template("a {{X}}{{Y}} b", {{"X", "{{Y}}"}, {"Y", "2"}}), "a {{Y}}2 b");
  EXPECT_EQ(fill_template("none", {}), "none");
  EXPECT_THROW(fill_template("{{Z}}", {{"X", ""}}), Error);
  EXPECT_THROW(fill_template("{{X", {{"X", ""}}), Error);
}

}  // namespace
}  // namespace morex::report
