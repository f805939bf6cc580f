// A time record in the format of chrome://tracing and Perfetto.
#pragma once
#include <string>

#include "ops/time_recorder.h"
#include "train/profile.h"

namespace morex::train {

// The JSON text: one complete event ("ph": "X", microseconds) for each of the record's, with place, shape, GFLOP and
// GF/s among its args. Source: "Trace Event Format", Google, 2016.
std::string chrome_trace(const ops::TimeRecord& record, const PeakRates& peaks);

}  // namespace morex::train
