// Which rows of the pool stand before a document, and the prompt they make.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "eval/choice_tasks.h"

namespace morex::eval {

struct FewshotOptions {
  std::string sampler = "default";  // default: one Python generator per task; first_n: rows 0 … n-1
  int64_t count = 0;
  uint64_t seed = 1234;
};

// Row numbers of the pool for each document, in prompt order. default: one sample(range(pool), n) a document from
// random.Random(seed). A task with sampler_sees_document draws n + 1, drops rows equal to the document and keeps the
// first n. Throws Error(kData) for a pool that is too small, Error(kConfig) for an unknown sampler.
std::vector<std::vector<int64_t>> draw_fewshot_rows(const ChoiceTask& task, const FewshotOptions& options,
                                                    const std::vector<Document>& documents,
                                                    const std::vector<Document>& pool);

// Each example is context, blank, right answer; an empty line stands between the parts.
std::string fewshot_context(const std::vector<Document>& pool, const std::vector<int64_t>& rows,
                            const std::string& context);

}  // namespace morex::eval
