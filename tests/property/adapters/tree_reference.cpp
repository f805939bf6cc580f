#include "tree_reference.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace morex::test {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

Vector normalised(Vector v) {
  const double norm = std::max(std::sqrt(dot(v, v)), 1e-12);
  for (double& value : v) value /= norm;
  return v;
}

Vector softmax(Vector v) {
  const double top = *std::max_element(v.begin(), v.end());
  double sum = 0.0;
  for (double& value : v) sum += value = std::exp(value - top);
  for (double& value : v) value /= sum;
  return v;
}

double squared_variation(const Vector& v) {
  if (v.size() == 1) return 0.0;
  const double mean = std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
  double squares = 0.0;
  for (const double value : v) squares += (value - mean) * (value - mean);
  return squares / static_cast<double>(v.size() - 1) / (mean * mean + 1e-10);
}

double normal_cdf(double x) { return 0.5 * (1.0 + std::erf(x / std::sqrt(2.0))); }

class Reference {
 public:
  Reference(const Json& recipe, const std::map<std::string, at::Tensor>& tensors, const at::Tensor& mask,
            const std::vector<at::Tensor>& noise)
      : experts_(recipe.at("experts")), router_(recipe.at("router")), tensors_(tensors), mask_(mask), noise_(noise) {
    levels_ = experts_.at("ranks").size();
    statistics_.resize(levels_);
    ids.resize(levels_);
    for (size_t l = 0; l < levels_; ++l) {
      const size_t s = experts_["pool"][l];
      statistics_[l] = {Vector(s), Vector(s), Vector(s), Vector(s), 0.0};
    }
  }

  Vector token(int64_t t, const Vector& x) {
    token_ = t;
    x_ = x;
    path_.assign(levels_, 0);
    const Vector h = affine("moe_downproj_x.weight", "moe_downproj_x.bias", x);
    return affine("moe_W_final", "moe_W_final_bias", visit(levels_ - 1, h));
  }

  double balance() const {
    double total = 0.0;
    for (const Statistics& s : statistics_) {
      if (router_.at("gate") == "noisy_topk") total += squared_variation(s.importance) + squared_variation(s.load);
      if (router_.at("gate") != "switch" || s.rows == 0.0) continue;
      for (size_t i = 0; i < s.chosen.size(); ++i)
        total += static_cast<double>(s.chosen.size()) * s.chosen[i] / s.rows * s.probability[i] / s.rows;
    }
    return total;
  }

  std::vector<std::vector<int64_t>> ids;

 private:
  struct Statistics {
    Vector chosen, probability, importance, load;
    double rows = 0.0;
  };
  struct Choice {
    std::vector<size_t> ids;
    Vector scores;
  };

  const at::Tensor& tensor(const std::string& name) const { return tensors_.at(name); }
  Vector values(const at::Tensor& tensor) const {
    const at::Tensor dense = tensor.contiguous();
    return {dense.data_ptr<double>(), dense.data_ptr<double>() + dense.numel()};
  }
  static std::string numbered(const std::string& name, size_t l) { return name + "." + std::to_string(l); }
  size_t pool_level(size_t l) const { return experts_.value("shared_pool", false) ? 0 : l; }

  Vector product(const at::Tensor& matrix, const Vector& x) const {
    Vector y;
    for (int64_t row = 0; row < matrix.size(0); ++row) y.push_back(dot(values(matrix[row]), x));
    return y;
  }
  Vector affine(const std::string& weight, const std::string& bias, const Vector& x) const {
    Vector y = product(tensor(weight), x);
    const Vector b = values(tensor(bias));
    for (size_t i = 0; i < y.size(); ++i) y[i] += b[i];
    return y;
  }
  Vector activate(const std::string& kind, const std::string& slope, Vector v) const {
    for (double& value : v) {
      if (kind == "tanh") value = std::tanh(value);
      if (kind == "relu") value = std::max(value, 0.0);
      if (kind.starts_with("prelu")) value = std::max(value, 0.0) + tensor(slope).item<double>() * std::min(value, 0.0);
    }
    return v;
  }

  // E of expert i at level l for the present token.
  Vector expert(size_t l, size_t i) const {
    const size_t pool = pool_level(l);
    const auto at = static_cast<int64_t>(i);
    Vector u = product(tensor(numbered("moe_A", pool))[at], x_);
    const Vector a = values(tensor(numbered("moe_A_bias", pool))[at]);
    for (size_t k = 0; k < u.size(); ++k) u[k] += a[k];
    Vector e = product(tensor(numbered("moe_B", pool))[at], u);
    const Vector b = values(tensor(numbered("moe_B_bias", pool))[at]);
    const Json alpha = experts_.value("alpha", Json());
    const double c = alpha.is_null() ? 1.0 : alpha[l].get<double>() / experts_["ranks"][l].get<double>();
    for (size_t k = 0; k < e.size(); ++k) e[k] = c * (e[k] + b[k]);
    return e;
  }

  Choice gate(size_t l, const Vector& gamma) {
    const std::string name = numbered("moe_gate", l), kind = router_.at("gate");
    Vector hidden = affine(name + ".mlp.0.weight", name + ".mlp.0.bias", gamma);
    hidden = activate(router_.at("gate_activation"), name + ".mlp.1.weight", std::move(hidden));
    Vector query = affine(name + ".mlp.2.weight", name + ".mlp.2.bias", hidden);
    const at::Tensor& keys = tensor(name + ".keys");
    const auto s = static_cast<size_t>(keys.size(0));
    if (kind == "noisy_topk") query = normalised(std::move(query));
    Vector logits(s), spread(s), noisy;
    for (size_t i = 0; i < s; ++i) logits[i] = dot(key(l, i), query);
    noisy = logits;
    const bool training = l < noise_.size() && noise_[l].defined();
    size_t row = 0;  // among the token's parents, in slot order
    for (size_t above = levels_ - 1; above > l; --above) row = row * fan(above) + path_[above];
    if (kind == "noisy_topk" && training) {
      spread = product(tensor(name + ".weight_noise.weight"), gamma);
      const Vector epsilon = values(noise_[l][token_].reshape({-1, keys.size(0)})[static_cast<int64_t>(row)]);
      for (size_t i = 0; i < s; ++i) {
        spread[i] = std::log1p(std::exp(spread[i])) + 0.01;
        noisy[i] += epsilon[i] * spread[i];
      }
    }
    const Vector pi = softmax(noisy);
    std::vector<size_t> order(s);
    std::iota(order.begin(), order.end(), 0);
    if (kind == "dense") return {order, pi};
    const Vector& ranking = kind == "switch" ? pi : noisy;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return ranking[a] > ranking[b]; });

    const size_t f = experts_["active"][l];
    Choice choice{{order.begin(), order.begin() + static_cast<int64_t>(f)}, {}};
    for (const size_t i : choice.ids) choice.scores.push_back(ranking[i]);
    if (f > 1 && kind == "switch") {
      const double sum = std::accumulate(choice.scores.begin(), choice.scores.end(), 0.0);
      for (double& score : choice.scores) score /= sum;
    }
    if (f > 1 && kind == "noisy_topk") choice.scores = softmax(choice.scores);
    const double weight = mask_.defined() ? mask_[token_].item<double>() : 1.0;
    Statistics& statistics = statistics_[l];
    statistics.rows += weight;
    for (size_t j = 0; j < f; ++j) {
      ids[l].push_back(static_cast<int64_t>(choice.ids[j]));
      statistics.chosen[choice.ids[j]] += weight;
      statistics.importance[choice.ids[j]] += weight * choice.scores[j];
      if (kind == "noisy_topk" && !training && weight * choice.scores[j] > 0.0) statistics.load[choice.ids[j]] += 1.0;
    }
    for (size_t i = 0; i < s; ++i) {
      statistics.probability[i] += weight * pi[i];
      if (kind != "noisy_topk" || !training) continue;
      const double inside = noisy[order[f]], outside = noisy[order[f - 1]];
      statistics.load[i] += weight * normal_cdf((logits[i] - (noisy[i] > inside ? inside : outside)) / spread[i]);
    }
    return choice;
  }

  size_t fan(size_t l) const { return router_.at("gate") == "dense" ? experts_["pool"][l] : experts_["active"][l]; }
  Vector key(size_t l, size_t i) const {
    Vector k = values(tensor(numbered("moe_gate", l) + ".keys")[static_cast<int64_t>(i)]);
    return router_.at("gate") == "noisy_topk" ? normalised(std::move(k)) : k;
  }

  // The message of a parent whose children are at level l.
  Vector visit(size_t l, const Vector& gamma) {
    const Choice choice = gate(l, gamma);
    const std::string position = experts_.at("activation_position"), sigma = experts_.at("activation");
    const std::string slope = numbered("moe_expert_act_param", l);
    Vector sum;
    for (size_t j = 0; j < choice.ids.size(); ++j) {
      path_[l] = j;
      Vector e = expert(l, choice.ids[j]), below;
      if (l > 0) {
        Vector deeper = gamma;
        const Vector k = key(l, choice.ids[j]);
        deeper.insert(deeper.end(), k.begin(), k.end());
        below = visit(l - 1, deeper);
        if (position != "all") below = activate(sigma, slope, std::move(below));
        below = affine(numbered("moe_W", l), numbered("moe_W_bias", l), below);
      }
      sum.resize(e.size());
      const double alpha = choice.scores[j];
      if (position == "all") {
        if (l > 0)
          for (size_t k = 0; k < e.size(); ++k) e[k] += below[k];
        e = activate(sigma, slope, std::move(e));
        for (size_t k = 0; k < e.size(); ++k) sum[k] += alpha * e[k];
        continue;
      }
      const double outer = position == "child" ? 1.0 : alpha;
      for (size_t k = 0; k < e.size(); ++k) sum[k] += alpha * e[k] + (l > 0 ? outer * below[k] : 0.0);
    }
    return sum;
  }

  Json experts_, router_;
  const std::map<std::string, at::Tensor>& tensors_;
  at::Tensor mask_;
  std::vector<at::Tensor> noise_;
  size_t levels_ = 0;
  std::vector<Statistics> statistics_;
  int64_t token_ = 0;
  Vector x_;
  std::vector<size_t> path_;
};

}  // namespace

TreeReferenceResult tree_reference(const Json& recipe, const std::map<std::string, at::Tensor>& tensors,
                                   const at::Tensor& x, const at::Tensor& mask, const std::vector<at::Tensor>& noise) {
  Reference reference(recipe, tensors, mask, noise);
  TreeReferenceResult result;
  std::vector<at::Tensor> rows;
  for (int64_t t = 0; t < x.size(0); ++t) {
    const at::Tensor token = x[t].contiguous();
    const Vector y = reference.token(t, {token.data_ptr<double>(), token.data_ptr<double>() + token.numel()});
    rows.push_back(at::tensor(y, at::kDouble));
  }
  result.update = at::stack(rows);
  result.balance = reference.balance();
  result.ids = reference.ids;
  return result;
}

}  // namespace morex::test
