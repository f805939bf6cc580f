#include "ops/time_recorder.h"

#include <ATen/SequenceNumber.h>
#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"

namespace morex::ops {
namespace {

// Set by a Session for the thread it lives on, null otherwise.
thread_local constinit TimeRecorder::Impl* current = nullptr;

// The operands of a product of ATen's: index of the first among the arguments, and the dimensions of both.
struct ProductCall {
  std::string_view name;
  size_t first;
  int64_t dims;
};
constexpr std::array kProductCalls = {ProductCall{"aten::mm", 0, 2},      ProductCall{"aten::addmm", 1, 2},
                                      ProductCall{"aten::addmm_", 1, 2},  ProductCall{"aten::bmm", 0, 3},
                                      ProductCall{"aten::baddbmm", 1, 3}, ProductCall{"aten::baddbmm_", 1, 3}};

const ProductCall* product_call(std::string_view name) {
  const auto* found = std::find_if(kProductCalls.begin(), kProductCalls.end(),
                                   [&](const ProductCall& call) { return call.name == name; });
  return found == kProductCalls.end() ? nullptr : found;
}

}  // namespace

class TimeRecorder::Impl {
 public:
  Impl() : start_(std::chrono::steady_clock::now()) { clear(); }

  void clear() {
    record_ = TimeRecord();
    record_.places.emplace_back();
    open_.clear();
    place_ = 0;
    forget_places();
  }

  TimeRecord take() {
    MOREX_ASSERT(open_.empty());
    TimeRecord record = std::move(record_);
    clear();
    return record;
  }

  // Between two sessions nodes may have been made of which nothing is known.
  void forget_places() { nodes_.assign(1, {0, 0}); }

  TimedEvent& begin(std::string_view name, TimedKind kind, bool backward) {
    TimedEvent& event = record_.events.emplace_back();
    event.name = *record_.names.emplace(name).first;
    event.kind = kind;
    event.parent = innermost();
    event.backward = backward || (event.parent >= 0 && record_.events[slot(event.parent)].backward);
    event.place = place_;
    open_.push_back({static_cast<int64_t>(record_.events.size()) - 1, place_});
    event.begin = now();
    return event;
  }

  void end() {
    const Open last = open_.back();
    open_.pop_back();
    if (last.event < 0) return;
    TimedEvent& event = record_.events[slot(last.event)];
    event.end = now();
    // Between two nodes of a backward pass their gradients are summed: that belongs to the node before.
    if (!in_backward_node(event)) put(last.place);
  }

  // An interval of the library that is not recorded by itself.
  void skip() { open_.push_back({-1, place_}); }

  int64_t innermost() const {
    for (auto it = open_.rbegin(); it != open_.rend(); ++it)
      if (it->event >= 0) return it->event;
    return -1;
  }
  TimedEvent* innermost_event() {
    const int64_t index = innermost();
    return index < 0 ? nullptr : &record_.events[slot(index)];
  }

  const Place& place() const { return record_.places[slot(place_)]; }
  int64_t place_index() const { return place_; }
  void put(const Place& place) {
    const auto found = std::find(record_.places.begin(), record_.places.end(), place);
    const auto index = found - record_.places.begin();
    if (found == record_.places.end()) record_.places.push_back(place);
    put(static_cast<int64_t>(index));
  }
  void put(int64_t place) {
    if (place == place_) return;
    place_ = place;
    const uint64_t next = at::sequence_number::peek();
    if (nodes_.back().first == next) {
      nodes_.back().second = place;
    } else {
      nodes_.emplace_back(next, place);
    }
  }
  // The place at which the node with this number was made.
  int64_t place_of_node(uint64_t number) const {
    const auto behind = std::upper_bound(nodes_.begin(), nodes_.end(), number,
                                         [](uint64_t value, const auto& entry) { return value < entry.first; });
    return behind == nodes_.begin() ? 0 : std::prev(behind)->second;
  }

 private:
  struct Open {
    int64_t event;  // -1: not recorded
    int64_t place;  // to come back to
  };

  static size_t slot(int64_t index) { return static_cast<size_t>(index); }
  static bool in_backward_node(const TimedEvent& event) {
    return event.backward && event.kind == TimedKind::kOperation;
  }
  int64_t now() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_).count();
  }

  std::chrono::steady_clock::time_point start_;
  TimeRecord record_;
  std::vector<Open> open_;
  int64_t place_ = 0;
  // Autograd's nodes are numbered as they are made: from each number on, nodes belong to the place beside it.
  std::vector<std::pair<uint64_t, int64_t>> nodes_;
};

// What the library tells of its calls and of the nodes of a backward pass.
struct LibraryCallbacks {
  static std::unique_ptr<at::ObserverContext> start(const at::RecordFunction& function) {
    TimeRecorder::Impl& recorder = *current;
    if (function.scope() == at::RecordScope::BACKWARD_FUNCTION) {
      // The sinks of a graph have the highest number there is; they stay where the node before them is.
      if (function.seqNr() >= 0) recorder.put(recorder.place_of_node(static_cast<uint64_t>(function.seqNr())));
      recorder.begin(function.name(), TimedKind::kOperation, true);
      return nullptr;
    }
    const std::string_view name = function.name();
    const TimedEvent* around = recorder.innermost_event();
    const bool inside_product = around != nullptr && around->kind == TimedKind::kProduct;
    const ProductCall* call = inside_product ? nullptr : product_call(name);
    if (call != nullptr) {
      begin_product(recorder, *call, function);
    } else if (inside_product || (around != nullptr && around->kind == TimedKind::kAten) ||
               name.starts_with("autograd::engine")) {
      recorder.skip();
    } else {
      recorder.begin(name, TimedKind::kAten, false);
    }
    return nullptr;
  }

  static void end(const at::RecordFunction&, at::ObserverContext*) { current->end(); }

 private:
  static void begin_product(TimeRecorder::Impl& recorder, const ProductCall& call, const at::RecordFunction& function) {
    const auto inputs = function.inputs();
    MOREX_ASSERT(inputs.size() > call.first + 1);
    const at::Tensor &a = inputs[call.first].toTensor(), &b = inputs[call.first + 1].toTensor();
    const bool batched = call.dims == 3;
    const int64_t batch = batched ? a.size(0) : 1, m = a.size(-2), k = a.size(-1), n = b.size(-1);
    TimedEvent& event = recorder.begin(call.name, TimedKind::kProduct, false);
    event.shape = {batch, m, n, k};
    event.flops =
        2.0 * static_cast<double>(batch) * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    event.dtype = a.scalar_type();
  }
};

TimeRecorder::TimeRecorder() : impl_(std::make_unique<Impl>()) {}
TimeRecorder::~TimeRecorder() { MOREX_ASSERT(current != impl_.get()); }

TimeRecord TimeRecorder::take() { return impl_->take(); }

TimeRecorder::Session::Session(TimeRecorder& recorder) {
  MOREX_ASSERT(current == nullptr);
  recorder.impl_->forget_places();
  current = recorder.impl_.get();
  callback_ = at::addThreadLocalCallback(at::RecordFunctionCallback(LibraryCallbacks::start, LibraryCallbacks::end)
                                             .needsInputs(true)
                                             .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
}

TimeRecorder::Session::~Session() {
  at::removeCallback(callback_);
  current = nullptr;
}

bool recording_time() { return current != nullptr; }

TimedScope::TimedScope(std::string_view name, TimedKind kind, bool backward) : recorder_(current) {
  if (recorder_ != nullptr) recorder_->begin(name, kind, backward);
}

TimedScope::TimedScope(std::string_view name, int64_t m, int64_t n, int64_t k, c10::ScalarType dtype)
    : recorder_(current) {
  if (recorder_ == nullptr) return;
  TimedEvent& event = recorder_->begin(name, TimedKind::kProduct, false);
  event.shape = {1, m, n, k};
  event.flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  event.dtype = dtype;
}

TimedScope::~TimedScope() {
  if (recorder_ != nullptr) recorder_->end();
}

PlaceScope::PlaceScope(int64_t layer) : recorder_(current) {
  if (recorder_ == nullptr) return;
  before_ = recorder_->place_index();
  recorder_->put(Place{layer, "", false});
}

PlaceScope::PlaceScope(std::string_view module, bool adapter) : recorder_(current) {
  if (recorder_ == nullptr) return;
  before_ = recorder_->place_index();
  const size_t dot = module.rfind('.');
  const std::string_view part = dot == std::string_view::npos ? module : module.substr(dot + 1);
  recorder_->put(Place{recorder_->place().layer, std::string(part), adapter});
}

PlaceScope::~PlaceScope() {
  if (recorder_ != nullptr) recorder_->put(before_);
}

void count_flops(double flops, c10::ScalarType dtype) {
  if (current == nullptr) return;
  TimedEvent* event = current->innermost_event();
  if (event == nullptr) return;
  event->flops += flops;
  event->dtype = dtype;
}

}  // namespace morex::ops
