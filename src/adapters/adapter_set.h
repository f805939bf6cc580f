// All adapters of one model: built from the method part of a recipe or read from an adapter folder, attached to the
// model's slots, saved in PEFT's layout where PEFT has the method.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "adapters/routed_site.h"
#include "base/json.h"
#include "base/warnings.h"
#include "nn/parameter_store.h"
#include "nn/routing_report.h"
#include "nn/routing_tally.h"
#include "nn/sequence_needs.h"
#include "nn/slots.h"

namespace morex::adapters {

// Where the adapter stands: written to adapter_config.json and checked on loading.
struct BaseIdentity {
  std::string name_or_path;  // base_model_name_or_path
  std::string digest;        // CausalLm::digest(); an adapter made for another base is refused
};

struct SiteCost {
  std::string module, method;
  int64_t trainable = 0, active = 0;  // parameters; active: those one token uses (trees: without the router)
  double flops_per_token = 0;         // forward, multiply-add = 2, as executed, without routing
  double sparse_flops_per_token = 0;  // if only the chosen experts were computed
  double routing_flops = 0;           // forward, of the router
};

class BankAdapter;
class BlockAdapter;

// What adapts one group of projections, or one feed-forward block.
struct AdaptedGroup {
  nn::LinearGroup* group = nullptr;
  const BankAdapter* bank = nullptr;
};
struct AdaptedBlock {
  nn::Mlp* mlp = nullptr;
  const BlockAdapter* block = nullptr;
};

// The slots given to create() or load() must outlive the set, and the set every graph that ran through it.
class AdapterSet {
 public:
  // `method` holds the recipe's method keys (method, r, lora_alpha, target_modules, experts, router, prior, losses,
  // adapters …; design: three independent axes). Parameters are `dtype` (float32, or float64 for float64 models).
  // Works on the meta device for counts. Throws Error(kConfig): unknown keys, targets that match nothing, shapes that
  // do not fit together. `base`: LoRA adapters that experts start from must be made for it.
  static std::unique_ptr<AdapterSet> create(const Json& method, nn::SlotTable& slots, at::ScalarType dtype,
                                            at::Device device, Warnings& warnings, const BaseIdentity& base = {});
  // Reads adapter_config.json and the tensor file beside it: ours, PEFT's, or those of a method's own project. Every
  // tensor must land somewhere and every parameter must be filled: otherwise Error(kFormat) with the name. An unequal
  // base digest is Error(kFormat).
  static std::unique_ptr<AdapterSet> load(const std::filesystem::path& folder, nn::SlotTable& slots,
                                          const BaseIdentity& base, at::ScalarType dtype, at::Device device,
                                          Warnings& warnings);
  virtual ~AdapterSet() = default;

  virtual void initialize(uint64_t seed) = 0;  // every tensor from its own random stream, named after it
  virtual void attach() = 0;                   // adapter on
  virtual void detach() = 0;                   // off: the base, bit for bit
  virtual nn::ParameterStore& parameters() = 0;
  virtual const nn::ParameterStore& parameters() const = 0;

  // The weighted losses of one forward pass, formed from its report; undefined when the method has none.
  virtual at::Tensor auxiliary_loss(const nn::RoutingReport& report) const = 0;

  virtual void save(const std::filesystem::path& folder, const BaseIdentity& base) const = 0;
  // The same for the method's own project: its keys and names (official/table.h). `layout` "": the first that suits the
  // method; returns its name. Throws Error(kConfig) when there is none, or it has no place for an option.
  virtual std::string save_official(const std::filesystem::path& folder, const BaseIdentity& base,
                                    const std::string& layout) const = 0;
  virtual const Json& config() const = 0;  // normalised, as in adapter_config.json
  virtual std::vector<SiteCost> costs() const = 0;
  virtual nn::SequenceNeeds sequence_needs() const = 0;

  // The sites with gates, and their gates in the same order, levels from the bottom.
  virtual std::vector<RoutedSite> routed_sites() const = 0;
  virtual std::vector<nn::RoutedGate> routed_gates() const = 0;
  // For each of routed_gates() the cosines between its experts' updates, [E, E] float64 on the CPU (NaN where an update
  // is zero); undefined for experts that are not low-rank updates.
  virtual std::vector<at::Tensor> expert_cosines() const = 0;

  // In the order of the forward pass. They live as long as the set; attaching it is not needed.
  virtual std::vector<AdaptedGroup> groups() const = 0;
  virtual std::vector<AdaptedBlock> blocks() const = 0;

  // The same update on the base as it is, for everybody who does not know that an adapter moved it: PiSSA becomes LoRA
  // of twice the rank, everything else is copied. Not attached. Throws Error(kConfig) when the base was never moved.
  virtual std::unique_ptr<AdapterSet> on_original_base(Warnings& warnings) const = 0;

  // "" when the update can be folded into the base's weights, else the reason it cannot.
  virtual std::string why_not_mergeable() const = 0;
  virtual void merge_into_base() = 0;  // W += s·(A, B); the set is detached afterwards
};

}  // namespace morex::adapters
