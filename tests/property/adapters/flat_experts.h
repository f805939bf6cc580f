// One projection with flat experts in float64, filled with fixed numbers: what the identities of methods start from.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/sin.h>

#include <memory>
#include <string>

#include "../../golden/adapters/one_site.h"
#include "adapters/router/flat_choice.h"

namespace morex::test {

inline constexpr int64_t kIn = 6, kOut = 5, kExperts = 4, kTokens = 10;

// Different, irrational-looking numbers of a tensor numbered `t`.
inline at::Tensor filler(int64_t t, at::IntArrayRef shape) {
  const at::Tensor k = at::arange(c10::multiply_integers(shape), at::kDouble);
  return at::sin(12.9898 * static_cast<double>(t) + 78.233 * k + 0.5).view(shape);
}

struct FlatExperts {
  // `experts`, `router`, `losses`: JSON of the axes; keys of `experts` over {low_rank_experts, r 2, alpha 3, E 4}.
  FlatExperts(const std::string& experts, const std::string& router, const std::string& losses = "[]") {
    Json recipe = {{"experts", {{"kind", "low_rank_experts"}, {"r", 2}, {"lora_alpha", 3}, {"num_experts", kExperts}}},
                   {"router", parse_json(router, "test")},
                   {"losses", parse_json(losses, "test")}};
    recipe["experts"].update(parse_json(experts, "test"));
    site = std::make_unique<OneSite>(filler(1, {kOut, kIn}), filler(2, {kOut}), recipe);
    const at::NoGradGuard guard;
    int64_t number = 10;
    for (const std::string& name : site->names()) {
      const at::Tensor value = site->value(name);
      value.copy_(filler(number++, value.sizes()));
    }
    ctx.batch = 2;
    ctx.length = kTokens / 2;
  }

  at::Tensor input() const { return filler(0, {kTokens, kIn}) * 1.5; }
  // Fresh report each time; details are kept.
  at::Tensor run() {
    report = {};
    report.keep_details = true;
    const at::NoGradGuard guard;
    return site->forward(input(), ctx, report);
  }
  at::Tensor base() const {
    return input().matmul(site->group.members[0].weight.value.t()) + site->group.members[0].bias;
  }
  at::Tensor detail(const std::string& name) const { return report.details.at(kSiteModule + "." + name); }
  double loss() const { return site->set->auxiliary_loss(report).item<double>(); }
  void set(const std::string& name, const at::Tensor& value) const {
    const at::NoGradGuard guard;
    site->value(name).copy_(value);
  }
  at::Tensor get(const std::string& name) const { return site->value(name).clone(); }
  // Takes every tensor that `from` has under the same name.
  void take(const FlatExperts& from) const {
    for (const std::string& name : site->names())
      for (const std::string& other : from.site->names())
        if (name == other) set(name, from.get(other));
  }

  std::unique_ptr<OneSite> site;
  nn::BatchContext ctx;
  nn::RoutingReport report;
};

}  // namespace morex::test
