#include "adapters/structure/execution.h"

#include "base/error.h"
#include "base/strings.h"

namespace morex::adapters {

Execution read_execution(const JsonReader& experts) {
  const auto execution = experts.get_or<std::string>("execution", "auto");
  if (execution == "auto") return Execution::kAuto;
  if (execution == "dense") return Execution::kDense;
  MOREX_CHECK(execution == "gather", ErrorKind::kConfig,
              "[experts] execution must be auto, dense or gather, got '{}'.{}", execution,
              did_you_mean(execution, {"auto", "dense", "gather"}));
  return Execution::kGather;
}

// Figures: time of dense / time of gather on an AMD EPYC, E experts, k of them per token; what dense computes in vain
// for one chosen expert are `spared` = r·(E - k)/k ranks. Alone: one projection without its base, one thread, widths
// 576 and 1536 (all of them, and the commands: docs/performance.md). In a step: all projections of
// SmolLM2-135M, two threads, where dense experts are summed in one pass with the base.
//
//                      alone, forward and backward                  in a step, 1024 tokens
//   E k  r  spared     256 tokens     1024 tokens: float32  bfloat16        float32  bfloat16
//   8 2  8      24                           .75-.88   .79-.92
//   8 2 16      48      1.08, .81            1.2-1.5   1.02-1.2              .93      .85
//   8 2 32      96                                                          1.13      .98
//   8 1 16     112                              1.99      1.63              1.00     1.00
//   8 2 64     192      1.79, 1.45           2.2-2.4   1.7-2.0              1.26     1.23
//
// Moving rows costs what products of so few ranks cost: the ranks spared decide, and the tokens that share a call's
// cost (128 tokens: at 192 ranks 1.1-1.35 alone, at 48 .46-.94). While decoding dense does not read the up rows of
// experts that no token chose, and costs one product where gather costs k: at 192 ranks .75-1.2 and .63-1.0 for one
// token, .44-.83 and .51-.71 for four.
bool gather_pays(const MixtureShape& shape, int64_t tokens, at::ScalarType type) {
  if (shape.picks <= 0 || shape.picks >= shape.experts) return false;
  const int64_t spared = shape.rank * (shape.experts - shape.picks) / shape.picks;
  return spared >= (type == at::kBFloat16 ? 128 : 96) && spared * tokens >= 48 * 1024;
}

}  // namespace morex::adapters
