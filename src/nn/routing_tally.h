// What the gates of a model do, counted over many passes: which experts are chosen, with what weight, and how sure the
// routers are. Nothing here is differentiated.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace morex::nn {

// One gate of one site (a tree has one per level).
struct RoutedGate {
  std::string site;  // module path
  int64_t layer = 0, level = 0, experts = 0;
  bool operator==(const RoutedGate&) const = default;
};

// What a gate did for n rows: tokens, in a tree the tokens' nodes.
struct GateRows {
  at::Tensor distribution;  // [n, E] of the router before it chooses; undefined: not known
  at::Tensor ids;           // [n, k] int64; undefined: `weights` has a place for every expert
  at::Tensor weights;       // [n, k] or [n, E] as the structure gets them; 0: not chosen
  at::Tensor mask;          // [n] 1: counts, 0: padding; undefined: all count
};

// A gate's numbers. Entropies are divided by ln E: 0 for one certain expert, 1 for all alike.
struct GateNumbers {
  double rows = 0;
  std::vector<double> share;   // [E] rows that chose the expert / rows
  std::vector<double> weight;  // [E] mean over all rows of its gate
  double entropy = 0;          // mean, of the distribution; NaN when it is not known
  double entropy_after = 0;    // mean, of the gates' magnitudes divided by their sum
};

class RoutingTally {
 public:
  explicit RoutingTally(std::vector<RoutedGate> gates);

  const std::vector<RoutedGate>& gates() const { return gates_; }

  // Keeps handles of the rows; what many gates leave is reduced together, whenever enough lies there.
  void add(const std::string& site, int64_t level, GateRows rows);
  // Reduces what lies there. The sums depend, in their last bits, on when this is called.
  void flush();

  // [N] float64 on the CPU: for each gate in order E choices, E weights, two entropies, rows. What is not flushed is
  // not in it. Writing to it replaces the state (a resumed run).
  const at::Tensor& sums() const { return sums_; }
  std::vector<GateNumbers> numbers() const;  // one per gate
  void clear();

 private:
  void reduce(const std::vector<size_t>& group);

  std::vector<RoutedGate> gates_;
  std::vector<int64_t> offsets_;  // into sums_
  std::map<std::pair<std::string, int64_t>, size_t> gate_of_;
  at::Tensor sums_;
  std::vector<std::pair<size_t, GateRows>> waiting_;
  int64_t waiting_elements_ = 0;
};

}  // namespace morex::nn
