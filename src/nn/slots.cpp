#include "nn/slots.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/embedding.h>

#include <algorithm>

#include "base/error.h"
#include "ops/int8_blocks.h"
#include "ops/swiglu.h"
#include "ops/time_recorder.h"

namespace morex::nn {
namespace {

// "q_proj,k_proj,v_proj": the group's place in a profile.
std::string group_name(const std::vector<LinearMember>& members) {
  std::string name;
  for (const LinearMember& member : members) {
    if (!name.empty()) name += ',';
    name += member.module.substr(member.module.rfind('.') + 1);
  }
  return name;
}

}  // namespace

at::Tensor LinearWeight::rows(int64_t first, int64_t count, at::ScalarType dtype) const {
  if (in_8bit()) return ops::dequantize_int8_rows({value, scales}, first, count, dtype);
  return (transposed ? value.t() : value).narrow(0, first, count).to(dtype);
}

std::vector<at::Tensor> LinearGroup::forward(const at::Tensor& x, const BatchContext& ctx,
                                             RoutingReport& report) const {
  const std::string name = ops::recording_time() ? group_name(members) : "";
  const ops::PlaceScope place(name);
  std::vector<ops::MapWeight> weights;
  weights.reserve(members.size());
  for (const LinearMember& member : members) weights.push_back(member.weight.map());
  auto [y, shared_x] = ops::frozen_linears(x, weights);  // [T, out] each
  if (adapter != nullptr) {
    const ops::PlaceScope adapter_place(name, /*adapter=*/true);
    adapter->apply(shared_x, y, ctx, report);
  }
  for (size_t i = 0; i < members.size(); ++i) {
    if (members[i].bias.defined()) y[i].add_(members[i].bias);
  }
  return y;
}

at::Tensor Mlp::forward(const at::Tensor& x, const BatchContext& ctx, RoutingReport& report) const {
  const ops::PlaceScope place("mlp", adapter != nullptr);
  return adapter != nullptr ? adapter->apply(*this, x, ctx, report) : forward_base(x, ctx, report);
}

at::Tensor Mlp::forward_base(const at::Tensor& x, const BatchContext& ctx, RoutingReport& report) const {
  const std::vector<at::Tensor> gate_up_out = gate_up.forward(x, ctx, report);  // [T, F] each
  const at::Tensor hidden = ops::swiglu(gate_up_out[0], gate_up_out[1], activation);
  return down.forward(hidden, ctx, report)[0];  // [T, D]
}

bool SlotTable::adapters_read_other_tokens() const {
  const auto reads = [](const auto* slot) { return slot->adapter != nullptr && slot->adapter->reads_other_tokens(); };
  return std::any_of(groups.begin(), groups.end(), reads) || std::any_of(mlps.begin(), mlps.end(), reads);
}

at::Tensor Embedding::forward(const at::Tensor& ids) const {
  MOREX_ASSERT(ids.dim() == 1);
  return at::embedding(weight, ids);  // [N, D]
}

}  // namespace morex::nn
