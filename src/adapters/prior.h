// Third axis: what is known beforehand. A prior changes a router's probabilities before it chooses, or the gates after.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "adapters/gates.h"
#include "adapters/site.h"
#include "base/json.h"

namespace morex::adapters {

class Prior {
 public:
  virtual ~Prior() = default;

  virtual const std::vector<TensorSpec>& tensors() const = 0;
  // logits [rows, experts] of one level (rows = tokens x parents) -> the logits to choose by.
  virtual at::Tensor before_choice(const at::Tensor& logits, int64_t level, const std::vector<at::Tensor>& own,
                                   const TokenRows& rows) const = 0;
  virtual int64_t clusters() const { return 0; }    // scores it needs of every sequence
  virtual bool keeps_sums() const { return true; }  // after_choice leaves the sum of a token's gates as it is
  virtual Gates after_choice(Gates gates, const std::vector<at::Tensor>& own, const TokenRows& rows) const = 0;
};

struct MakePrior {
  const Json& options;  // the recipe's `prior`, kind included
  const GateShape& shape;
  const Site& site;
};

// One line per prior: prior/table.h.
struct PriorKind {
  std::string_view name;
  bool (*fits)(GateKind kind);
  std::unique_ptr<Prior> (*make)(const MakePrior& from);  // throws Error(kConfig)
};
const PriorKind& find_prior(const std::string& name, const std::string& where);

}  // namespace morex::adapters
