// What all adapters of one group of projections do, in one algebra:
//   [H | U] = X·[A ; G]ᵀ     one product for all sites of the group (two where the router must see another operand)
//   z       = mix(H, gates(U))   per site, small
//   y      += z·B (+ bias)   per site, into the base output
// Experts whose gates are sparse may be gathered instead, each on the tokens that chose it (ops/expert_low_rank.h).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "adapters/named_init.h"
#include "adapters/prior.h"
#include "adapters/router.h"
#include "adapters/structure.h"
#include "adapters/training_rules.h"
#include "nn/parameter_store.h"
#include "nn/slots.h"

namespace morex::adapters {

// What PEFT puts before a module's path in adapter files.
inline const std::string kFilePrefix = "base_model.model.";

// One adapted member of the group.
struct BankSite {
  Site site;
  const nn::LinearMember* member = nullptr;
  int64_t member_index = 0;
  std::unique_ptr<Structure> structure;
  std::unique_ptr<Router> router;
  std::unique_ptr<Prior> prior;
  TrainingRules rules;
  LossNeeds needs;
};

class BankAdapter : public nn::GroupAdapter {
 public:
  // The sites of one group, in the members' order. Throws Error(kConfig) when their dropouts or jitters differ.
  explicit BankAdapter(std::vector<BankSite> sites);

  // Declares the leaves, [A ; G] of all sites first, and the checkpoint's names as views of them. The store must
  // outlive this and be allocated before apply().
  void declare(nn::ParameterStore& store);
  // Fills every tensor from the random stream named after it.
  void initialize(uint64_t seed) const;

  // Shapes, dtypes: nn::GroupAdapter. Routers run in float32 whatever x is. Saves x, H, U (a routed site's middle is
  // run again in the backward pass); of gathered experts H of the chosen rows only.
  void apply(const at::Tensor& x, nn::GroupOutputs& y, const nn::BatchContext& ctx,
             nn::RoutingReport& report) const override;
  bool reads_other_tokens() const override;

  const std::vector<BankSite>& sites() const { return sites_; }
  int64_t parameter_count(const BankSite& site) const;
  // The site's tensors, detached.
  SiteTensors tensors(size_t site) const;
  // Whether no router row reads the token: there is none, or all of them are zero.
  bool reads_no_token(size_t site) const;
  // M [R, R'] with z = h·M for a token of `ctx` on which the router rows give zero. For structures that are
  // linear_for_fixed_gates(). No gradient.
  at::Tensor middle_matrix(size_t site, const nn::BatchContext& ctx) const;

 private:
  // Where the tensors of a site lie in the store.
  struct Location {
    int64_t down_row = 0, route_row = 0;
    int64_t up_leaf = -1, up_bias_leaf = -1;
    std::vector<int64_t> structure_leaves, router_leaves, prior_leaves;  // -1: not kOwn
  };

  void declare_site(nn::ParameterStore& store, BankSite& site, Location& location);
  void declare_tensors(nn::ParameterStore& store, Axis axis, const std::vector<TensorSpec>& specs, const BankSite& site,
                       Location& location, std::vector<int64_t>& leaves);
  std::vector<at::Tensor> own_tensors(const std::vector<int64_t>& leaves) const;
  // A site's part of `columns` [T, n]; count(site): how many are its.
  template <typename Count>
  std::vector<at::Tensor> split(const at::Tensor& columns, const Count& count) const;
  // u_h: {U, H} of the site -> z [T, R'], or {U} -> the experts' weights [T, E].
  at::Tensor routed_mix(size_t index, const std::vector<at::Tensor>& u_h,
                        const std::shared_ptr<const nn::BatchContext>& ctx, nn::RoutingReport& report) const;

  std::vector<BankSite> sites_;
  std::vector<Location> locations_;
  std::vector<NamedInit> named_;
  nn::ParameterStore* store_ = nullptr;
  int64_t down_leaf_ = -1, down_rows_ = 0;
  double jitter_ = 0.0;  // of the routers' input
};

}  // namespace morex::adapters
