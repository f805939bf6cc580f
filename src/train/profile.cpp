#include "train/profile.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/error.h"

namespace morex::train {
namespace {

using ops::TimedEvent;
using ops::TimedKind;

// Nanoseconds of each event that are in none of its children.
std::vector<int64_t> own_times(const std::vector<TimedEvent>& events) {
  std::vector<int64_t> own;
  for (const TimedEvent& event : events) {
    own.push_back(event.duration());
    if (event.parent >= 0) own[static_cast<size_t>(event.parent)] -= event.duration();
  }
  return own;
}

// The event in whose row each event's own time stands: itself for phases and operations; calls of the library and
// products count for the operation or outermost call they are part of.
std::vector<size_t> owners(const std::vector<TimedEvent>& events) {
  std::vector<size_t> owner;
  for (size_t i = 0; i < events.size(); ++i) {
    const TimedEvent& event = events[i];
    const bool part_of_another = event.kind != TimedKind::kPhase && event.kind != TimedKind::kOperation &&
                                 event.parent >= 0 &&
                                 events[static_cast<size_t>(event.parent)].kind != TimedKind::kPhase;
    owner.push_back(part_of_another ? owner[static_cast<size_t>(event.parent)] : i);
  }
  return owner;
}

// What one event adds by itself.
class Share {
 public:
  Share(const TimedEvent& event, int64_t own_nanoseconds, const PeakRates& peaks, double steps)
      : is_product_(event.kind == TimedKind::kProduct), ms_(static_cast<double>(own_nanoseconds) / 1e6 / steps) {
    if (event.flops == 0) return;
    gflop_ = event.flops / 1e9 / steps;
    ideal_ms_ = event.flops / peaks.at(event.dtype) * 1e3 / steps;
  }
  void add_to(Spent& spent) const {
    spent.ms += ms_;
    if (is_product_) spent.products_ms += ms_;
    spent.gflop += gflop_;
    spent.ideal_ms += ideal_ms_;
  }
  double ms() const { return ms_; }

 private:
  bool is_product_;
  double ms_, gflop_ = 0, ideal_ms_ = 0;
};

std::string part_name(const ops::Place& place) {
  if (!place.part.empty()) return place.part;
  return place.layer >= 0 ? "norms and residual" : "outside of the model";
}

template <typename Key, typename Row>
std::vector<Row> by_time(const std::map<Key, Row>& rows, const Spent Row::*spent) {
  std::vector<Row> sorted;
  for (const auto& [key, row] : rows) sorted.push_back(row);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [spent](const Row& a, const Row& b) { return (a.*spent).ms > (b.*spent).ms; });
  return sorted;
}

}  // namespace

Profile summarize(const ops::TimeRecord& record, const PeakRates& peaks) {
  Profile profile;
  const std::vector<TimedEvent>& events = record.events;
  profile.steps = std::count_if(events.begin(), events.end(), [](const TimedEvent& e) { return e.parent < 0; });
  MOREX_ASSERT(profile.steps > 0);
  const auto steps = static_cast<double>(profile.steps);
  const std::vector<int64_t> own = own_times(events);
  const std::vector<size_t> owner = owners(events);

  using NameAndPass = std::pair<std::string, bool>;
  std::map<NameAndPass, OperationRow> operations, library_calls;
  std::map<std::tuple<std::string, std::string, std::array<int64_t, 4>, c10::ScalarType>, ProductRow> products;
  std::map<int64_t, LayerRow> layers;
  std::map<std::string, PartRow> parts;
  for (size_t i = 0; i < events.size(); ++i) {
    const TimedEvent& event = events[i];
    const Share share(event, own[i], peaks, steps);
    share.add_to(profile.all);

    const ops::Place& place = record.places[static_cast<size_t>(event.place)];
    LayerRow& layer = layers[place.layer];
    layer.layer = place.layer;
    PartRow& part = parts[part_name(place)];
    part.name = part_name(place);
    Spent& one_way = place.adapter    ? event.backward ? part.adapter_backward : part.adapter_forward
                     : event.backward ? part.backward
                                      : part.forward;
    for (Spent* spent : {&layer.all, event.backward ? &layer.backward : &layer.forward, &part.all, &one_way})
      share.add_to(*spent);

    const TimedEvent& in = events[owner[i]];
    if (in.kind == TimedKind::kPhase) {
      profile.unaccounted_ms += share.ms();
      continue;
    }
    const std::string operation(in.name);
    OperationRow& row = operations[{operation, in.backward}];
    row.name = operation;
    row.backward = in.backward;
    row.spent.calls += owner[i] == i ? 1 / steps : 0;
    share.add_to(row.spent);
    if (event.kind == TimedKind::kProduct) {
      ProductRow& product = products[{std::string(event.name), operation, event.shape, event.dtype}];
      product.name = event.name;
      product.inside = operation;
      product.shape = event.shape;
      product.dtype = event.dtype;
      for (Spent* spent : {&product.spent, &profile.products}) {
        spent->calls += 1 / steps;
        share.add_to(*spent);
      }
    } else if (event.kind == TimedKind::kAten) {
      OperationRow& call = library_calls[{std::string(event.name), event.backward}];
      call.name = event.name;
      call.backward = event.backward;
      call.spent.calls += 1 / steps;
      share.add_to(call.spent);
    }
  }
  profile.operations = by_time(operations, &OperationRow::spent);
  profile.library_calls = by_time(library_calls, &OperationRow::spent);
  profile.products_by_shape = by_time(products, &ProductRow::spent);
  profile.parts = by_time(parts, &PartRow::all);
  for (const auto& [index, row] : layers) profile.layers.push_back(row);
  return profile;
}

std::vector<c10::ScalarType> dtypes_of(const ops::TimeRecord& record) {
  std::set<c10::ScalarType> dtypes;
  for (const TimedEvent& event : record.events)
    if (event.flops > 0) dtypes.insert(event.dtype);
  return {dtypes.begin(), dtypes.end()};
}

}  // namespace morex::train
