// What the method costs over the bare base, measured on this machine.
#pragma once
#include <vector>

#include "base/json.h"
#include "data/batch.h"
#include "models/causal_lm.h"
#include "train/trainable.h"

namespace morex::train {

// Trainable::cost() plus the milliseconds of a forward pass over `batch` with and without the adapter (the faster of
// two each; absent where every weight is trained).
Json measure_cost(const models::CausalLm& model, Trainable& trainable, const data::Batch& batch);

}  // namespace morex::train
