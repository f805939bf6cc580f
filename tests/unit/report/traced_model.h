// The repository's tiny Llama with an adapter whose tensors hold fixed random numbers, looked at on two sequences.
#pragma once
#include <memory>
#include <string>

#include "adapters/adapter_set.h"
#include "base/json.h"
#include "models/causal_lm.h"
#include "report/routing_trace.h"

namespace morex::test {

struct TracedModel {
  explicit TracedModel(const Json& method);

  std::vector<report::TracedSequence> sequences() const;  // of 9 and 6 ids, with texts
  report::RoutingTrace trace(const report::TraceOptions& options = {}) const;
  // The details of a pass over sequence `s` alone, by golden names.
  std::map<std::string, at::Tensor> details(size_t s) const;

  Warnings warnings{false, false};
  std::unique_ptr<models::CausalLm> model;
  std::unique_ptr<adapters::AdapterSet> set;
};

}  // namespace morex::test
