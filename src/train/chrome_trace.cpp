#include "train/chrome_trace.h"

#include "base/json.h"
#include "train/runtime.h"

namespace morex::train {
namespace {

using ops::TimedEvent;
using ops::TimedKind;

const char* category(TimedKind kind) {
  switch (kind) {
    case TimedKind::kPhase:
      return "phase";
    case TimedKind::kOperation:
      return "operation";
    case TimedKind::kAten:
      return "library";
    case TimedKind::kProduct:
      return "product";
  }
  return "";
}

Json event_json(const TimedEvent& event, const ops::Place& place) {
  Json args = {{"pass", event.backward ? "backward" : "forward"}};
  if (place.layer >= 0) args["layer"] = place.layer;
  if (!place.part.empty()) args["part"] = place.part;
  if (place.adapter) args["adapter"] = true;
  if (event.flops > 0) {
    args["dtype"] = dtype_name(event.dtype);
    args["GFLOP"] = event.flops / 1e9;
    if (event.duration() > 0) args["GF/s"] = event.flops / static_cast<double>(event.duration());
  }
  if (event.kind == TimedKind::kProduct) {
    const auto& [batch, m, n, k] = event.shape;
    if (batch > 1) args["batch"] = batch;
    args.update({{"m", m}, {"n", n}, {"k", k}});
  }
  return {{"name", event.name},
          {"cat", category(event.kind)},
          {"ph", "X"},
          {"ts", static_cast<double>(event.begin) / 1e3},
          {"dur", static_cast<double>(event.duration()) / 1e3},
          {"pid", 1},
          {"tid", 1},
          {"args", args}};
}

}  // namespace

std::string chrome_trace(const ops::TimeRecord& record, const PeakRates& peaks) {
  Json rates = Json::object();
  for (const auto& [dtype, rate] : peaks) rates[dtype_name(dtype)] = rate / 1e9;
  const Json process = {{"name", "process_name"}, {"ph", "M"}, {"pid", 1}, {"args", {{"name", "morex train"}}}};
  const Json thread = {
      {"name", "thread_name"}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", "training step"}}}};
  std::string text = "{\"displayTimeUnit\":\"ms\",\"otherData\":" + Json{{"peak GF/s", rates}}.dump() +
                     ",\"traceEvents\":[\n" + process.dump() + ",\n" + thread.dump();
  for (const TimedEvent& event : record.events)
    text += ",\n" + event_json(event, record.places[static_cast<size_t>(event.place)]).dump();
  return text + "\n]}\n";
}

}  // namespace morex::train
