#include "train/run_log.h"

#include <string>

namespace morex::train {
namespace {

std::function<bool(const Json&)> up_to(int64_t last_step) {
  return [last_step](const Json& line) { return line.value("step", int64_t{0}) <= last_step; };
}

}  // namespace

RunLog::RunLog(const std::filesystem::path& output_dir, int64_t last_step, const RunLogParts& parts)
    : metrics_(output_dir / "metrics.jsonl", up_to(last_step)) {
  if (parts.samples) samples_ = std::make_unique<io::JsonlAppender>(output_dir / "samples.jsonl", up_to(last_step));
  if (parts.routing) routing_ = std::make_unique<io::JsonlAppender>(output_dir / "routing.jsonl", up_to(last_step));
  if (parts.tensorboard) events_ = std::make_unique<io::EventWriter>(output_dir, last_step + 1);
}

void RunLog::metrics(const Json& line) {
  metrics_.append(line);
  if (!events_) return;
  const auto step = line.at("step").get<int64_t>();
  for (const auto& [key, value] : line.items()) {
    if (key == "step" || !value.is_number()) continue;
    const bool evaluated = key.starts_with("eval_");
    events_->scalar(step, evaluated ? "eval/" + key.substr(5) : "train/" + key, value.get<float>());
  }
  events_->flush();
}

void RunLog::sample(const Json& line) { samples_->append(line); }

void RunLog::routing(const Json& line, const std::vector<std::pair<std::string, double>>& scalars) {
  routing_->append(line);
  if (!events_) return;
  for (const auto& [tag, value] : scalars)
    events_->scalar(line.at("step").get<int64_t>(), tag, static_cast<float>(value));
  events_->flush();
}

}  // namespace morex::train
