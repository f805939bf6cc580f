// A linear gate over one flat pool: pi = softmax(G·x), then a choice.
#pragma once
#include <memory>
#include <vector>

#include "adapters/router.h"

namespace morex::adapters {

// Members of the table for every router that is a linear gate with a choice.
bool flat_gives(GateKind kind);
bool flat_fills_all(const Json& options);  // no
std::unique_ptr<Router> make_flat_router(const MakeRouter& from);

// How gates' rows G start: Kaiming-uniform, or normal with the option init_std.
Init gate_init(const Json& options, int64_t d_in);

// The router's own specifications behind `first` rows, with "moe_gate." before their names.
void append_choice_tensors(const FlatChoice& choice, int64_t first, std::vector<TensorSpec>& tensors);

// Numbers in all of the tensors.
int64_t count_parameters(const std::vector<TensorSpec>& tensors);

}  // namespace morex::adapters
