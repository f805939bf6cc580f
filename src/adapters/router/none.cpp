// No router: for structures without gates.
#include "adapters/router/table.h"

namespace morex::adapters {
namespace {

class NoRouter : public Router {
 public:
  int64_t rows() const override { return 0; }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  bool dense() const override { return true; }
  Gates route(const at::Tensor&, const std::vector<at::Tensor>&, const Prior&, const std::vector<at::Tensor>&,
              const TokenRows&) const override {
    return {};
  }
  double flops() const override { return 0.0; }

 private:
  std::vector<TensorSpec> tensors_;
};

}  // namespace

bool no_router_gives(GateKind kind) { return kind == GateKind::kNone; }

bool no_router_fills_all(const Json&) { return true; }

std::unique_ptr<Router> make_no_router(const MakeRouter& from) {
  JsonReader(from.options, "router", ErrorKind::kConfig).refuse_unknown_keys({"kind"});
  return std::make_unique<NoRouter>();
}

}  // namespace morex::adapters
