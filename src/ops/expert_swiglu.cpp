#include "ops/expert_swiglu.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "base/error.h"
#include "ops/activate.h"
#include "ops/autograd_node.h"
#include "ops/dropout.h"
#include "ops/gemm.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// Rows of one expert that are worked on at a time: [256, 4096] float32 are 4 MiB.
constexpr int64_t kRows = 256;

struct State {
  ExpertRows rows;
  ExpertSwigluOptions options;
};

// What one piece's forward pass makes.
struct Activations {
  at::Tensor tokens;                // [n]
  at::Tensor weight;                // [n, 1], wide
  at::Tensor h_gate, h_up;          // [n, r], scaled
  at::Tensor b_gate, b_up, a_down;  // [r, F]
  at::Tensor u, act, w;             // [n, F] act(u)·w is the expert's activation; wide
  at::Tensor dropped;               // [n, F] the activation as a_down sees it
};

RandomKey piece_key(const State& state, const ExpertPiece& piece) {
  RandomKey key = state.options.key;
  key.stream += static_cast<uint64_t>(piece.first);
  return key;
}

// The tensors of the node in the order of ExpertSwigluInput, detached, leaves in the activations' dtype.
struct Operands {
  explicit Operands(const Tensors& in)
      : gate(in[0].detach()),
        up(in[1].detach()),
        h_gate(in[2].detach()),
        h_up(in[3].detach()),
        weights(in[4].detach()) {
    const at::ScalarType type = gate.scalar_type();
    b_gate = in[5].detach().to(type), b_up = in[6].detach().to(type), a_down = in[7].detach().to(type);
  }
  at::Tensor gate, up, h_gate, h_up, weights, b_gate, b_up, a_down;
};

Activations activations(const Operands& in, const State& state, const ExpertPiece& piece) {
  const at::ScalarType type = in.gate.scalar_type(), wide = wide_type(type);
  const int64_t experts = static_cast<int64_t>(state.rows.counts.size());
  const int64_t rank = in.b_gate.size(0) / experts, column = piece.expert * rank;
  Activations a;
  a.tokens = state.rows.tokens.narrow(0, piece.first, piece.count);
  a.weight = in.weights.narrow(0, piece.first, piece.count).to(wide).unsqueeze(1);
  a.h_gate = take_rows(in.h_gate.narrow(1, column, rank), a.tokens).mul_(state.options.scale).to(type);
  a.h_up = take_rows(in.h_up.narrow(1, column, rank), a.tokens).mul_(state.options.scale).to(type);
  a.b_gate = in.b_gate.narrow(0, column, rank);
  a.b_up = in.b_up.narrow(0, column, rank);
  a.a_down = in.a_down.narrow(0, column, rank);
  const at::Tensor u = take_rows(in.gate, a.tokens), w = take_rows(in.up, a.tokens);
  add_matmul_nn(u, a.h_gate, a.b_gate);
  add_matmul_nn(w, a.h_up, a.b_up);
  a.u = u.to(wide), a.w = w.to(wide);
  a.act = activate(a.u, state.options.activation);
  return a;
}

// -> hidden, z
Tensors run_forward(const Tensors& inputs, const State& state) {
  const Operands in(inputs);
  const at::ScalarType type = in.gate.scalar_type();
  const at::Tensor hidden = at::zeros_like(in.gate, at::MemoryFormat::Contiguous);          // [T, F]
  const at::Tensor z = at::zeros({in.gate.size(0), in.b_gate.size(0)}, in.gate.options());  // [T, E·r]
  for_pieces(state.rows, kRows, [&](const ExpertPiece& piece) {
    const Activations a = activations(in, state, piece);
    const at::Tensor act = a.act * a.w;  // [n, F]
    const at::Tensor dropped = dropout(act.to(type), state.options.dropout, piece_key(state, piece));
    const at::Tensor t = matmul_nt(dropped, a.a_down) * (a.weight * state.options.scale).to(type);  // [n, r]
    z.narrow(1, piece.expert * t.size(1), t.size(1)).index_copy_(0, a.tokens, t);
    add_rows(hidden, a.tokens, (act * a.weight).to(type));
  });
  return {hidden, z};
}

Tensors run_backward(const BackwardPass& pass, const State& state) {
  const Operands in(pass.saved);
  const at::ScalarType type = in.gate.scalar_type(), wide = wide_type(type);
  const double scale = state.options.scale;
  const at::Tensor &d_hidden = pass.grads[0], &d_z = pass.grads[1];

  const at::Tensor d_gate = at::zeros_like(in.gate, at::MemoryFormat::Contiguous);
  const at::Tensor d_up = at::zeros_like(in.up, at::MemoryFormat::Contiguous);
  const at::Tensor d_h_gate = at::zeros(in.h_gate.sizes(), in.h_gate.options());
  const at::Tensor d_h_up = at::zeros(in.h_up.sizes(), in.h_up.options());
  const at::Tensor d_weights = at::zeros_like(in.weights);
  const auto leaf_grad = [&](const at::Tensor& leaf) { return at::zeros(leaf.sizes(), leaf.options().dtype(type)); };
  const at::Tensor d_b_gate = leaf_grad(in.b_gate), d_b_up = leaf_grad(in.b_up), d_a_down = leaf_grad(in.a_down);

  for_pieces(state.rows, kRows, [&](const ExpertPiece& piece) {
    const Activations a = activations(in, state, piece);
    const int64_t rank = a.a_down.size(0), column = piece.expert * rank;
    const RandomKey key = piece_key(state, piece);
    const at::Tensor act = a.act * a.w;  // [n, F]
    const at::Tensor dropped = dropout(act.to(type), state.options.dropout, key);
    const at::Tensor dh = take_rows(d_hidden, a.tokens).to(wide);                     // [n, F]
    const at::Tensor dz = take_rows(d_z.narrow(1, column, rank), a.tokens).to(wide);  // [n, r]
    const at::Tensor t = matmul_nt(dropped, a.a_down).to(wide);                       // [n, r]
    d_weights.narrow(0, piece.first, piece.count).copy_((dh * act).sum(1) + (dz * t).sum(1) * scale);

    const at::Tensor dt = (dz * (a.weight * scale)).to(type);  // [n, r]
    add_matmul_tn(d_a_down.narrow(0, column, rank), dt, dropped);
    at::Tensor da = dropout(matmul_nn(dt, a.a_down), state.options.dropout, key).to(wide);  // [n, F]
    da = da + dh * a.weight;
    const at::Tensor dw = (da * a.act).to(type);                                                  // [n, F]
    const at::Tensor du = activation_backward(da * a.w, a.u, state.options.activation).to(type);  // [n, F]
    add_rows(d_gate, a.tokens, du);
    add_rows(d_up, a.tokens, dw);
    add_matmul_tn(d_b_gate.narrow(0, column, rank), a.h_gate, du);
    add_matmul_tn(d_b_up.narrow(0, column, rank), a.h_up, dw);
    const auto to_rows = [&](const at::Tensor& target, const at::Tensor& d, const at::Tensor& b) {
      target.narrow(1, column, rank).index_copy_(0, a.tokens, (matmul_nt(d, b) * scale).to(target.scalar_type()));
    };
    to_rows(d_h_gate, du, a.b_gate);
    to_rows(d_h_up, dw, a.b_up);
  });
  return {d_gate,
          d_up,
          d_h_gate,
          d_h_up,
          d_weights,
          d_b_gate.to(pass.saved[5].scalar_type()),
          d_b_up.to(pass.saved[6].scalar_type()),
          d_a_down.to(pass.saved[7].scalar_type())};
}

}  // namespace

std::pair<at::Tensor, at::Tensor> expert_swiglu(const ExpertSwigluInput& input, const ExpertRows& rows,
                                                const ExpertSwigluOptions& options) {
  MOREX_ASSERT(input.gate.dim() == 2 && input.gate.sizes() == input.up.sizes());
  MOREX_ASSERT(!rows.counts.empty() && input.b_gate.size(0) % static_cast<int64_t>(rows.counts.size()) == 0);
  MOREX_ASSERT(input.h_gate.size(1) == input.b_gate.size(0) && input.weights.size(0) == rows.tokens.size(0));
  const Tensors inputs = {input.gate,    input.up,     input.h_gate, input.h_up,
                          input.weights, input.b_gate, input.b_up,   input.a_down};
  const State state{rows, options};
  AutogradNode node("expert_swiglu", inputs);
  const Tensors out = node.record(run_forward(inputs, state), inputs,
                                  [state](const BackwardPass& pass) { return run_backward(pass, state); });
  return {out[0], out[1]};
}

}  // namespace morex::ops
