// A micro-batch as the model takes it.
#pragma once
#include <ATen/core/Tensor.h>

#include "data/batch.h"
#include "nn/batch_context.h"

namespace morex::train {

// A batch on the device, with the positions whose next token is supervised.
struct DeviceBatch {
  nn::BatchContext ctx;
  at::Tensor ids;      // [B, L]
  at::Tensor rows;     // [N] positions of [B·L] that predict a supervised token
  at::Tensor targets;  // [N]
};

// Phase kTrain. The context has a token mask only where the batch holds padding.
DeviceBatch put_on_device(const data::Batch& batch, at::Device device);

}  // namespace morex::train
