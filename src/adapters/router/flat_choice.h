// Which experts of one flat pool a token gets, and with what weights: the piece that flat routers, mixtures of routers
// and other gates over one pool share. A choice works on probabilities, whoever made them.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "adapters/gates.h"
#include "adapters/site.h"
#include "base/json.h"
#include "base/warnings.h"

namespace morex::adapters {

// What a choice sees of n rows.
struct FlatInput {
  at::Tensor pi;                // [n, E] probabilities
  at::Tensor u;                 // [n, rows()] product of the choice's own router rows; undefined when it has none
  std::vector<at::Tensor> own;  // indexed like tensors(), only kOwn entries are defined
};

struct Chosen {
  at::Tensor ids;       // [n, k] int64, descending; undefined: `weights` has a place for every expert
  at::Tensor weights;   // [n, k], or [n, E] with zeros outside the selection
  at::Tensor selected;  // [n, E] 1 for chosen experts, in the weights' dtype; undefined: the `ids`, or all without them
  at::Tensor overflow;  // [n] bool: the chosen expert has no room left for this row; undefined: there is always room

  // For the losses, undefined where the method has nothing of its own.
  at::Tensor averaged;                                      // [n, E] what the balance loss averages instead of pi
  at::Tensor shares;                                        // [n, E] differentiable, instead of counting choices
  at::Tensor load;                                          // [n, E] differentiable: chance to be chosen under noise
  at::Tensor entropy;                                       // [n]
  std::vector<std::pair<std::string, at::Tensor>> details;  // of this choice: "tau" [n] …
};

class FlatChoice {
 public:
  virtual ~FlatChoice() = default;

  // Router rows on the site's input beside the gates' and small tensors; first_row counts from the first such row.
  virtual const std::vector<TensorSpec>& tensors() const;
  virtual int64_t rows() const { return 0; }
  virtual bool whole_sequences() const { return false; }  // rows of one sequence depend on each other
  virtual bool sums_to_one() const { return true; }       // every row's weights

  // Grad: pi, u, own; the selection itself is a constant. Deterministic.
  virtual Chosen choose(const FlatInput& input, const TokenRows& rows) const = 0;
};

struct MakeChoice {
  const Json& options;  // the recipe's `router`, kind included
  int64_t experts = 0;
  const Site& site;
  Warnings& warnings;
};

// Reads the options of a flat router: the choice's `keys`, and those that all flat routers have (kind, init_std,
// logit_temperature, jitter_noise).
// Throws Error(kConfig) for others.
JsonReader read_flat_options(const Json& options, const std::vector<std::string>& keys);

// How many of ids [n, k] name each expert, [E] in the dtype of like [n, E]; with a mask [n], 1 for rows that count.
at::Tensor count_chosen(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& like);
// Sums of values [n, E] up to and including each column, in an order that does not change from run to run.
at::Tensor running_sums(const at::Tensor& values);

// [n, E] weights over all experts, zero where not chosen.
at::Tensor dense_weights(const Chosen& chosen, int64_t experts);

// The gates of one flat level: [T, 1, k] or [T, 1, E].
LevelGates flat_gates(const Chosen& chosen);

// Adds the sum of values [n, …] over the rows to the report as `name` when a loss of `kind` is wanted: over real
// tokens, and as "NAME.all" over all where losses count padding and there is a mask.
void add_sum(nn::GateReport& gate, const std::string& kind, const std::string& name, const at::Tensor& values,
             const TokenRows& rows);

// Leaves in rows.recorder what the losses ask for (gate_losses.h) and the details logits, pi, g, ids. `logits` [n, E],
// or [n, N, E] of N sub-routers, whose z losses are averaged.
void report_flat(const Chosen& chosen, const at::Tensor& pi, const at::Tensor& logits, const TokenRows& rows);

}  // namespace morex::adapters
