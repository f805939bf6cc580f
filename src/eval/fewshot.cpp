#include "eval/fewshot.h"

#include <numeric>

#include "eval/python_random.h"

namespace morex::eval {

std::vector<std::vector<int64_t>> draw_fewshot_rows(const ChoiceTask& task, const FewshotOptions& options,
                                                    const std::vector<Document>& documents,
                                                    const std::vector<Document>& pool) {
  const bool first_n = options.sampler == "first_n";
  MOREX_CHECK(first_n || options.sampler == "default", ErrorKind::kConfig,
              "[eval] the few-shot sampler must be default or first_n, got '{}'", options.sampler);
  MOREX_CHECK(options.count >= 0, ErrorKind::kConfig, "[eval] num_fewshot must not be negative, got {}", options.count);
  std::vector<std::vector<int64_t>> result(documents.size());
  if (options.count == 0) return result;
  const int64_t drawn = options.count + (!first_n && task.sampler_sees_document ? 1 : 0);
  const auto available = static_cast<int64_t>(pool.size());
  MOREX_CHECK(drawn <= available, ErrorKind::kData,
              "[eval] {}: {} few-shot examples need a pool of at least {} rows, got {}", task.name, options.count,
              drawn, available);
  PythonRandom random(options.seed);
  for (size_t i = 0; i < documents.size(); ++i) {
    std::vector<int64_t>& rows = result[i];
    if (first_n) {
      rows.resize(drawn);
      std::iota(rows.begin(), rows.end(), 0);
      continue;
    }
    rows = random.sample(available, drawn);
    if (task.sampler_sees_document) {
      std::erase_if(rows, [&](int64_t row) { return pool[row].row == documents[i].row; });
      rows.resize(std::min<size_t>(rows.size(), options.count));
    }
  }
  return result;
}

std::string fewshot_context(const std::vector<Document>& pool, const std::vector<int64_t>& rows,
                            const std::string& context) {
  std::string text;
  for (const int64_t row : rows) {
    const Question& example = pool[row].question;
    text += example.context + " " + example.choices[example.gold] + "\n\n";
  }
  return text + context;
}

}  // namespace morex::eval
