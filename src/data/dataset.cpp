#include "data/dataset.h"

#include "base/checksum.h"
#include "base/error.h"
#include "data/row_encoder.h"
#include "io/jsonl.h"

namespace morex::data {
namespace {

// The line that each kind of trouble was first seen in.
struct FirstLines {
  int64_t truncated = 0, end_cut = 0, fully_masked = 0;
};

void add_times(Warnings& warnings, int64_t count, const std::string& key, const std::string& message) {
  for (int64_t i = 0; i < count; ++i) warnings.add(key, message);
}

void warn(const DatasetReport& report, const FirstLines& first, const DatasetOptions& options, const std::string& path,
          Warnings& warnings) {
  add_times(
      warnings, report.truncated, "data.truncated",
      fmt::format("[{}:{}] {} of {} rows were cut to max_seq_length {}, {} tokens in all. Hint: raise max_seq_length.",
                  path, first.truncated, report.truncated, report.rows, options.max_seq_length, report.cut_tokens));
  add_times(
      warnings, report.end_cut, "data.end_cut",
      fmt::format("[{}:{}] {} of {} rows lost the end of their response, so they do not teach the model to stop. Hint: "
                  "raise max_seq_length.",
                  path, first.end_cut, report.end_cut, report.rows));
  add_times(
      warnings, report.fully_masked, "data.fully_masked",
      fmt::format(
          "[{}:{}] {} of {} rows have nothing left to train on and were left out. Hint: raise max_seq_length or look "
          "for empty responses.",
          path, first.fully_masked, report.fully_masked, report.rows));
}

void count(const Example& example, DatasetReport& report, FirstLines& first) {
  const auto note = [&](bool holds, int64_t& total, int64_t& line) {
    if (!holds) return;
    if (total++ == 0) line = example.line;
  };
  note(example.cut_tokens > 0, report.truncated, first.truncated);
  note(example.end_cut, report.end_cut, first.end_cut);
  note(example.supervised() == 0, report.fully_masked, first.fully_masked);
  report.cut_tokens += example.cut_tokens;
  ++report.rows;
}

}  // namespace

Dataset load_dataset(const std::filesystem::path& path, const text::Tokenizer& tokenizer, const DatasetOptions& options,
                     Warnings& warnings) {
  io::JsonlReader reader(path);
  RowEncoder encoder(tokenizer, options);
  Dataset dataset;
  FirstLines first;
  Json row;
  while ((options.max_rows < 0 || dataset.report.rows < options.max_rows) && reader.next(row)) {
    Example example = encoder.encode(row, fmt::format("{}:{}", path.string(), reader.line_number()), warnings);
    example.line = reader.line_number();
    example.facts.file = options.file;
    example.facts.row = dataset.report.rows;
    count(example, dataset.report, first);
    const int64_t supervised = example.supervised();
    if (supervised == 0) continue;
    dataset.report.tokens += example.length();
    dataset.report.supervised += supervised;
    dataset.examples.push_back(std::move(example));
  }
  MOREX_CHECK(dataset.report.rows > 0, ErrorKind::kData, "[{}] must hold at least one row, got none", path.string());
  MOREX_CHECK(!dataset.examples.empty(), ErrorKind::kData,
              "[{}:{}] at least one row must leave something to train on, all {} are fully masked. Hint: raise "
              "max_seq_length (now "
              "{}) or look for empty responses.",
              path.string(), first.fully_masked, dataset.report.rows, options.max_seq_length);
  warn(dataset.report, first, options, path.string(), warnings);
  dataset.report.digest = sha256_hex_of_file(path);
  return dataset;
}

Example encode_row(const Json& row, const text::Tokenizer& tokenizer, const DatasetOptions& options,
                   const std::string& where) {
  MOREX_CHECK(row.is_object(), ErrorKind::kData, "[{}] must be a JSON object, got {}", where, row.type_name());
  Warnings unheard(false, false);
  return RowEncoder(tokenizer, options).encode(row, where, unheard);
}

}  // namespace morex::data
