// Matrices between float32 and bfloat16, on all threads.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/chunks.h"
#include "ops/vector_loops.h"

namespace morex::ops {

// to = from, or to += from, row by row, both with dense rows and on the CPU; one of them bfloat16, the other float32.
template <typename To, typename From, bool kAdd = false>
void convert_rows(const at::Tensor& from, const at::Tensor& to) {
  const int64_t d = from.size(1), from_stride = from.stride(0), to_stride = to.stride(0);
  const From* source = from.const_data_ptr<From>();
  To* target = to.mutable_data_ptr<To>();
  for_chunks(from.size(0), rows_per_chunk(d), [&](int64_t begin, int64_t end) {
    in_vectors([&]() __attribute__((always_inline)) {
      for (int64_t t = begin; t < end; ++t) {
        if constexpr (kAdd) {
          add_row(source + t * from_stride, target + t * to_stride, d);
        } else {
          convert_row(source + t * from_stride, target + t * to_stride, d);
        }
      }
    });
  });
}

}  // namespace morex::ops
