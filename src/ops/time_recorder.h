// Where the time of a piece of work goes: what this thread does, as nested intervals with the place in the model each
// belongs to and the floating-point operations it does. On the CPU a backward pass runs on the thread that asked for
// it. While nothing records, an instrumented place costs the read of one pointer.
#pragma once
#include <c10/core/ScalarType.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace morex::ops {

enum class TimedKind {
  kPhase,      // contains others; what it does itself belongs to no operation
  kOperation,  // a node of the autograd graph in either direction, or a named piece of work
  kAten,       // a call of ATen's that is part of no other such call
  kProduct,    // a matrix product
};

struct Place {
  int64_t layer = -1;    // decoder layer, -1 outside of them
  std::string part;      // "q_proj", "attention", …; empty: what stands between them
  bool adapter = false;  // work of the adapter on that part
  bool operator==(const Place&) const = default;
};

struct TimedEvent {
  std::string_view name;
  TimedKind kind = TimedKind::kPhase;
  bool backward = false;
  int64_t parent = -1;                                 // index of the event around it, always a smaller one; -1: none
  int64_t place = 0;                                   // index into TimeRecord::places
  int64_t begin = 0, end = 0;                          // nanoseconds since the recorder was made
  double flops = 0;                                    // done by this event itself, multiply-add = 2
  c10::ScalarType dtype = c10::ScalarType::Undefined;  // of the operands, where flops > 0
  std::array<int64_t, 4> shape{};                      // products: batch, m, n, k
  int64_t duration() const { return end - begin; }
};

struct TimeRecord {
  std::vector<TimedEvent> events;  // in the order of their beginnings
  std::vector<Place> places;
  std::unordered_set<std::string> names;  // what the events' names point to
};

class TimeRecorder {
 public:
  TimeRecorder();
  ~TimeRecorder();
  TimeRecorder(const TimeRecorder&) = delete;
  TimeRecorder& operator=(const TimeRecorder&) = delete;

  // Recording on the calling thread lasts as long as this. One at a time on a thread, one after another for a recorder.
  class Session {
   public:
    explicit Session(TimeRecorder& recorder);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

   private:
    uint64_t callback_;
  };

  // What was recorded so far; outside of sessions. Moves it out.
  TimeRecord take();

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// Whether this thread records: guards work that only a record needs.
bool recording_time();

// An interval from here to the end of the C++ scope.
class TimedScope {
 public:
  explicit TimedScope(std::string_view name, TimedKind kind = TimedKind::kOperation, bool backward = false);
  // A product a [m, k] · b [k, n]. Calls of ATen's within it are part of it.
  TimedScope(std::string_view name, int64_t m, int64_t n, int64_t k, c10::ScalarType dtype);
  ~TimedScope();
  TimedScope(const TimedScope&) = delete;
  TimedScope& operator=(const TimedScope&) = delete;

 private:
  TimeRecorder::Impl* recorder_;
};

// Says where in the model the work until the end of the C++ scope belongs, its backward pass included. What is not
// given stays as it is around it.
class PlaceScope {
 public:
  explicit PlaceScope(int64_t layer);
  // `module`: a path, of which the last name counts ("model.layers.0.self_attn.q_proj").
  explicit PlaceScope(std::string_view module, bool adapter = false);
  ~PlaceScope();
  PlaceScope(const PlaceScope&) = delete;
  PlaceScope& operator=(const PlaceScope&) = delete;

 private:
  TimeRecorder::Impl* recorder_;
  int64_t before_ = 0;
};

// Adds floating-point operations of our own loops to the innermost interval.
void count_flops(double flops, c10::ScalarType dtype);

}  // namespace morex::ops
