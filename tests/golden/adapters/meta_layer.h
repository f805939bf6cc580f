// One decoder layer's projections of a model, on the meta device: what a method trains there.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "adapters/adapter_set.h"
#include "base/json.h"

namespace morex::test {

class MetaLayer {
 public:
  // widths: hidden, ffn, q_width, kv_width.
  MetaLayer(const Json& widths, int64_t layer) : layer_(layer) {
    const int64_t d = widths.at("hidden"), f = widths.at("ffn"), q = widths.at("q_width"), kv = widths.at("kv_width");
    add({{"self_attn.q_proj", q}, {"self_attn.k_proj", kv}, {"self_attn.v_proj", kv}}, d);
    add({{"self_attn.o_proj", d}}, q);
    for (nn::LinearGroup& group : groups_) slots_.groups.push_back(&group);
    mlp_.module = "model.layers.0.mlp";
    mlp_.layer = layer;
    mlp_.gate_up = group_of({{"mlp.gate_proj", f}, {"mlp.up_proj", f}}, d);
    mlp_.down = group_of({{"mlp.down_proj", d}}, f);
    slots_.groups.push_back(&mlp_.gate_up);
    slots_.groups.push_back(&mlp_.down);
    slots_.mlps.push_back(&mlp_);
  }

  nn::SlotTable& slots() { return slots_; }
  // Trainable parameters of the recipe on this layer.
  int64_t count(const Json& recipe) {
    Warnings warnings(false, false);
    const auto set = adapters::AdapterSet::create(recipe, slots_, at::kFloat, at::kMeta, warnings);
    int64_t total = 0;
    for (const adapters::SiteCost& cost : set->costs()) total += cost.trainable;
    EXPECT_EQ(total, set->parameters().parameter_count());
    return total;
  }

 private:
  void add(const std::vector<std::pair<std::string, int64_t>>& members, int64_t in) {
    groups_.push_back(group_of(members, in));
  }
  nn::LinearGroup group_of(const std::vector<std::pair<std::string, int64_t>>& members, int64_t in) const {
    nn::LinearGroup group;
    group.layer = layer_;
    for (const auto& [name, out] : members)
      group.members.push_back(
          {"model.layers.0." + name, {at::empty({out, in}, at::TensorOptions().device(at::kMeta)), false}, {}});
    return group;
  }

  int64_t layer_;
  std::vector<nn::LinearGroup> groups_;
  nn::Mlp mlp_;
  nn::SlotTable slots_;
};

}  // namespace morex::test
