#include "golden_models.h"

#include "io/jsonl.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {

std::filesystem::path tinystories() { return data_dir() / "models" / "tinystories-656k"; }

std::unique_ptr<models::CausalLm> load_for_test(const std::filesystem::path& path, at::ScalarType dtype) {
  Warnings warnings(false, false);
  return models::load_model(path, {dtype, test_device()}, warnings);
}

std::vector<Json> read_lines(const std::filesystem::path& file) {
  io::JsonlReader reader(file);
  std::vector<Json> lines;
  Json line;
  while (reader.next(line)) lines.push_back(line);
  return lines;
}

}  // namespace morex::test
