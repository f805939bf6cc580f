#include "ops/linear_cross_entropy.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/gemm.h"
#include "ops/row_kernels.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// Logits held at a time: enough rows that reading the weight does not dominate its product, in units that suit it.
constexpr int64_t kLogitBytes = int64_t{32} << 20, kRowUnit = 64;

int64_t rows_at_a_time(int64_t classes, int64_t element_size) {
  return std::max(kRowUnit, kLogitBytes / (classes * element_size) / kRowUnit * kRowUnit);
}

// The rows that count, as indices; all of them must be valid classes.
at::Tensor supervised_rows(const at::Tensor& targets, int64_t classes) {
  MOREX_ASSERT(targets.dim() == 1 && targets.scalar_type() == at::kLong);
  const at::Tensor rows = targets.ne(kIgnoredTarget).nonzero().squeeze(1);
  if (rows.numel() > 0) {
    const auto [low, high] = targets.index_select(0, rows).aminmax();
    MOREX_CHECK(low.item<int64_t>() >= 0 && high.item<int64_t>() < classes, ErrorKind::kData,
                "[loss] targets must lie in [0, {}) or be {}, got {} … {}", classes, kIgnoredTarget,
                low.item<int64_t>(), high.item<int64_t>());
  }
  return rows;
}

// Replaces one row of logits by softmax - onehot; returns its loss.
float softmax_row(float* x, int64_t classes, int64_t target) {
  const float own = x[target], top = row_max(x, classes);
  const float sum = row_exp(x, classes, 1.0f, top);
  row_scale(x, classes, 1.0f / sum);
  x[target] -= 1.0f;
  return std::log(sum) + top - own;
}

double softmax_row(double* x, int64_t classes, int64_t target) {
  const double own = x[target], top = *std::max_element(x, x + classes);
  double sum = 0.0;
  for (int64_t i = 0; i < classes; ++i) sum += x[i] = std::exp(x[i] - top);
  for (int64_t i = 0; i < classes; ++i) x[i] /= sum;
  x[target] -= 1.0;
  return std::log(sum) + top - own;
}

// softmax_losses in plain ATen, on any device.
void plain_softmax_losses(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& nll, bool gradient) {
  const at::Tensor log_p = at::log_softmax(logits.to(wide_type(logits.scalar_type())), 1);  // [n, V]
  const at::Tensor own = targets.unsqueeze(1);                                              // [n, 1]
  nll.copy_(at::gather(log_p, 1, own).squeeze(1).neg());
  if (gradient) logits.copy_(log_p.exp().scatter_add_(1, own, at::ones_like(own, log_p.scalar_type()).neg_()));
}

// Losses of logits [n, V] (dense rows) into nll [n] double. With `gradient`, the logits become softmax - onehot.
void softmax_losses(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& nll, bool gradient) {
  if (!logits.is_cpu()) return plain_softmax_losses(logits, targets, nll, gradient);
  const int64_t classes = logits.size(1), stride = logits.stride(0);
  const int64_t* target = targets.const_data_ptr<int64_t>();
  double* loss = nll.mutable_data_ptr<double>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, logits.scalar_type(), "softmax_losses", [&] {
    scalar_t* stored = logits.mutable_data_ptr<scalar_t>();
    for_chunks(logits.size(0), rows_per_chunk(classes), [&](int64_t begin, int64_t end) {
      std::vector<Wide<scalar_t>> work(static_cast<size_t>(classes));
      for (int64_t n = begin; n < end; ++n) {
        scalar_t* row = stored + n * stride;
        in_vectors([&]() __attribute__((always_inline)) { convert_row(row, work.data(), classes); });
        loss[n] = static_cast<double>(softmax_row(work.data(), classes, target[n]));
        if (gradient) in_vectors([&]() __attribute__((always_inline)) { convert_row(work.data(), row, classes); });
      }
    });
  });
}

Tensors cross_entropy_backward(const BackwardPass& pass) {
  const at::Tensor logits = pass.saved[0].detach(), &rows = pass.saved[1], &targets = pass.saved[2];
  at::Tensor d = logits.index_select(0, rows);  // [n, V]
  const at::Tensor nll = at::empty({rows.numel()}, logits.options().dtype(at::kDouble).requires_grad(false));
  softmax_losses(d, targets, nll, true);
  d.mul_(pass.grads[0].to(d.scalar_type()));
  if (rows.numel() < logits.size(0)) d = at::zeros_like(logits).index_copy_(0, rows, d);
  return {d};
}

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& h_in, const at::Tensor& weight, const at::Tensor& targets,
                                bool transposed) {
  MOREX_ASSERT(h_in.dim() == 2 && weight.dim() == 2 && h_in.size(0) == targets.size(0) &&
               h_in.size(1) == weight.size(transposed ? 0 : 1));
  AutogradNode node("linear_cross_entropy", {h_in, weight});
  const int64_t classes = weight.size(transposed ? 1 : 0);
  const at::Tensor rows = supervised_rows(targets, classes);
  const bool all = rows.numel() == targets.numel();
  const at::Tensor h = all ? h_in.detach().contiguous() : h_in.detach().index_select(0, rows);  // [n, D]
  const at::Tensor t = all ? targets.contiguous() : targets.index_select(0, rows);
  const at::Tensor w = weight.detach().to(h.scalar_type());
  const bool want_dh = node.wants(0), want_dw = node.wants(1);
  const at::ScalarType wide = wide_type(h.scalar_type());

  const int64_t n = h.size(0), step = rows_at_a_time(classes, h.element_size());
  const at::Tensor nll = at::empty({n}, h.options().dtype(at::kDouble));
  at::Tensor dh, dw;
  if (want_dh) dh = at::empty_like(h);                                   // [n, D]
  if (want_dw) dw = at::zeros(weight.sizes(), h.options().dtype(wide));  // as the weight
  for (int64_t row = 0; row < n; row += step) {
    const int64_t count = std::min(step, n - row);
    const at::Tensor x = h.narrow(0, row, count);
    const at::Tensor logits = transposed ? matmul_nn(x, w) : matmul_nt(x, w);  // [count, V]
    softmax_losses(logits, t.narrow(0, row, count), nll.narrow(0, row, count), want_dh || want_dw);
    if (want_dh) dh.narrow(0, row, count).copy_(transposed ? matmul_nt(logits, w) : matmul_nn(logits, w));
    if (!want_dw) continue;
    if (h.scalar_type() == wide) {
      transposed ? add_matmul_tn(dw, x, logits) : add_matmul_tn(dw, logits, x);
    } else {
      dw.add_(transposed ? matmul_tn(x, logits) : matmul_tn(logits, x));
    }
  }
  if (want_dh && !all) dh = at::zeros(h_in.sizes(), h.options()).index_copy_(0, rows, dh);
  return node.record(nll.sum().to(wide), {dh, dw}, [type = weight.scalar_type()](const BackwardPass& pass) -> Tensors {
    const at::Tensor &dh = pass.saved[0], &dw = pass.saved[1], &dloss = pass.grads[0];
    return {pass.wants(0) ? dh.mul(dloss.to(dh.scalar_type())) : at::Tensor(),
            pass.wants(1) ? dw.mul(dloss).to(type) : at::Tensor()};
  });
}

at::Tensor cross_entropy_sum(const at::Tensor& logits, const at::Tensor& targets) {
  MOREX_ASSERT(logits.dim() == 2 && logits.size(0) == targets.size(0));
  AutogradNode node("cross_entropy", {logits});
  const at::Tensor rows = supervised_rows(targets, logits.size(1));
  const at::Tensor t = targets.index_select(0, rows);  // [n]
  const at::Tensor nll = at::empty({rows.numel()}, logits.options().dtype(at::kDouble).requires_grad(false));
  const bool all = rows.numel() == targets.numel();
  const at::Tensor dense = logits.stride(1) == 1 ? logits.detach() : logits.detach().contiguous();
  softmax_losses(all ? dense : dense.index_select(0, rows), t, nll, false);
  return node.record(nll.sum().to(wide_type(logits.scalar_type())), {logits, rows, t}, cross_entropy_backward);
}

}  // namespace morex::ops
