// Any adapter as plain LoRA: exactly where its update is one matrix, else by the best fit on data.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/adapter_set.h"
#include "adapters/structure/pissa.h"

namespace morex::adapters {

struct ConversionOptions {
  int64_t rank = 0;         // of each module, at most; 0: each its own, by `tolerance`
  double tolerance = 0.05;  // share of an update's root mean square that the cut to a rank may lose
  double ridge = 1e-4;      // of the mean second moment of a module's inputs
  std::optional<int64_t> task;
  int64_t memory_bytes = int64_t{2} << 30;  // of second moments held at once; more of them need more passes
};

// Runs the model over the data once, without gradients. Called with the adapter attached.
using Stream = std::function<void()>;

// How much of an adapter's output a LoRA gives: sums or means over tokens, alike for all modules of one list.
struct OutputError {
  std::string module;
  double energy = 0.0;      // |Δy|² of the adapter
  double lost = 0.0;        // |Δy - B·A·x|²
  double relative() const;  // √(lost / energy); 0 where the adapter does nothing
};
OutputError overall(const std::vector<OutputError>& errors);

struct ConvertedModule {
  std::string module;
  int64_t d_in = 0, d_out = 0;
  bool exact = false;
  LowRankFactors factors{};  // B·A is the update, the scale included
  // Of fitted modules, on the data of the fit. In a block: of the experts' mean update (gate, up), of what these two
  // leave to do (down).
  OutputError error{};
  double linear_lost = 0.0;  // error.lost of the best linear map of any rank
  int64_t rank() const { return factors.a.size(0); }
};

struct Conversion {
  std::vector<ConvertedModule> modules;  // in the model's order, blocks last
  std::vector<OutputError> errors;       // on the data of the fit: of fitted modules outside blocks, and of blocks
  int64_t tokens = 0;                    // of that data; 0: none was needed
};

// "" when the update of every module is one matrix whose rank the options allow, else the module and the reason.
std::string why_data_is_needed(const AdapterSet& set, const ConversionOptions& options);

// Every adapted projection as a pair of factors: constant_update() where there is one of allowed rank, else the
// reduced-rank regression (low_rank_fit.h) of the adapter's update on the projection's input, over the real tokens of
// `stream`. A feed-forward block of experts: gate and up are fitted to the experts' mean updates, then down to what is
// left of the block's output, on the activations that fitted gate and up make. The set must be attached and its base
// not moved (PiSSA: on_original_base()). Throws Error(kNumeric) for numbers that are not finite.
Conversion convert_to_lora(const AdapterSet& set, const ConversionOptions& options, const Stream& stream);

// The list of Conversion::errors on other data.
std::vector<OutputError> output_errors(const AdapterSet& set, const Conversion& conversion, const Stream& stream);

// The LoRA with lora_alpha = r, so that its scale is 1; ranks that are not the commonest stand in rank_pattern and
// alpha_pattern. Not attached.
std::unique_ptr<AdapterSet> make_lora(const Conversion& conversion, nn::SlotTable& slots, at::ScalarType dtype,
                                      at::Device device, Warnings& warnings);

}  // namespace morex::adapters
