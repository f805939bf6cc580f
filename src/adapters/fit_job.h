// One fit of a conversion: what it collects while data streams through the model, and what comes of it.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "adapters/lora_conversion.h"
#include "adapters/watch.h"

namespace morex::adapters {

class FitJob {
 public:
  virtual ~FitJob() = default;
  virtual int64_t bytes() const = 0;  // of second moments
  virtual void watch() = 0;           // from now on it collects
  virtual void solve() = 0;           // ends that, and puts factors and errors where they belong
};

// Shared by the jobs of one conversion, and outlives them.
struct Fitting {
  const ConversionOptions& options;
  Conversion& made;  // its modules are all there
  ConvertedModule& module(const std::string& name) const;
};

// The fitted ones of the projections of one group, `sites` by number.
std::unique_ptr<FitJob> make_group_job(const AdaptedGroup& group, std::vector<size_t> sites, const Fitting& fitting);
// Gate and up of a block, from the experts' mean updates.
std::unique_ptr<FitJob> make_block_entry_job(const AdaptedBlock& block, const Fitting& fitting);
// Down of a block, whose gate and up must be there.
std::unique_ptr<FitJob> make_block_exit_job(const AdaptedBlock& block, const Fitting& fitting);

// As many jobs at a time as the memory holds, at least one. A null stream: there must be no jobs.
void run_jobs(std::vector<std::unique_ptr<FitJob>> jobs, int64_t memory_bytes, const Stream& stream);

// x·aᵀ·bᵀ in x's dtype.
at::Tensor apply_factors(const LowRankFactors& factors, const at::Tensor& x);
// The output of the block's base with a LoRA on each of its projections; null: none.
at::Tensor block_output(const nn::Mlp& mlp, const at::Tensor& x, const LowRankFactors* gate, const LowRankFactors* up,
                        const LowRankFactors* down);
double square_sum(const at::Tensor& values);  // in float64

}  // namespace morex::adapters
