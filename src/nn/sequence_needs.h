// What an adapter must know of every sequence, mostly by the names of BatchContext::per_sequence.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "nn/task_table.h"

namespace morex::nn {

struct SequenceNeeds {
  std::vector<int64_t> clusters;   // "cluster_scores": their numbers, each once, ascending
  std::optional<TaskTable> tasks;  // "task_ids"
  bool sample_types = false;       // "sample_types", where its losses are formed
  bool padding = false;            // padded tokens decide something: they must not be left out
};

}  // namespace morex::nn
