// The page as text: well-formed, self-contained, escaped, and no larger than it may be.
#include "report/routing_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "report/html_text.h"
#include "unit/report/traced_model.h"

namespace morex::test {
namespace {

const report::TraceLabels kLabels = {"<adapter> & co", "tiny", "rows"};

Json method(const std::string& name) {
  if (name == "smore")
    return {{"method", name}, {"experts", {{"ranks", {2, 3}}, {"pool", {3, 4}}, {"active", {2, 2}}}}};
  if (name == "trex")
    return {{"method", name},
            {"experts", {{"rank_allocation", {2, 3}}}},
            {"prior", {{"kind", "clusters"}, {"use_scores", false}}}};
  return {{"method", name}, {"experts", {{"r", 2}}}};
}

// Every element that is opened is closed, in order; script and style hold no markup. Returns the names seen.
std::multiset<std::string> check_elements(const std::string& page) {
  const std::set<std::string> empty = {"meta", "!doctype"};
  std::vector<std::string> open;
  std::multiset<std::string> seen;
  for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at)) {
    const size_t end = page.find('>', at);
    if (end == std::string::npos) {
      ADD_FAILURE() << "a tag without end at " << at;
      break;
    }
    std::string tag = page.substr(at + 1, end - at - 1);
    at = end + 1;
    const bool closes = tag[0] == '/';
    const std::string name = tag.substr(closes ? 1 : 0, tag.find_first_of(" \n", 1) - (closes ? 1 : 0));
    EXPECT_EQ(std::count(tag.begin(), tag.end(), '"') % 2, 0) << tag;
    if (closes) {
      if (open.empty() || open.back() != name) {
        ADD_FAILURE() << "</" << name << "> closes " << (open.empty() ? "nothing" : open.back());
        break;
      }
      open.pop_back();
      continue;
    }
    seen.insert(name);
    if (empty.contains(name)) continue;
    open.push_back(name);
    if (name == "script" || name == "style") at = page.find("</" + name + ">", at);
  }
  EXPECT_TRUE(open.empty()) << open.back() << " is not closed";
  return seen;
}

std::string between(const std::string& page, const std::string& begin, const std::string& end) {
  const size_t from = page.find(begin) + begin.size();
  return page.substr(from, page.find(end, from) - from);
}

Json data_of(const std::string& page) {
  return Json::parse(between(page, "<script type=\"application/json\" id=\"data\">", "</script>"));
}

TEST(RoutingPage, Is_well_formed_and_needs_nothing_else) {
  for (const char* name : {"smore", "trex", "mor", "mola", "mixlora"}) {
    SCOPED_TRACE(name);
    const std::string page = report::routing_page(TracedModel(method(name)).trace(), kLabels);
    EXPECT_TRUE(page.starts_with("<!doctype html>"));
    const std::multiset<std::string> seen = check_elements(page);
    EXPECT_EQ(seen.count("script"), 2u);
    EXPECT_EQ(seen.count("link") + seen.count("img") + seen.count("iframe"), 0u);
    for (const char* resource : {"src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest", "https:"})
      EXPECT_EQ(page.find(resource), std::string::npos) << resource;
    // The one address is the name of SVG's elements.
    for (size_t at = page.find("http:"); at != std::string::npos; at = page.find("http:", at + 1))
      EXPECT_TRUE(page.substr(at).starts_with("http://www.w3.org/2000/svg\""));
    EXPECT_NE(page.find("<title>Routing of &lt;adapter&gt; &amp; co</title>"), std::string::npos);
    EXPECT_EQ(data_of(page)["adapter"], "<adapter> & co");
  }
}

TEST(RoutingPage, No_element_is_asked_for_that_is_not_there) {
  const std::string page = report::routing_page(TracedModel(method("mola")).trace(), kLabels);
  const std::string call = "getElementById(\"";
  size_t calls = 0;
  for (size_t at = page.find(call); at != std::string::npos; at = page.find(call, at + 1), ++calls) {
    const std::string id = between(page.substr(at), call, "\"");
    EXPECT_NE(page.find("id=\"" + id + "\""), std::string::npos) << id;
  }
  EXPECT_GT(calls, 3u);
}

TEST(RoutingPage, Packed_gates_read_back) {
  const report::RoutingTrace trace = TracedModel(method("mola")).trace();
  const Json data = data_of(report::routing_page(trace, kLabels));
  const Json& packed = data["sites"][0]["gates"][0]["tokens"]["weights"];
  const at::Tensor& weights = trace.sites[0].gates[0].weights;
  EXPECT_EQ(packed["n"], weights.size(1));
  EXPECT_EQ(packed["lo"], 0.0);
  const auto bytes = static_cast<size_t>(weights.numel());
  EXPECT_EQ(packed["b"].get<std::string>().size(), (bytes + 2) / 3 * 4);
  std::string expected;
  for (int64_t i = 0; i < weights.numel(); ++i)
    expected += static_cast<char>(std::lround(weights.flatten()[i].item<double>() / packed["hi"].get<double>() * 255));
  EXPECT_EQ(packed["b"], report::base64(expected));
  EXPECT_EQ(data["sequences"][1]["texts"][0], " <8>");
  EXPECT_TRUE(data["notes"].empty());
}

TEST(RoutingPage, Is_cut_to_its_limit_and_says_so) {
  const report::RoutingTrace trace = TracedModel(method("trex")).trace();
  const std::string whole = report::routing_page(trace, kLabels);
  const auto size = static_cast<int64_t>(whole.size());
  const std::string cut = report::routing_page(trace, kLabels, size - 1000);
  EXPECT_LE(static_cast<int64_t>(cut.size()), size - 1000);
  const Json data = data_of(cut);
  EXPECT_LT(data["shown"].get<int64_t>(), 15);
  EXPECT_GT(data["shown"].get<int64_t>(), 0);
  EXPECT_NE(data["notes"][0].get<std::string>().find("of 15"), std::string::npos);
  EXPECT_EQ(data["tokens"], 15);
  check_elements(cut);
  EXPECT_THROW(report::routing_page(trace, kLabels, 10000), Error);
}

TEST(RoutingJson, Holds_the_same_numbers_unpacked) {
  const report::RoutingTrace trace = TracedModel(method("smore")).trace();
  const Json json = report::describe_trace(trace, kLabels, {trace.shown, true}, report::plain_rows);
  const Json& site = json["sites"][0];
  EXPECT_EQ(site["shape"], "tree");
  EXPECT_EQ(site["gates"][1]["level"], 1);
  EXPECT_EQ(site["gates"][1]["experts"], 4);
  EXPECT_EQ(site["gates"][1]["tokens"]["ids"].size(), 15u);
  EXPECT_EQ(site["gates"][0]["tokens"]["weights"][3].size(), 4u);
  EXPECT_EQ(site["gates"][0]["cosines"].size(), 3u);
  EXPECT_NEAR(site["gates"][0]["cosines"][1][1].get<double>(), 1.0, 1e-4);
  EXPECT_FALSE(site["paths"].empty());
  EXPECT_EQ(json["summary"]["gates"], json["sites"].size() * 2);
}

}  // namespace
}  // namespace morex::test
