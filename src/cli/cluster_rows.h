// Which cluster each row of a dataset belongs to.
#pragma once
#include <vector>

#include "data/example.h"
#include "eval/clusters.h"
#include "nn/prompt_reader.h"

namespace morex::cli {

// For each of `set`'s centroids the rows whose prompt lies nearest to it (Euclidean distance; the lower number where
// two are equally near). `reader` gives the scores of the set, which must be its only one.
std::vector<std::vector<data::Example>> rows_by_cluster(const std::vector<data::Example>& rows,
                                                        const eval::ClusterSet& set, const nn::PromptReader& reader);

}  // namespace morex::cli
