// Looks over the shoulder of an adapter: what it is given and what it adds, token by token, without changing either.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "nn/slots.h"

namespace morex::adapters {

// The rows of values [T, …] that are real tokens.
at::Tensor real_rows(const at::Tensor& values, const nn::BatchContext& ctx);

// While it lives, `seen` receives, for every pass through the group, its input and the update of each member: the real
// tokens' rows of x [T, d_in] and y_after - y_before [T, d_out]. The group's adapter must be attached.
class WatchedGroup final : public nn::GroupAdapter {
 public:
  using Seen = std::function<void(const at::Tensor& x, const std::vector<at::Tensor>& updates)>;
  WatchedGroup(nn::LinearGroup& group, Seen seen);
  ~WatchedGroup() override;
  WatchedGroup(const WatchedGroup&) = delete;
  WatchedGroup& operator=(const WatchedGroup&) = delete;

  void apply(const at::Tensor& x, nn::GroupOutputs& y, const nn::BatchContext& ctx,
             nn::RoutingReport& report) const override;
  bool reads_other_tokens() const override { return inner_->reads_other_tokens(); }

 private:
  nn::LinearGroup& group_;
  const nn::GroupAdapter* inner_;
  Seen seen_;
};

// The same for a feed-forward block: its input x and output y [T, D], all rows.
class WatchedBlock final : public nn::MlpAdapter {
 public:
  using Seen = std::function<void(const at::Tensor& x, const at::Tensor& y, const nn::BatchContext& ctx)>;
  WatchedBlock(nn::Mlp& mlp, Seen seen);
  ~WatchedBlock() override;
  WatchedBlock(const WatchedBlock&) = delete;
  WatchedBlock& operator=(const WatchedBlock&) = delete;

  at::Tensor apply(const nn::Mlp& mlp, const at::Tensor& x, const nn::BatchContext& ctx,
                   nn::RoutingReport& report) const override;
  bool reads_other_tokens() const override { return inner_->reads_other_tokens(); }

 private:
  nn::Mlp& mlp_;
  const nn::MlpAdapter* inner_;
  Seen seen_;
};

}  // namespace morex::adapters
