#include "eval/tasks.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/files.h"
#include "fakes.h"
#include "io/jsonl.h"
#include "support/paths.h"

namespace morex::eval {
namespace {

// "go" + " o" merges into one piece: the second row has an empty continuation.
constexpr const char* kOpenbookqa =
    "{\"query\":\"It is\",\"choices\":[\"ab\",\"cd\"],\"gold\":1}\n"
    "{\"query\":\"go\",\"choices\":[\"zz\",\"o\"],\"gold\":1}\n"
    "{\"query\":\"It was: \",\"choices\":[\"yes\",\"no\",\"or\"],\"gold\":0}\n";

struct Outcome {
  Json result;
  std::vector<Json> samples;
  std::map<std::string, int64_t> warnings;
};

TaskOptions options_in(const std::filesystem::path& folder) {
  TaskOptions options;
  options.tasks = {"openbookqa"};
  options.data_dir = folder;
  return options;
}

Outcome run(const TaskOptions& options) {
  const test::FakeLm model;
  Warnings warnings(false, false);
  Outcome result;
  result.result = run_tasks(model, test::FakeTokenizer(), options, warnings);
  result.warnings = warnings.counts();
  if (!options.samples_file.empty()) {
    io::JsonlReader reader(options.samples_file);
    Json line;
    while (reader.next(line)) result.samples.push_back(line);
  }
  return result;
}

TEST(Tasks, ResultsAndSamplesAgree) {
  const std::filesystem::path folder = test::scratch_dir("tasks");
  write_text_file(folder / "openbookqa.jsonl", kOpenbookqa);
  TaskOptions options = options_in(folder);
  options.samples_file = folder / "samples.jsonl";
  const Outcome got = run(options);
  EXPECT_EQ(got.result["protocol"], "lm-eval");
  EXPECT_EQ(got.result["version"], "0.4.13");
  EXPECT_EQ(got.result["samples"], (folder / "samples.jsonl").string());
  const Json& task = got.result["tasks"]["openbookqa"];
  EXPECT_EQ(task["n"], 3);
  EXPECT_EQ(task["items_with_empty_continuation"], 1);
  EXPECT_EQ(task["items_border_moved"], 2);
  EXPECT_EQ(task["items_cut_left"], 0);
  ASSERT_EQ(got.samples.size(), 3u);
  double hits = 0, normalised = 0;
  for (const Json& sample : got.samples) {
    hits += sample["acc"].get<bool>() ? 1 : 0;
    normalised += sample["acc_norm"].get<bool>() ? 1 : 0;
    EXPECT_EQ(sample["acc"].get<bool>(), sample["pred"] == sample["gold"]);
  }
  EXPECT_NEAR(task["acc"].get<double>(), hits / 3, 1e-12);
  EXPECT_NEAR(task["acc_norm"].get<double>(), normalised / 3, 1e-12);
  EXPECT_TRUE(task.contains("acc_stderr") && task.contains("acc_norm_stderr"));
  // An empty continuation wins.
  EXPECT_EQ(got.samples[1]["ll"][1], 0.0);
  EXPECT_EQ(got.samples[1]["pred"], 1);
  EXPECT_EQ(got.warnings.count("eval.items_with_empty_continuation.openbookqa"), 1u);
}

TEST(Tasks, FewshotExamplesComeFromThePool) {
  const std::filesystem::path folder = test::scratch_dir("tasks_fewshot");
  write_text_file(folder / "openbookqa.jsonl", kOpenbookqa);
  write_text_file(folder / "openbookqa.pool.jsonl", kOpenbookqa);
  TaskOptions options = options_in(folder);
  options.num_fewshot = 2;
  options.fewshot_sampler = "first_n";
  options.limit = 1;
  options.samples_file = folder / "samples.jsonl";
  const Outcome got = run(options);
  EXPECT_EQ(got.result["tasks"]["openbookqa"]["n"], 1);
  EXPECT_TRUE(got.result["tasks"]["openbookqa"]["acc_stderr"].is_null());
  EXPECT_EQ(got.samples[0]["fewshot_rows"], Json({0, 1}));
  EXPECT_EQ(got.samples[0]["n_ctx"], 1 + std::string("It is cd\n\ngo o\n\nIt is").size() - 2);  // BOS; "o o" is one id
}

TEST(Tasks, LocalFilesAreFound) {
  const std::filesystem::path folder = test::scratch_dir("tasks_local");
  write_text_file(folder / "icl_openbook_qa.jsonl", kOpenbookqa);
  EXPECT_EQ(run(options_in(folder)).result["tasks"]["openbookqa"]["file"], "icl_openbook_qa.jsonl");
}

ErrorKind error_of(const TaskOptions& options, const std::string& mentions) {
  try {
    run(options);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(mentions), std::string::npos) << error.what();
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::kRun;
}

TEST(Tasks, ErrorsAreClear) {
  const std::filesystem::path folder = test::scratch_dir("tasks_errors");
  EXPECT_EQ(error_of(options_in(folder), "openbookqa.jsonl"), ErrorKind::kData);
  write_text_file(folder / "openbookqa.jsonl", kOpenbookqa);
  TaskOptions options = options_in(folder);
  options.tasks = {"openbokqa"};
  EXPECT_EQ(error_of(options, "Did you mean 'openbookqa'?"), ErrorKind::kConfig);
  options = options_in(folder);
  options.protocol = "lm_eval";
  EXPECT_EQ(error_of(options, "lm-eval"), ErrorKind::kConfig);
  options = options_in(folder);
  options.num_fewshot = 1;
  EXPECT_EQ(error_of(options, "openbookqa.pool.jsonl"), ErrorKind::kData);
  options = options_in(folder);
  options.tasks = {};
  EXPECT_EQ(error_of(options, "at least one task"), ErrorKind::kConfig);
}

TEST(Tasks, AFailedRunLeavesNoSamples) {
  const std::filesystem::path folder = test::scratch_dir("tasks_no_samples");
  TaskOptions options = options_in(folder);
  options.samples_file = folder / "samples.jsonl";
  EXPECT_THROW(run(options), Error);
  EXPECT_FALSE(std::filesystem::exists(options.samples_file));
}

}  // namespace
}  // namespace morex::eval
