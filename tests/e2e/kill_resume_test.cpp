// Exact resume: killed at any moment and resumed, a run ends with the bytes of the undisturbed one.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/random.h"
#include "e2e/case_file.h"
#include "e2e/child_process.h"
#include "support/paths.h"

namespace morex::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr int64_t kSteps = 60;
constexpr int kKilled = 128 + 9;

std::string content(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// One run of the tiny model: evaluations, generated samples and saves follow each other closely, so that a moment
// drawn at random falls into each of them.
struct Method {
  std::string name;
  std::vector<std::string> options;
};

class Experiment {
 public:
  explicit Experiment(const Method& method) : folder_(scratch_dir("kill_resume_" + method.name)), method_(method) {
    const auto variables = case_variables();
    std::ofstream(folder_ / "recipe.yaml")
        << "model_name_or_path: " << variables.at("TINY") << "\ntrain_file: " << variables.at("CASES")
        << "/train.jsonl\ndtype: float32\nper_device_train_batch_size: 2\ngradient_accumulation_steps: 2\n"
        << "learning_rate: 5e-3\nlr_scheduler_type: cosine\nwarmup_steps: 5\nlogging_steps: 1\nsave_steps: 4\n"
        << "save_total_limit: 2\nthreads: 2\nmax_steps: " << kSteps << "\n";
  }
  ~Experiment() {
    if (!testing::Test::HasFailure()) fs::remove_all(folder_);
  }

  fs::path output(const std::string& name) const { return folder_ / name; }
  std::string adapter(const std::string& name) const { return content(output(name) / "adapter_model.safetensors"); }
  // Empty where nothing is routed.
  std::string routing(const std::string& name) const { return content(output(name) / "routing.jsonl"); }
  std::string log(const std::string& name) const { return content(folder_ / (name + ".log")); }

  std::vector<std::string> command(const std::string& name, bool evaluate = true) const {
    std::vector<std::string> words = {program().string(),
                                      "train",
                                      (folder_ / "recipe.yaml").string(),
                                      "-q",
                                      "output_dir=" + output(name).string(),
                                      "resume_from_checkpoint=auto"};
    words.insert(words.end(), method_.options.begin(), method_.options.end());
    if (evaluate) {
      words.push_back("validation_file=" + case_variables().at("CASES") + "/valid.jsonl");
      words.insert(words.end(), {"eval_steps=3", "sample_prompts=[the moon]", "sample_max_new_tokens=8"});
    }
    return words;
  }

  microseconds run_to_end(const std::string& name, bool evaluate = true) const {
    const auto start = steady_clock::now();
    ChildProcess process(command(name, evaluate), folder_ / (name + ".log"));
    EXPECT_EQ(process.wait(), 0) << log(name);
    return duration_cast<microseconds>(steady_clock::now() - start);
  }

  // Kills the run once its metrics hold `lines` lines and `more` has passed. True when it was still running then.
  bool run_until(const std::string& name, int64_t lines, microseconds more) const {
    ChildProcess process(command(name), folder_ / (name + ".log"));
    bool ended = false;
    while (!ended && metrics_lines(name) < lines) ended = process.ended_within(microseconds(2000));
    if (ended || process.ended_within(more)) {
      EXPECT_EQ(process.wait(), 0) << log(name);
      return false;
    }
    process.kill();
    EXPECT_EQ(process.wait(), kKilled);
    return true;
  }
  int64_t metrics_lines(const std::string& name) const {
    const std::string text = content(output(name) / "metrics.jsonl");
    return std::count(text.begin(), text.end(), '\n');
  }

 private:
  fs::path folder_;
  Method method_;
};

// Every logged step stands once in the file, and so does every evaluation.
void expect_steps_once(const fs::path& metrics) {
  std::map<int64_t, int> losses, evaluations;
  std::ifstream in(metrics);
  for (std::string line; std::getline(in, line);) {
    const nlohmann::json row = nlohmann::json::parse(line);
    (row.contains("eval_loss") ? evaluations : losses)[row.at("step").get<int64_t>()] += 1;
  }
  EXPECT_EQ(losses.size(), static_cast<size_t>(kSteps));
  EXPECT_EQ(evaluations.size(), static_cast<size_t>(kSteps / 3));
  for (const auto& [step, count] : losses) EXPECT_EQ(count, 1) << "step " << step;
  for (const auto& [step, count] : evaluations) EXPECT_EQ(count, 1) << "evaluation at step " << step;
}

void expect_no_leftovers(const fs::path& output) {
  for (const auto& entry : fs::recursive_directory_iterator(output)) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(name[0] != '.' && name.find("tmp") == std::string::npos) << entry.path();
  }
}

void expect_exact_resume(const Method& method, int kills) {
  const Experiment experiment(method);
  const microseconds duration = experiment.run_to_end("whole");
  const std::string expected = experiment.adapter("whole");
  ASSERT_FALSE(expected.empty());
  const int64_t lines = experiment.metrics_lines("whole");
  int killed = 0;
  for (int i = 0; i < kills; ++i) {
    // One moment in each slice of the run, at a random line and somewhere before the next.
    const RandomKey key{42, stream_id("kill." + method.name), static_cast<uint64_t>(i)};
    const double share = (i + uniform_at(key, 0)) / kills;
    const auto line = static_cast<int64_t>(share * static_cast<double>(lines - 2));
    const auto more = microseconds(
        static_cast<int64_t>(uniform_at(key, 1) * static_cast<double>(duration.count()) / static_cast<double>(lines)));
    const std::string name = "killed_" + std::to_string(i);
    SCOPED_TRACE(name + " after line " + std::to_string(line) + " and " + std::to_string(more.count()) + " µs");
    killed += experiment.run_until(name, line, more) ? 1 : 0;
    experiment.run_to_end(name);
    EXPECT_TRUE(experiment.adapter(name) == expected) << experiment.log(name);
    EXPECT_TRUE(experiment.routing(name) == experiment.routing("whole")) << "routing.jsonl differs";
    expect_steps_once(experiment.output(name) / "metrics.jsonl");
    expect_no_leftovers(experiment.output(name));
    fs::remove_all(experiment.output(name));
  }
  EXPECT_GE(killed, kills * 3 / 4) << "too few runs were still running when they should be killed";
}

TEST(KillResume, Lora_ends_with_the_same_bytes) {
  expect_exact_resume({"lora", {"method=lora", "r=4", "lora_dropout=0.1", "target_modules=all-linear"}}, 10);
}

TEST(KillResume, Smore_ends_with_the_same_bytes) {
  expect_exact_resume({"smore", {"method=smore", "experts.ranks=[2,4]", "experts.pool=[2,2]", "experts.active=[1,1]"}},
                      10);
}

TEST(KillResume, Evaluations_do_not_change_the_result) {
  const Experiment experiment({"evaluations", {"method=lora", "r=4", "lora_dropout=0.1"}});
  experiment.run_to_end("with");
  experiment.run_to_end("without", /*evaluate=*/false);
  ASSERT_FALSE(experiment.adapter("with").empty());
  EXPECT_TRUE(experiment.adapter("with") == experiment.adapter("without"));
}

}  // namespace
}  // namespace morex::test
