// The precompiled header of every target that includes torch. Of torch it holds the tensor and its operators: all of
// <ATen/ATen.h> would cost each file two seconds, so a file includes the <ATen/ops/…> it calls.
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include "std_pch.h"
