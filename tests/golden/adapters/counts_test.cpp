// golden/methods/counts.json: trainable parameters on the widths of published models, no weights needed.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "meta_layer.h"
#include "recipe_of_case.h"
#include "support/paths.h"

namespace morex::test {
namespace {

class Counts : public testing::Test {
 protected:
  void SetUp() override {
    const auto path = golden_dir() / "methods" / "counts.json";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "there is no methods/counts.json in " << golden_dir();
    counts_ = read_json_file(path);
  }

  int64_t count(const std::string& model, Json recipe, const Json& targets) const {
    const Json& widths = counts_.at("dimensions").at(model);
    Json names = Json::array();
    for (const Json& target : targets) names.push_back(target.get<std::string>() + "_proj");
    recipe["target_modules"] = names;
    const int64_t layers = widths.at("layers");
    // Layers differ only where a list over layers is given.
    if (!recipe.contains("experts") || !recipe["experts"].contains("num_experts") ||
        !recipe["experts"]["num_experts"].is_array())
      return MetaLayer(widths, 0).count(recipe) * layers;
    int64_t total = 0;
    for (int64_t layer = 0; layer < layers; ++layer) total += MetaLayer(widths, layer).count(recipe);
    return total;
  }

  void check_list(const std::string& key) {
    int64_t compared = 0;
    for (const Json& row : counts_.at(key)) {
      const auto recipe = recipe_of_case(row.at("method"), row.at("config"));
      if (!recipe) {
        ++skipped_[row.at("method")];
        continue;
      }
      EXPECT_EQ(count(row.at("model"), *recipe, row.at("targets")), row.at("count").get<int64_t>()) << row.dump();
      ++compared;
    }
    EXPECT_GT(compared, 0);
    for (const auto& [method, rows] : skipped_)
      std::cout << "SKIPPED unsupported: counts of " << method << " (" << rows << ")\n";
  }

  Json counts_;
  std::map<std::string, int64_t> skipped_;
};

TEST_F(Counts, Published_totals) { check_list("published"); }
TEST_F(Counts, Usual_configurations) { check_list("table"); }

// Every printed count of the paper, with the configurations that give it (M4, M8: one level, the paper's MixLoRA).
TEST_F(Counts, Smore_paper) {
  for (const Json& row : counts_.at("smore_paper")) {
    std::string sizes = row.at("sizes");
    sizes = sizes.substr(0, sizes.find(' '));
    Json pool = Json::array(), active = Json::array();
    for (size_t at = 0; at < sizes.size(); ++at) {
      if (sizes[at] < '0' || sizes[at] > '9') continue;
      pool.push_back(sizes[at] - '0');
      active.push_back(sizes[at] == '2' ? 1 : 2);
    }
    for (const Json& config : row.at("configs")) {
      Json experts = {{"ranks", config.at("expert_dims")}, {"pool", pool}, {"active", active}};
      const Json recipe = {{"method", "smore"},
                           {"experts", experts},
                           {"router", {{"gate", row.at("gate")}, {"gate_dims", 32}, {"dim_downproj_x", 24}}}};
      const int64_t total = count(row.at("model"), recipe, {"gate", "up", "down"});
      EXPECT_EQ(total, config.at("count").get<int64_t>()) << row.dump();
      if (row.value("match", false)) {
        EXPECT_NEAR(static_cast<double>(total) / 1e9, row.at("printed_billions"), 0.0005001);
      }
    }
  }
}

}  // namespace
}  // namespace morex::test
