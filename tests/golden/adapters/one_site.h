// A model of one projection, or of one feed-forward block, with an adapter on it.
#pragma once
#include <memory>
#include <string>

#include "adapters/adapter_set.h"
#include "base/json.h"
#include "nn/slots.h"

namespace morex::test {

inline const std::string kSiteModule = "model.layers.0.mlp.up_proj";
inline const std::string kBlockModule = "model.layers.0.mlp";

struct OneSite {
  // weight [out, in], bias [out] or undefined; `recipe` without targets. The adapter is attached, its tensors are zero.
  OneSite(const at::Tensor& weight, const at::Tensor& bias, Json recipe);
  // gate, up [f, d], down [d, f]: a block.
  OneSite(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& down, nn::Activation activation, Json recipe);
  OneSite(const OneSite&) = delete;
  OneSite& operator=(const OneSite&) = delete;

  at::Tensor forward(const at::Tensor& x, const nn::BatchContext& ctx, nn::RoutingReport& report) const {
    return slots.mlps.empty() ? group.forward(x, ctx, report)[0] : mlp.forward(x, ctx, report);
  }
  // The checkpoint's tensor (value or gradient) by its name after the module.
  at::Tensor value(const std::string& name) const;
  at::Tensor grad(const std::string& name) const;
  std::vector<std::string> names() const;

  std::string module;  // adapted
  nn::LinearGroup group;
  nn::Mlp mlp;
  nn::SlotTable slots;
  Warnings warnings{false, false};
  std::unique_ptr<adapters::AdapterSet> set;
};

}  // namespace morex::test
