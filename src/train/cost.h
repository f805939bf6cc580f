// What the method costs over the bare base, measured on this machine at the end of every run.
#pragma once
#include <vector>

#include "base/json.h"
#include "base/warnings.h"
#include "data/batch.h"
#include "models/causal_lm.h"
#include "train/trainable.h"

namespace morex::train {

// Trainable::cost() plus the milliseconds of a forward pass, and of a forward and backward pass, over `batch` with and
// without the adapter, in turns: medians of one to five rounds, none begun after ten seconds. The base's backward pass
// is that of an adapter of rank 1. Only Trainable::cost() where every weight is trained. Overwrites the gradients.
Json measure_cost(models::CausalLm& model, Trainable& trainable, const data::Batch& batch, Warnings& warnings);

}  // namespace morex::train
