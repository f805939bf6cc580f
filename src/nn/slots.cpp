#include "nn/slots.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/embedding.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "ops/frozen_linear.h"
#include "ops/int8_blocks.h"
#include "ops/low_rank.h"
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

GroupOutputs::GroupOutputs(at::Tensor x, const std::vector<LinearMember>& members)
    : x_(std::move(x)), members_(&members), terms_(members.size()), y_(members.size()) {}

GroupOutputs::GroupOutputs(std::vector<at::Tensor> formed) : terms_(formed.size()), y_(std::move(formed)) {}

void GroupOutputs::form(const std::vector<size_t>& members) {
  std::vector<ops::MapWeight> weights;
  std::vector<ops::LowRankTerm> terms;
  for (const size_t member : members) {
    weights.push_back((*members_)[member].weight.map());
    terms.push_back(std::exchange(terms_[member], {}));
  }
  const std::vector<at::Tensor> formed = ops::frozen_linears(x_, weights, terms);  // [T, out] each
  for (size_t i = 0; i < members.size(); ++i) y_[members[i]] = formed[i];
}

void GroupOutputs::add(size_t member, const ops::LowRankTerm& term) {
  if (!y_[member].defined() && !terms_[member].z.defined()) {
    terms_[member] = term;
  } else {
    at::Tensor& y = formed(member);
    y = ops::accumulate_up(y, term.z, term.b, term.bias);
  }
}

at::Tensor& GroupOutputs::formed(size_t member) {
  if (!y_[member].defined()) form({member});
  return y_[member];
}

std::vector<at::Tensor> GroupOutputs::take() {
  std::vector<size_t> missing;
  for (size_t i = 0; i < y_.size(); ++i)
    if (!y_[i].defined()) missing.push_back(i);
  if (!missing.empty()) form(missing);
  return std::move(y_);
}

std::vector<at::Tensor> LinearGroup::forward(const at::Tensor& x, const BatchContext& ctx,
                                             RoutingReport& report) const {
  const std::string name = ops::recording_time() ? group_name(members) : "";
  const ops::PlaceScope place(name);
  const at::Tensor shared = ops::shared_input(x);
  GroupOutputs outputs(shared, members);
  if (adapter != nullptr) {
    const ops::PlaceScope adapter_place(name, /*adapter=*/true);
    adapter->apply(shared, outputs, ctx, report);
  }
  std::vector<at::Tensor> y = outputs.take();
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
