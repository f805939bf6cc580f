#include "model_case.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/mm.h>

#include "../models/model_runs.h"
#include "support/paths.h"

namespace morex::test {

ModelCaseFiles::ModelCaseFiles(const std::string& name)
    : folder(golden_dir() / "methods" / "model" / name),
      config(read_json_file(folder / "config.json")),
      initial(folder / "adapter.safetensors"),
      golden(folder / "golden.safetensors"),
      batches(folder.parent_path() / "batches.safetensors") {
  if (std::filesystem::exists(folder / "extra.safetensors")) extra.emplace(folder / "extra.safetensors");
}

at::Tensor ModelCaseFiles::batch(const char* name, int64_t step) const {
  const at::Tensor all = batches.get(name);
  return all[step % all.size(0)].to(test_device());
}

nn::BatchContext ModelCaseFiles::context(int64_t step, at::ScalarType dtype) const {
  // Padded queries must not see padded keys: some losses count what padding is routed to.
  nn::BatchContext ctx =
      context_for(batch("input_ids", step), batch("attention_mask", step), {}, /*right_padded=*/false);
  ctx.phase = config.value("training_mode", false) ? nn::Phase::kTrain : nn::Phase::kPrefill;
  ctx.step = step;
  for (const char* name : {"task_ids", "sample_types"}) ctx.per_sequence[name] = batch(name, step);
  if (!extra) return ctx;
  for (const std::string& name : extra->names_with_prefix("noise."))
    ctx.given_noise[name.substr(6)] = extra->get(name)[step];
  if (extra->has("centroids"))
    ctx.per_sequence["cluster_scores"] =
        at::mm(batch("embeddings", step).to(dtype), extra->get("centroids").to(test_device(), dtype).t());
  return ctx;
}

}  // namespace morex::test
