#include "adapters/expert_rows.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/sort.h>

namespace morex::adapters {

RowsByExpert rows_by_expert(const LevelGates& level, int64_t experts) {
  const int64_t tokens = level.weights.size(0), width = level.weights.size(2);
  const at::Tensor weights = level.weights.reshape({-1});  // [T·k]
  at::Tensor chosen = weights.detach().ne(0);
  if (level.overflow.defined()) chosen = chosen.logical_and(level.overflow.logical_not().repeat_interleave(width));
  const at::Tensor places = chosen.nonzero().squeeze(1);  // [N]
  const at::Tensor ids =
      level.ids.defined() ? level.ids.reshape({-1}) : at::arange(experts, places.options()).repeat({tokens});  // [T·k]
  const auto [sorted, order] = at::sort(ids.index_select(0, places), /*stable=*/true, /*dim=*/0, /*descending=*/false);
  const at::Tensor grouped = places.index_select(0, order);
  const at::Tensor counts = at::bincount(sorted, {}, experts).cpu();  // [E]
  const int64_t* count = counts.const_data_ptr<int64_t>();
  return {{grouped.floor_divide(width), {count, count + experts}}, weights.index_select(0, grouped)};
}

}  // namespace morex::adapters
