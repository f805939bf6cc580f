// The projections of a small two-layer decoder, with fixed numbers.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/sin.h>

#include <string>
#include <vector>

#include "nn/slots.h"

namespace morex::test {

struct TwoLayers {
  static constexpr int64_t kWidth = 8, kInner = 12;

  explicit TwoLayers(at::ScalarType dtype = at::kFloat) {
    groups.reserve(9);
    for (int64_t layer = 0; layer < 2; ++layer) {
      add(layer, {{"self_attn.q_proj", kWidth}, {"self_attn.k_proj", 4}, {"self_attn.v_proj", 4}}, kWidth, dtype);
      add(layer, {{"self_attn.o_proj", kWidth}}, kWidth, dtype);
      add(layer, {{"mlp.gate_proj", kInner}, {"mlp.up_proj", kInner}}, kWidth, dtype);
      add(layer, {{"mlp.down_proj", kWidth}}, kInner, dtype);
    }
    add(-1, {{"lm_head", 16}}, kWidth, dtype);
    for (nn::LinearGroup& group : groups) slots.groups.push_back(&group);
  }
  TwoLayers(const TwoLayers&) = delete;
  TwoLayers& operator=(const TwoLayers&) = delete;

  std::vector<nn::LinearGroup> groups;
  nn::SlotTable slots;

 private:
  void add(int64_t layer, const std::vector<std::pair<std::string, int64_t>>& members, int64_t in,
           at::ScalarType dtype) {
    nn::LinearGroup group;
    group.layer = layer;
    for (const auto& [name, out] : members) {
      const std::string module = layer < 0 ? name : "model.layers." + std::to_string(layer) + "." + name;
      const at::Tensor numbers = at::arange(out * in, at::kDouble) * 0.37 + static_cast<double>(out + layer);
      group.members.push_back({module, {at::sin(numbers).view({out, in}).to(dtype), false}, {}});
    }
    groups.push_back(std::move(group));
  }
};

}  // namespace morex::test
