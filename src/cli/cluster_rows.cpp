#include "cli/cluster_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/argmax.h>

#include "base/error.h"

namespace morex::cli {

std::vector<std::vector<data::Example>> rows_by_cluster(const std::vector<data::Example>& rows,
                                                        const eval::ClusterSet& set, const nn::PromptReader& reader) {
  // |e - c|² = |e|² - 2·<e, c> + |c|²: the nearest has the largest <e, c> - |c|²/2.
  const at::Tensor half_squares = set.centroids.square().sum(1) * 0.5;  // [K]
  std::vector<std::vector<data::Example>> clusters(static_cast<size_t>(set.centroids.size(0)));
  for (const data::Example& row : rows) {
    MOREX_CHECK(row.prompt_length > 0, ErrorKind::kData,
                "[clusters] every row must have a prompt, line {} has none. Hint: rows of data_format text have none",
                row.line);
    nn::BatchContext ctx;
    reader.read({nn::Prompt({row.ids.begin(), row.ids.begin() + row.prompt_length}, row.facts)}, ctx);
    const at::Tensor scores = ctx.per_sequence.at("cluster_scores").cpu()[0];  // [K]
    clusters[static_cast<size_t>(at::argmax(scores - half_squares).item<int64_t>())].push_back(row);
  }
  return clusters;
}

}  // namespace morex::cli
