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

// Figures: time of dense / time of gather, one thread of an AMD EPYC, 11 pairs of turns each, widths 576 and 1536 (all
// of them, with other numbers of experts and tokens: `scripts/bench --executors`, docs/performance.md). E experts, k of
// them per token; what dense computes in vain for one chosen expert are `spared` = r·(E - k)/k ranks.
//
//   1024 tokens, forward and backward       one token, forward
//   E k  r  spared  float32   bfloat16      E k  r  float32    bfloat16
//   8 2  8      24  .69-.85   .42-.47       8 2  8  .61-.80    .65-.75
//   8 2 16      48  1.1-1.3   .53-.62       8 2 16  .74-1.1    .74-.99
//   8 2 64     192  2.0-2.2   1.2-1.3       8 2 64  1.3-1.9    1.2-1.7
//   4 2 32      32  1.03      .56           4 2 32  .85        .82
//   8 1 16     112  1.58      .84           8 1 16  1.11       1.39
//  16 2 32     224  2.27      1.21         16 2 32  1.95       1.75
//
// Moving rows costs what products of so few ranks cost: with many tokens the ranks spared decide, in bfloat16 only four
// times as many pay. With 256 (512) tokens the ratio is 1.0 (1.1) at 48 ranks, with 128 below 1; in bfloat16 .96 (1.08)
// at 192. With few tokens the weights read decide: spared·(d_in + d_out) elements for each chosen expert; that holds up
// to E/k tokens in float32 (4 tokens, 8 2 64: 1.1-2.1), for one in bfloat16 (4 tokens: .50-.68). In between (8 to 32
// tokens: .77-.91 and .29-.61) dense is faster.
bool gather_pays(const MixtureShape& shape, int64_t tokens, at::ScalarType type) {
  if (shape.picks <= 0 || shape.picks >= shape.experts) return false;
  const bool narrow = type == at::kBFloat16;
  const int64_t spared = shape.rank * (shape.experts - shape.picks) / shape.picks;
  if (tokens >= (narrow ? 512 : 256)) return spared >= (narrow ? 192 : 48);
  if (narrow ? tokens == 1 : tokens * shape.picks <= shape.experts)
    return spared * (shape.d_in + shape.d_out) >= (narrow ? 200'000 : 130'000);
  return false;
}

}  // namespace morex::adapters
