// What a run writes as it goes: metrics.jsonl, samples.jsonl, routing.jsonl, TensorBoard events. Each step stands once,
// also after a resume.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "io/event_writer.h"
#include "io/jsonl.h"

namespace morex::train {

struct RunLogParts {
  bool samples = false, routing = false, tensorboard = false;
};

class RunLog {
 public:
  // Lines and events of steps behind `last_step` are dropped: the run is about to write them again. Only what is asked
  // for is opened beside metrics.jsonl.
  RunLog(const std::filesystem::path& output_dir, int64_t last_step, const RunLogParts& parts);

  // One line; must hold "step". Its numbers also become scalars: train/KEY, or eval/KEY for keys that start with eval_.
  void metrics(const Json& line);
  void sample(const Json& line);  // {step, prompt, text}; only when opened with samples
  // {step, gates}, and scalars by tag; only when opened with routing.
  void routing(const Json& line, const std::vector<std::pair<std::string, double>>& scalars);

 private:
  io::JsonlAppender metrics_;
  std::unique_ptr<io::JsonlAppender> samples_, routing_;
  std::unique_ptr<io::EventWriter> events_;
};

}  // namespace morex::train
