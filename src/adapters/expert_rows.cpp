#include "adapters/expert_rows.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

namespace morex::adapters {
namespace {

// What a place (token, choice) of the gates stands for.
class Places {
 public:
  explicit Places(const LevelGates& level)
      : weights_(level.weights.detach().reshape({-1}).to(at::kDouble).cpu().contiguous()) {
    if (level.ids.defined()) ids_ = level.ids.reshape({-1}).cpu().contiguous();
    if (level.overflow.defined()) overflow_ = level.overflow.cpu().contiguous();
    width_ = level.weights.size(2);
    weight_ = weights_.const_data_ptr<double>();
    id_ = ids_.defined() ? ids_.const_data_ptr<int64_t>() : nullptr;
    full_ = overflow_.defined() ? overflow_.const_data_ptr<bool>() : nullptr;
  }

  int64_t count() const { return weights_.numel(); }
  int64_t token(int64_t place) const { return place / width_; }
  int64_t expert(int64_t place) const { return id_ != nullptr ? id_[place] : place % width_; }
  bool chosen(int64_t place) const { return weight_[place] != 0.0 && (full_ == nullptr || !full_[token(place)]); }

 private:
  at::Tensor weights_, ids_, overflow_;
  int64_t width_ = 1;
  const double* weight_ = nullptr;
  const int64_t* id_ = nullptr;
  const bool* full_ = nullptr;
};

}  // namespace

RowsByExpert rows_by_expert(const LevelGates& level, int64_t experts) {
  const Places places(level);
  // A counting sort: it keeps the tokens of an expert in their order.
  std::vector<int64_t> counts(static_cast<size_t>(experts));
  for (int64_t p = 0; p < places.count(); ++p)
    if (places.chosen(p)) ++counts[static_cast<size_t>(places.expert(p))];
  std::vector<int64_t> next(counts.size());
  int64_t total = 0;
  for (size_t e = 0; e < counts.size(); ++e) {
    next[e] = total;
    total += counts[e];
  }
  const at::Tensor tokens = at::empty({total}, at::kLong), sources = at::empty({total}, at::kLong);
  int64_t *token = tokens.mutable_data_ptr<int64_t>(), *source = sources.mutable_data_ptr<int64_t>();
  for (int64_t p = 0; p < places.count(); ++p) {
    if (!places.chosen(p)) continue;
    const int64_t at = next[static_cast<size_t>(places.expert(p))]++;
    token[at] = places.token(p);
    source[at] = p;
  }
  const at::Device device = level.weights.device();
  return {{tokens.to(device), std::move(counts)}, level.weights.reshape({-1}).index_select(0, sources.to(device))};
}

}  // namespace morex::adapters
