// The three axes of one entry of the method, made at one place of the model with the checks that they fit.
#pragma once
#include <memory>

#include "adapters/bank_adapter.h"
#include "adapters/block_adapter.h"
#include "adapters/method_config.h"

namespace morex::adapters {

// Whether the entry's experts take the place of feed-forward blocks; its other projections then get plain LoRA of the
// same rank, alpha and dropout.
bool takes_blocks(const MethodEntry& entry);

// Member `index` of the group. Throws Error(kConfig).
BankSite make_site(const MethodEntry& entry, const nn::LinearGroup& group, size_t index, Warnings& warnings);

// A block all of whose projections the entry names; `mlp` must outlive it. Throws Error(kConfig).
std::unique_ptr<BlockAdapter> make_block(const MethodEntry& entry, const nn::Mlp& mlp, Warnings& warnings);

}  // namespace morex::adapters
