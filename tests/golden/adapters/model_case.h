// A case of golden/methods/model: its files, and the contexts of its batches.
#pragma once
#include <optional>
#include <string>

#include "base/json.h"
#include "nn/batch_context.h"
#include "support/golden_tensors.h"

namespace morex::test {

struct ModelCaseFiles {
  explicit ModelCaseFiles(const std::string& name);

  // What the model knows of the batch of this step; cluster scores in `dtype`.
  nn::BatchContext context(int64_t step, at::ScalarType dtype) const;
  at::Tensor batch(const char* name, int64_t step) const;  // a row of `batches`

  std::filesystem::path folder;
  Json config;
  GoldenTensors initial, golden, batches;
  std::optional<GoldenTensors> extra;
};

}  // namespace morex::test
