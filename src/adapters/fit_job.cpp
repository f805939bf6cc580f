#include "adapters/fit_job.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "adapters/bank_adapter.h"
#include "adapters/block_adapter.h"
#include "adapters/low_rank_fit.h"
#include "base/error.h"
#include "ops/frozen_linear.h"
#include "ops/swiglu.h"

namespace morex::adapters {
namespace {

constexpr int64_t kBytes = sizeof(double);

// x·Wᵀ (+ bias) + x·aᵀ·bᵀ; without factors the base alone.
at::Tensor project(const nn::LinearMember& member, const at::Tensor& x, const LowRankFactors* factors) {
  at::Tensor y = ops::frozen_linear(x, member.weight.map());
  if (member.bias.defined()) y = y + member.bias;
  return factors == nullptr ? y : y + apply_factors(*factors, x);
}

// What the block makes between its two halves.
at::Tensor hidden_of(const nn::Mlp& mlp, const at::Tensor& x, const LowRankFactors* gate, const LowRankFactors* up) {
  const std::vector<nn::LinearMember>& members = mlp.gate_up.members;
  return ops::swiglu(project(members[0], x, gate), project(members[1], x, up), mlp.activation);
}

// Where a projection's update can point: the columns of its up matrix and bias. Undefined: everywhere.
at::Tensor update_basis(const BankAdapter& bank, size_t site) {
  if (bank.sites()[site].structure->scales_output()) return {};  // the base's own output moves, too
  const SiteTensors tensors = bank.tensors(site);
  at::Tensor span = tensors.up.t();  // [d_out, R']
  if (tensors.up_bias.defined()) span = at::cat({span, tensors.up_bias.unsqueeze(1)}, 1);
  return orthonormal_basis(span);
}

void put(const Fitting& fitting, const std::string& name, const LowRankFit& fit, const TargetMoments& target,
         const at::Tensor& basis) {
  const LowRankFit::Solution solved = fit.solve(target, basis);
  const ConversionOptions& options = fitting.options;
  const int64_t rank =
      std::min(options.rank > 0 ? options.rank : solved.rank_for(options.tolerance), solved.full_rank());
  ConvertedModule& module = fitting.module(name);
  module.factors = solved.factors(rank);
  module.error = {name, solved.energy, solved.lost[static_cast<size_t>(rank)]};
  module.linear_lost = solved.lost.back();
}

class GroupJob : public FitJob {
 public:
  GroupJob(const AdaptedGroup& adapted, const std::vector<size_t>& sites, const Fitting& fitting)
      : group_(*adapted.group), fitting_(fitting) {
    for (const size_t site : sites)
      targets_.push_back({&adapted.bank->sites()[site], update_basis(*adapted.bank, site), {}});
  }

  int64_t bytes() const override {
    const int64_t d = targets_.front().site->site.d_in;
    int64_t rows = d;
    for (const Target& target : targets_)
      rows += target.basis.defined() ? target.basis.size(1) : target.site->site.d_out;
    return kBytes * rows * d;
  }
  void watch() override {
    watched_ = std::make_unique<WatchedGroup>(group_, [this](const at::Tensor& given, const auto& updates) {
      const at::Tensor x = given.to(at::kDouble);
      input_.add(x);
      for (Target& target : targets_) {
        const at::Tensor t = updates[static_cast<size_t>(target.site->member_index)].to(at::kDouble);
        target.moments.add(target.basis.defined() ? at::mm(t, target.basis) : t, x);
      }
    });
  }
  void solve() override {
    watched_.reset();
    const LowRankFit fit(input_, fitting_.options.ridge);
    fitting_.made.tokens = input_.rows;
    for (const Target& target : targets_) {
      const std::string& name = target.site->site.module;
      put(fitting_, name, fit, target.moments, target.basis);
      fitting_.made.errors.push_back(fitting_.module(name).error);
    }
  }

 private:
  struct Target {
    const BankSite* site = nullptr;
    at::Tensor basis;
    TargetMoments moments;
  };
  nn::LinearGroup& group_;
  Fitting fitting_;
  std::vector<Target> targets_;
  InputMoments input_;
  std::unique_ptr<WatchedGroup> watched_;
};

class BlockEntryJob : public FitJob {
 public:
  BlockEntryJob(const AdaptedBlock& block, const Fitting& fitting) : block_(block), fitting_(fitting) {}

  int64_t bytes() const override {
    const nn::LinearWeight& weight = block_.mlp->gate_up.members[0].weight;
    return kBytes * weight.in_features() * (weight.in_features() + 2 * weight.out_features());
  }
  void watch() override {
    watched_ = std::make_unique<WatchedBlock>(
        *block_.mlp, [this](const at::Tensor& x, const at::Tensor&, const nn::BatchContext& ctx) {
          const at::Tensor rows = real_rows(x, ctx);
          input_.add(rows);
          const std::array<MeanUpdate, 2> updates = block_.block->mean_updates(x, ctx);
          for (size_t i = 0; i < 2; ++i)
            targets_[i].add(at::mm(real_rows(updates[i].z, ctx).to(at::kDouble), updates[i].b.to(at::kDouble)), rows);
        });
  }
  void solve() override {
    watched_.reset();
    const LowRankFit fit(input_, fitting_.options.ridge);
    for (size_t i = 0; i < 2; ++i) put(fitting_, block_.mlp->gate_up.members[i].module, fit, targets_[i], {});
  }

 private:
  AdaptedBlock block_;
  Fitting fitting_;
  InputMoments input_;
  std::array<TargetMoments, 2> targets_;
  std::unique_ptr<WatchedBlock> watched_;
};

class BlockExitJob : public FitJob {
 public:
  BlockExitJob(const AdaptedBlock& block, const Fitting& fitting) : block_(block), fitting_(fitting) {}

  int64_t bytes() const override {
    const nn::LinearWeight& weight = block_.mlp->down.members[0].weight;
    return kBytes * weight.in_features() * (weight.in_features() + weight.out_features());
  }
  void watch() override {
    watched_ = std::make_unique<WatchedBlock>(
        *block_.mlp, [this](const at::Tensor& x, const at::Tensor& y, const nn::BatchContext& ctx) {
          const nn::Mlp& mlp = *block_.mlp;
          const at::Tensor rows = real_rows(x, ctx), out = real_rows(y, ctx);
          const LowRankFactors &gate = fitting_.module(mlp.gate_up.members[0].module).factors,
                               &up = fitting_.module(mlp.gate_up.members[1].module).factors;
          const at::Tensor hidden = hidden_of(mlp, rows, &gate, &up);  // [T, f]
          input_.add(hidden);
          target_.add(out - project(mlp.down.members[0], hidden, nullptr), hidden);
          energy_ += square_sum(out - block_output(mlp, rows, nullptr, nullptr, nullptr));
        });
  }
  void solve() override {
    watched_.reset();
    const std::string& down = block_.mlp->down.members[0].module;
    put(fitting_, down, LowRankFit(input_, fitting_.options.ridge), target_, {});
    fitting_.made.tokens = input_.rows;
    fitting_.made.errors.push_back(
        {block_.mlp->module, energy_ / static_cast<double>(input_.rows), fitting_.module(down).error.lost});
  }

 private:
  AdaptedBlock block_;
  Fitting fitting_;
  InputMoments input_;
  TargetMoments target_;
  double energy_ = 0.0;
  std::unique_ptr<WatchedBlock> watched_;
};

}  // namespace

ConvertedModule& Fitting::module(const std::string& name) const {
  const auto found = std::find_if(made.modules.begin(), made.modules.end(),
                                  [&](const ConvertedModule& each) { return each.module == name; });
  MOREX_ASSERT(found != made.modules.end());
  return *found;
}

std::unique_ptr<FitJob> make_group_job(const AdaptedGroup& group, std::vector<size_t> sites, const Fitting& fitting) {
  return std::make_unique<GroupJob>(group, sites, fitting);
}
std::unique_ptr<FitJob> make_block_entry_job(const AdaptedBlock& block, const Fitting& fitting) {
  return std::make_unique<BlockEntryJob>(block, fitting);
}
std::unique_ptr<FitJob> make_block_exit_job(const AdaptedBlock& block, const Fitting& fitting) {
  return std::make_unique<BlockExitJob>(block, fitting);
}

void run_jobs(std::vector<std::unique_ptr<FitJob>> jobs, int64_t memory_bytes, const Stream& stream) {
  for (size_t begin = 0, end = 0; begin < jobs.size(); begin = end) {
    for (int64_t held = 0; end < jobs.size() && (end == begin || held + jobs[end]->bytes() <= memory_bytes); ++end) {
      held += jobs[end]->bytes();
      jobs[end]->watch();
    }
    stream();
    for (size_t i = begin; i < end; ++i) {
      jobs[i]->solve();
      jobs[i].reset();
    }
  }
}

at::Tensor apply_factors(const LowRankFactors& factors, const at::Tensor& x) {
  return at::mm(at::mm(x, factors.a.to(x.scalar_type()).t()), factors.b.to(x.scalar_type()).t());
}

at::Tensor block_output(const nn::Mlp& mlp, const at::Tensor& x, const LowRankFactors* gate, const LowRankFactors* up,
                        const LowRankFactors* down) {
  return project(mlp.down.members[0], hidden_of(mlp, x, gate, up), down);
}

double square_sum(const at::Tensor& values) { return values.to(at::kDouble).square().sum().item<double>(); }

}  // namespace morex::adapters
