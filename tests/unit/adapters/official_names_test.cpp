#include "adapters/official_names.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace morex::adapters {
namespace {

TEST(OfficialNames, Rename_the_end_of_a_path_and_back) {
  const std::string path = "model.layers.0.mlp.up_proj.";
  const std::array<std::array<const char*, 3>, 7> cases = {{
      {"mola", "experts.3.lora_A.weight", "lora_A_3.weight"},
      {"mola", "moe_gate.weight", "router.router.weight"},
      {"loramoe", "experts.12.lora_B.weight", "lora_B12.weight"},
      {"hydralora", "lora_A.weight", "lora_A.weight"},
      {"hydralora", "experts.0.lora_B.weight", "lora_B0.weight"},
      {"adamole", "moe_gate.threshold.bias", "lora_threshold.bias"},
      {"moelora", "experts.1.lora_A.weight", "lora_A.loraA.1.mlp.weight"},
  }};
  for (const auto& [layout, ours, official] : cases) {
    EXPECT_EQ(official_name(layout, path + ours), path + official);
    EXPECT_EQ(our_name(layout, path + official), path + ours);
    EXPECT_EQ(official_name(layout, ours), official);
  }
}

TEST(OfficialNames, Leave_what_they_do_not_know) {
  EXPECT_EQ(official_name("", "moe_gate.weight"), "moe_gate.weight");
  EXPECT_EQ(official_name("loramoe", "lora_magnitude_vector"), "lora_magnitude_vector");
  EXPECT_EQ(our_name("loramoe", "lora_Ax.weight"), "lora_Ax.weight");
  EXPECT_THROW(our_name("lora_moe", "lora_A0.weight"), Error);
}

}  // namespace
}  // namespace morex::adapters
