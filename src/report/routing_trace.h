// How an adapter routes given sequences: numbers over all tokens, and what every shown token was given.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "adapters/adapter_set.h"
#include "base/sequence_facts.h"
#include "models/causal_lm.h"
#include "nn/routing_tally.h"

namespace morex::report {

struct TracedSequence {
  std::string name;  // "line 3", "prompt"
  std::vector<int64_t> ids;
  int64_t prompt_length = 0;       // what a prior of clusters reads; 0: all of it
  SequenceFacts facts;             // what else is known of it
  std::vector<std::string> texts;  // of each id, valid UTF-8; filled by the caller (token_texts.h)
  std::map<int64_t, std::vector<double>> cluster_scores;  // by number of clusters; filled by trace_routing
};

// One gate: a flat pool, all pairs, or a level of a tree.
struct TracedGate {
  nn::GateNumbers numbers;
  at::Tensor cosines;  // [E, E] float64; undefined: none
  // Of the S shown tokens, float32 on the CPU. ids undefined: weights has a place for every expert of every node.
  at::Tensor ids;      // [S, nodes] int64, trees only
  at::Tensor weights;  // [S, nodes]
  // Mixtures of routers:
  at::Tensor main;                // [S, N] weights of the sub-routers (trees: mean over nodes)
  at::Tensor firsts;              // [S, N] int64, the expert that each sub-router puts first (trees: at the first node)
  std::vector<double> main_mean;  // [N]
  double agreement = 0;           // share of rows whose sub-routers all put the same expert first
};

struct TreePath {
  std::vector<int64_t> experts;  // from the top level
  double weight = 0;             // mean over tokens of the product of its gates
};

struct TracedSite {
  adapters::RoutedSite site;
  std::vector<TracedGate> gates;  // by level, bottom first
  double omega = 0, gamma = 0;    // of the prior, of rank-one pairs; NaN: there is none
  // Trees: flows[l][i][j], the mean weight that goes from expert i of level l + 1 to expert j of level l; heaviest
  // paths first.
  std::vector<std::vector<std::vector<double>>> flows;
  std::vector<TreePath> paths;
};

struct RoutingTrace {
  std::vector<TracedSequence> sequences;
  std::vector<TracedSite> sites;  // in the order of layers
  int64_t tokens = 0;             // behind the numbers
  int64_t shown = 0;              // tokens of the first sequences, whole ones, that per-token tensors hold
};

struct TraceOptions {
  int64_t layer = -1;           // only this decoder layer's sites; -1: all
  int64_t shown_tokens = 2000;  // at most, but the first sequence at least
};

// Runs the model with its adapter over each sequence, as evaluation does: no dropout, no noise. `sequences` must not be
// empty, nor any of them. `poll` hears of the progress. Throws Error(kConfig) for an adapter without routing, and for a
// layer without routed sites.
RoutingTrace trace_routing(const models::CausalLm& model, const adapters::AdapterSet& adapter,
                           std::vector<TracedSequence> sequences, const TraceOptions& options,
                           const std::function<void(int64_t done)>& poll);

}  // namespace morex::report
