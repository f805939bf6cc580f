// MOELoRA (arXiv 2310.18339): the task decides, g = softmax(Q·Emb[task]) for all tokens of a sequence. The batch brings
// the sequences' task ids, 0 … tasks; task_names says which names they stand for. Parameters: (tasks + 1)·t + E·t.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>

#include <set>

#include "adapters/router/softening.h"
#include "adapters/router/table.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

class TaskRouter : public Router {
 public:
  TaskRouter(int64_t experts, nn::TaskTable tasks, int64_t width, Temperature temperature)
      : experts_(experts), tasks_(std::move(tasks)), width_(width), temperature_(temperature) {
    tensors_ = {{"moe_gate.task_embedding.weight", Place::kOwn, {tasks_.highest + 1, width}, Init::normal(1.0)},
                {"moe_gate.weight", Place::kOwn, {experts, width}, Init::kaiming(width)}};
  }

  int64_t rows() const override { return 0; }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  bool dense() const override { return true; }
  const nn::TaskTable* tasks() const override { return &tasks_; }
  Gates route(const at::Tensor& u, const std::vector<at::Tensor>& own, const Prior& prior,
              const std::vector<at::Tensor>& prior_own, const TokenRows& rows) const override;
  double flops() const override { return 0.0; }  // once per sequence
  int64_t active_parameters() const override { return width_ + experts_ * width_; }

 private:
  int64_t experts_;
  nn::TaskTable tasks_;
  int64_t width_;
  Temperature temperature_;
  std::vector<TensorSpec> tensors_;
};

Gates TaskRouter::route(const at::Tensor& u, const std::vector<at::Tensor>& own, const Prior& prior,
                        const std::vector<at::Tensor>& prior_own, const TokenRows& rows) const {
  const auto found = rows.ctx.per_sequence.find("task_ids");
  MOREX_CHECK(
      found != rows.ctx.per_sequence.end() && found->second.numel() == rows.ctx.batch, ErrorKind::kConfig,
      "[router] kind task needs to know the task of each of the {} sequences of the batch. Hint: rows name it in their "
      "column task_column, --task on the command line",
      rows.ctx.batch);
  const at::Tensor ids = found->second.reshape({-1}).to(u.device(), at::kLong);  // [B]
  MOREX_CHECK(ids.numel() == 0 || (ids.min().item<int64_t>() >= 0 && ids.max().item<int64_t>() <= tasks_.highest),
              ErrorKind::kConfig, "[router] task_ids must be at least 0 and at most tasks, {}, got {} to {}",
              tasks_.highest, ids.min().item<int64_t>(), ids.max().item<int64_t>());
  const at::Tensor sequence = sequence_numbers(rows, u.device());                                            // [T]
  const at::Tensor logits = temperature_.divide(at::mm(own[0].index_select(0, ids), own[1].t()), rows.ctx);  // [B, E]
  const at::Tensor each = prior.before_choice(logits.index_select(0, sequence), 0, prior_own, rows);         // [T, E]
  Chosen chosen;
  chosen.weights = at::softmax(each, 1);
  if (rows.recorder != nullptr) {
    const bool keep = rows.recorder->keep_details;
    rows.recorder->keep_details = false;
    report_flat(chosen, chosen.weights, each, rows);
    rows.recorder->keep_details = keep;
    // One row per sequence, from the chunk its first token is in.
    const int64_t begin = (rows.first + rows.ctx.length - 1) / rows.ctx.length;
    const int64_t end = (rows.first + rows.count + rows.ctx.length - 1) / rows.ctx.length;
    if (keep) rows.recorder->details.emplace_back("g", at::softmax(logits.narrow(0, begin, end - begin), 1));
  }
  return {{flat_gates(chosen)}};
}

}  // namespace

std::unique_ptr<Router> make_task_router(const MakeRouter& from) {
  const JsonReader options(from.options, "router", ErrorKind::kConfig);
  options.refuse_unknown_keys({"kind", "tasks", "task_names", "task_dim", "logit_temperature"});
  nn::TaskTable tasks;
  tasks.names = options.get_or<std::vector<std::string>>("task_names", {});
  const auto count = static_cast<int64_t>(tasks.names.size());
  tasks.highest = count == 0 ? options.get<int64_t>("tasks") : options.get_or<int64_t>("tasks", count);
  const auto width = options.get_or<int64_t>("task_dim", 64);
  MOREX_CHECK(tasks.highest >= 1, ErrorKind::kConfig, "[router] tasks must be at least 1, got {}", tasks.highest);
  MOREX_CHECK(count <= tasks.highest + 1, ErrorKind::kConfig,
              "[router] tasks must be at least {} for {} task_names, got {}", count - 1, count, tasks.highest);
  const std::set<std::string> different(tasks.names.begin(), tasks.names.end());
  MOREX_CHECK(static_cast<int64_t>(different.size()) == count && !different.contains(""), ErrorKind::kConfig,
              "[router] task_names must be different names, got {}", options.raw("task_names").dump());
  MOREX_CHECK(width >= 1, ErrorKind::kConfig, "[router] task_dim must be at least 1, got {}", width);
  return std::make_unique<TaskRouter>(gate_count(from.shape), std::move(tasks), width,
                                      read_softening(from.options).temperature);
}

}  // namespace morex::adapters
