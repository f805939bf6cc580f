// What a time record says: sums by operation, by matrix product, by layer and by part of the model.
#pragma once
#include <c10/core/ScalarType.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ops/time_recorder.h"

namespace morex::train {

// Floating-point operations a second of large products, by dtype of the operands.
using PeakRates = std::map<c10::ScalarType, double>;

// Per step. `ideal_ms`: what the floating-point operations would take at the peak of their dtypes.
struct Spent {
  double calls = 0, ms = 0, products_ms = 0, gflop = 0, ideal_ms = 0;
  double rate() const { return ms > 0 ? gflop / ms * 1e3 : 0; }  // GFLOP a second
  double peak_share() const { return ms > 0 ? ideal_ms / ms : 0; }
};

struct OperationRow {
  std::string name;
  bool backward = false;
  Spent spent;
};

struct ProductRow {
  std::string name, inside;        // the orientation, and the operation that asked for it
  std::array<int64_t, 4> shape{};  // batch, m, n, k
  c10::ScalarType dtype = c10::ScalarType::Undefined;
  Spent spent;
};

struct LayerRow {
  int64_t layer = -1;  // -1: outside of them
  Spent forward, backward, all;
};

struct PartRow {
  std::string name;
  Spent forward, backward, adapter_forward, adapter_backward, all;
};

// Every nanosecond of the steps stands in one row of `operations` or in `unaccounted_ms`; likewise in one row of
// `layers`, and of `parts`. Rows come in falling order of time, layers in theirs.
struct Profile {
  int64_t steps = 0;
  Spent all, products;
  double unaccounted_ms = 0;  // between the operations: the library's own bookkeeping, memory given back
  std::vector<OperationRow> operations;
  std::vector<ProductRow> products_by_shape;
  std::vector<LayerRow> layers;
  std::vector<PartRow> parts;
  std::vector<OperationRow> library_calls;  // ATen's own, wherever they stand; part of `operations`
};

// The record must hold whole steps: each of its outermost events is one.
Profile summarize(const ops::TimeRecord& record, const PeakRates& peaks);

// The dtypes in which the record's floating-point operations were done.
std::vector<c10::ScalarType> dtypes_of(const ops::TimeRecord& record);

}  // namespace morex::train
