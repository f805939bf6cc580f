#include "adapters/router/mixed_routers.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>

#include "base/strings.h"
#include "ops/row_softmax.h"
#include "ops/softmax_mixture.h"
#include "ops/top_k.h"

namespace morex::adapters {
namespace {

// One of `names`, by its place.
size_t read_choice(const JsonReader& options, const std::string& key, const std::vector<std::string>& names) {
  const auto given = options.get_or<std::string>(key, names.front());
  for (size_t i = 0; i < names.size(); ++i)
    if (given == names[i]) return i;
  fail(ErrorKind::kConfig, "[router] {} must be one of {}, got '{}'.{}", key, join(names, ", "), given,
       did_you_mean(given, names));
}

// Σ_n p_n·values_n over the sub-routers' [n, …] values; undefined where the choice does not give them.
at::Tensor weighted(const at::Tensor& p, const std::vector<Chosen>& parts, at::Tensor Chosen::*field) {
  at::Tensor sum;
  for (size_t i = 0; i < parts.size(); ++i) {
    const at::Tensor& value = parts[i].*field;
    if (!value.defined()) return {};
    const at::Tensor weight = p.select(1, static_cast<int64_t>(i));
    const at::Tensor part = (value.dim() == 1 ? weight : weight.unsqueeze(1)) * value;
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

}  // namespace

MixtureOptions read_mixture(const Json& options) {
  const JsonReader reader(options, "router", ErrorKind::kConfig);
  reader.refuse_unknown_keys({"kind", "num_routers", "combine", "weighting", "select", "main_top_n", "router"});
  MixtureOptions made;
  made.routers = reader.get_or<int64_t>("num_routers", made.routers);
  MOREX_CHECK(made.routers >= 1, ErrorKind::kConfig, "[router] num_routers must be at least 1, got {}", made.routers);
  made.logit = read_choice(reader, "combine", {"prob", "logit"}) == 1;
  made.learned = read_choice(reader, "weighting", {"learned", "uniform"}) == 0;
  made.select = static_cast<MixtureOptions::Select>(
      read_choice(reader, "select", {"mix_then_topk", "topk_then_mix", "topk_mix_topk"}));
  made.main_top_n = reader.get_or<int64_t>("main_top_n", made.routers);
  MOREX_CHECK(made.main_top_n >= 1 && made.main_top_n <= made.routers, ErrorKind::kConfig,
              "[router] main_top_n must be at least 1 and at most num_routers, {}, got {}", made.routers,
              made.main_top_n);
  return made;
}

const Json& wrapped_router(const Json& options) {
  const Json& router = JsonReader(options, "router", ErrorKind::kConfig).raw("router");
  MOREX_CHECK(router.is_object() && router.contains("kind"), ErrorKind::kConfig,
              "[router] mixture_of_routers wraps another router: router must be an object with a kind, got {}",
              router.dump());
  return router;
}

at::Tensor main_weights(const at::Tensor& v, int64_t rows, const MixtureOptions& options, at::TensorOptions like) {
  const at::Tensor p = v.defined() ? ops::row_softmax(v)
                                   : at::full({rows, options.routers}, 1.0 / static_cast<double>(options.routers),
                                              like.requires_grad(false));
  if (options.main_top_n == options.routers) return p;
  const ops::TopK top = ops::top_k(p, options.main_top_n, /*shares=*/true);
  return at::zeros_like(p).scatter(1, top.ids, top.values);
}

Mixed mix_routers(const at::Tensor& logits, const at::Tensor& p, const MixtureOptions& options,
                  const std::function<Chosen(const at::Tensor&)>& choose) {
  using Select = MixtureOptions::Select;
  Mixed mixed;
  mixed.pi = options.logit ? ops::row_softmax((p.unsqueeze(2) * logits).sum(1)) : ops::softmax_mixture(logits, p);
  if (options.select == Select::kMixThenTopK) {
    mixed.chosen = choose(mixed.pi);
    return mixed;
  }
  const at::Tensor each = at::softmax(logits, 2);  // [n, N, E]
  std::vector<Chosen> parts;
  for (int64_t n = 0; n < options.routers; ++n) {
    parts.push_back(choose(each.select(1, n)));
    parts.back().weights = dense_weights(parts.back(), each.size(2));
  }
  const at::Tensor sum = weighted(p, parts, &Chosen::weights);  // [n, E]
  if (options.select == Select::kTopKMixTopK) {
    mixed.chosen = choose(sum);
    return mixed;
  }
  mixed.chosen.weights = sum;
  mixed.chosen.selected = at::gt(sum.detach(), 0).to(sum.scalar_type());
  for (const auto field : {&Chosen::averaged, &Chosen::shares, &Chosen::load, &Chosen::entropy})
    mixed.chosen.*field = weighted(p, parts, field);
  return mixed;
}

void report_main(const at::Tensor& p, const std::string& name, const TokenRows& rows) {
  if (rows.recorder == nullptr) return;
  nn::GateReport& gate = rows.recorder->gates.back();
  const at::Tensor each = p.view({rows.count, -1, p.size(1)});  // [T, parents, N]
  add_sum(gate, "main_balance", "main.probability", each.sum(1), rows);
  add_sum(gate, "main_balance", "main.counts", at::gt(each.detach(), 0).sum(1).to(p.scalar_type()), rows);
  if (rows.recorder->keep_details) rows.recorder->details.emplace_back(name, p);
}

}  // namespace morex::adapters
