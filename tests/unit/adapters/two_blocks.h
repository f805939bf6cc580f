// A small two-layer decoder without attention between tokens: projections, feed-forward blocks, fixed numbers.
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/sin.h>

#include <string>
#include <vector>

#include "nn/slots.h"

namespace morex::test {

struct TwoBlocks {
  static constexpr int64_t kWidth = 8, kInner = 12;

  explicit TwoBlocks(at::ScalarType dtype = at::kFloat) : attention(4), mlps(2) {
    for (int64_t layer = 0; layer < 2; ++layer) {
      const auto at = static_cast<size_t>(layer);
      const std::string path = "model.layers." + std::to_string(layer) + ".";
      nn::LinearGroup &qkv = attention[2 * at], &o = attention[2 * at + 1];
      nn::Mlp& mlp = mlps[at];
      qkv.layer = o.layer = mlp.layer = mlp.gate_up.layer = mlp.down.layer = layer;
      for (const char* name : {"q_proj", "k_proj", "v_proj"})
        add(qkv, path + "self_attn." + name, kWidth, kWidth, dtype);
      add(o, path + "self_attn.o_proj", kWidth, kWidth, dtype);
      mlp.module = path + "mlp";
      add(mlp.gate_up, mlp.module + ".gate_proj", kInner, kWidth, dtype);
      add(mlp.gate_up, mlp.module + ".up_proj", kInner, kWidth, dtype);
      add(mlp.down, mlp.module + ".down_proj", kWidth, kInner, dtype);
      for (nn::LinearGroup* group : {&qkv, &o, &mlp.gate_up, &mlp.down}) slots.groups.push_back(group);
      slots.mlps.push_back(&mlp);
    }
  }
  TwoBlocks(const TwoBlocks&) = delete;
  TwoBlocks& operator=(const TwoBlocks&) = delete;

  // x [T, kWidth] -> [T, kWidth]
  at::Tensor forward(at::Tensor x, const nn::BatchContext& ctx) const {
    nn::RoutingReport report;
    for (size_t layer = 0; layer < mlps.size(); ++layer) {
      const std::vector<at::Tensor> qkv = attention[2 * layer].forward(x, ctx, report);
      x = x + attention[2 * layer + 1].forward((qkv[0] - qkv[1]) * at::sin(qkv[2]), ctx, report)[0] * 0.3;
      x = x + mlps[layer].forward(at::sin(x), ctx, report);
    }
    return x;
  }

  std::vector<nn::LinearGroup> attention;  // qkv and o of each layer
  std::vector<nn::Mlp> mlps;
  nn::SlotTable slots;

 private:
  void add(nn::LinearGroup& group, const std::string& module, int64_t out, int64_t in, at::ScalarType dtype) {
    const at::Tensor numbers = at::arange(out * in, at::kDouble) * (0.37 + 0.01 * static_cast<double>(count_));
    const at::Tensor weight = at::sin(numbers + static_cast<double>(count_++)).view({out, in}) * 0.5;
    group.members.push_back({module, {weight.to(dtype), false}, {}});
  }
  int64_t count_ = 0;
};

}  // namespace morex::test
