#include "base/json.h"

#include <gtest/gtest.h>

namespace morex {
namespace {

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(JsonReader, gives_typed_values_and_fallbacks) {
  const Json object = parse_json(R"({"a": 3, "b": 2.5, "c": "x", "d": [1, 2], "e": null, "f": true, "g": 1e3})", "t");
  const JsonReader reader(object, "t");
  EXPECT_EQ(reader.get<int64_t>("a"), 3);
  EXPECT_EQ(reader.get<double>("a"), 3.0);
  EXPECT_EQ(reader.get<std::string>("c"), "x");
  EXPECT_EQ(reader.get<std::vector<int64_t>>("d"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(reader.get_or<double>("e", 7.0), 7.0);
  EXPECT_EQ(reader.find<bool>("missing"), std::nullopt);
  EXPECT_EQ(reader.get<bool>("f"), true);
  EXPECT_EQ(reader.get<int64_t>("g"), 1000);
}

TEST(JsonReader, errors_name_place_key_expectation_and_value) {
  const Json object = parse_json(R"({"rank": "eight", "n": 1.5})", "recipe.yaml");
  const JsonReader reader(object, "recipe.yaml", ErrorKind::kConfig);
  const std::string text = message_of([&] { (void)reader.get<int64_t>("rank"); });
  for (const char* part : {"recipe.yaml", "rank", "an integer", "eight"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_NE(message_of([&] { (void)reader.get<int64_t>("n"); }), "");
  EXPECT_NE(message_of([&] { (void)reader.get<bool>("missing"); }).find("missing"), std::string::npos);
}

TEST(JsonReader, an_unknown_key_gets_the_nearest_known_one) {
  const Json object = parse_json(R"({"learning_rat": 1})", "t");
  const std::string text = message_of([&] {
    JsonReader(object, "t").refuse_unknown_keys({"learning_rate", "seed", "dtype"});
  });
  EXPECT_NE(text.find("'learning_rat'"), std::string::npos);
  EXPECT_NE(text.find("Did you mean 'learning_rate'?"), std::string::npos);
}

TEST(Json, broken_and_bottomless_text_are_errors) {
  EXPECT_NE(message_of([] { (void)parse_json("{\"a\": }", "x.json"); }).find("x.json"), std::string::npos);
  EXPECT_NE(message_of([] { (void)parse_json(std::string(100000, '['), "x.json"); }).find("deep"), std::string::npos);
  EXPECT_EQ(parse_json("[\"[[[\"]", "x")[0], "[[[");
}

}  // namespace
}  // namespace morex
