#include "data/questions.h"

#include <optional>

#include "base/error.h"
#include "data/prompt_format.h"
#include "io/jsonl.h"

namespace morex::data {

std::vector<SequenceFacts> load_questions(const std::filesystem::path& path, const std::string& format) {
  io::JsonlReader reader(path);
  std::vector<SequenceFacts> rows;
  std::optional<Format> chosen;  // the first row decides for all
  for (Json row; reader.next(row);) {
    const std::string where = fmt::format("{}:{}", path.string(), reader.line_number());
    if (!chosen) chosen = choose_format(format, row, where);
    SequenceFacts facts;
    facts.question = read_question(row, *chosen, where);
    facts.row = static_cast<int64_t>(rows.size());
    rows.push_back(std::move(facts));
  }
  MOREX_CHECK(!rows.empty(), ErrorKind::kData, "[{}] must hold at least one row, got none", path.string());
  return rows;
}

}  // namespace morex::data
