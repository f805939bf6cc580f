#include "unit/report/traced_model.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>

#include "support/paths.h"

namespace morex::test {

TracedModel::TracedModel(const Json& method)
    : model(models::load_model(source_dir() / "tests" / "golden" / "data" / "gguf" / "llama_untied_hf",
                               {at::kFloat, at::kCPU}, warnings)),
      set(adapters::AdapterSet::create(method, model->slots(), at::kFloat, at::kCPU, warnings)) {
  const at::NoGradGuard guard;
  const at::Tensor values = set->parameters().values();
  values.copy_(at::sin(at::arange(values.numel(), at::kFloat) * 12.9898) * 0.4);
  set->attach();
}

std::vector<report::TracedSequence> TracedModel::sequences() const {
  std::vector<report::TracedSequence> all(2);
  all[0].name = "line 1";
  all[0].ids = {5, 9, 100, 42, 7, 7, 250, 3, 60};
  all[1].name = "line 2";
  all[1].ids = {8, 30, 31, 32, 200, 11};
  for (report::TracedSequence& sequence : all)
    for (const int64_t id : sequence.ids) sequence.texts.push_back(" <" + std::to_string(id) + ">");
  return all;
}

report::RoutingTrace TracedModel::trace(const report::TraceOptions& options) const {
  return report::trace_routing(*model, *set, sequences(), options, [](int64_t) {});
}

std::map<std::string, at::Tensor> TracedModel::details(size_t s) const {
  const at::NoGradGuard guard;
  const std::vector<int64_t> ids = sequences()[s].ids;
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = static_cast<int64_t>(ids.size());
  nn::RoutingReport report;
  report.keep_details = true;
  model->hidden(at::tensor(ids, at::kLong).unsqueeze(0), ctx, report);
  return report.details;
}

}  // namespace morex::test
