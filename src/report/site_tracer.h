// Collects what one site's details say, sequence by sequence.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "report/routing_trace.h"

namespace morex::report {

class SiteTracer {
 public:
  explicit SiteTracer(adapters::RoutedSite site) : site_(std::move(site)) {}

  const adapters::RoutedSite& site() const { return site_; }
  // `details` of a forward pass over one sequence of `tokens` (golden names: "SITE.g", "SITE.level0.ids" …). `show`:
  // keep what each token was given.
  void add(const std::map<std::string, at::Tensor>& details, int64_t tokens, bool show);
  // All but numbers and cosines.
  TracedSite finish() const;

 private:
  // What is gathered of one gate.
  struct Level {
    std::vector<at::Tensor> ids, weights, main, firsts;  // per shown sequence
    at::Tensor main_sum;                                 // [N] float64
    double rows = 0, agreeing = 0;
  };

  void add_flat(const at::Tensor& given, int64_t tokens, bool show);
  void add_tree(bool show);
  void add_routers(size_t level, const at::Tensor& main, const at::Tensor& logits, int64_t tokens, bool show);
  at::Tensor find(const std::string& name) const;  // float32 or int64 on the CPU, contiguous; undefined: not there

  adapters::RoutedSite site_;
  const std::map<std::string, at::Tensor>* details_ = nullptr;  // during add()
  std::vector<Level> levels_;
  double tokens_ = 0, omega_ = 0, gamma_ = 0;
  std::vector<std::vector<std::vector<double>>> flows_;
  std::map<std::vector<int64_t>, double> paths_;
};

}  // namespace morex::report
