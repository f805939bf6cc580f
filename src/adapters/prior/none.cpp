// No prior: the router's word is final.
#include "adapters/prior/table.h"

namespace morex::adapters {
namespace {

class NoPrior : public Prior {
 public:
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  at::Tensor before_choice(const at::Tensor& logits, int64_t, const std::vector<at::Tensor>&,
                           const TokenRows&) const override {
    return logits;
  }
  Gates after_choice(Gates gates, const std::vector<at::Tensor>&, const TokenRows&) const override { return gates; }

 private:
  std::vector<TensorSpec> tensors_;
};

}  // namespace

bool no_prior_fits(GateKind) { return true; }

std::unique_ptr<Prior> make_no_prior(const MakePrior& from) {
  JsonReader(from.options, "prior", ErrorKind::kConfig).refuse_unknown_keys({"kind"});
  return std::make_unique<NoPrior>();
}

}  // namespace morex::adapters
