// A device computes what the CPU computes: training steps of every preset, a checkpoint, decoding. On the
// CPU it is compared with itself; the far device and a GPU have something to show.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <cctype>

#include "support/golden_tensors.h"
#include "support/paths.h"
#include "train/gradients.h"
#include "train/optimizer.h"
#include "train/phase_work.h"
#include "train/runtime.h"
#include "train/trainable.h"
#include "train/trainer_state.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;

// A base with a method on it, on one device.
struct Trained {
  Trained(const Json& method, at::ScalarType dtype, at::Device device) {
    model = models::load_model(test::tiny_base(), {dtype, device}, warnings);
    recipe.method = method;
    recipe.model_name_or_path = test::tiny_base().string();
    recipe.weight_decay = 0.01;
    trainable = make_trainable(recipe, {dtype, device, 1}, *model, warnings);
    optimizer = std::make_unique<Optimizer>(trainable->parameters(), recipe);
  }

  // Two sequences, the first of them padded.
  DeviceBatch batch(int64_t step) const {
    DeviceBatch made = synthetic_batch(*model, 2, 9, trainable->sequence_needs().clusters);
    made.ctx.token_mask = at::ones({2, 9}, at::TensorOptions(at::kBool).device(model->device()));
    made.ctx.token_mask[0].narrow(0, 6, 3).fill_(false);
    made.ctx.seed = 3;
    made.ctx.step = step;
    made.ctx.total_steps = 4;
    return made;
  }
  void train(int64_t first, int64_t last) {
    const auto auxiliary = [&](const nn::RoutingReport& report) { return trainable->auxiliary_loss(report); };
    for (int64_t step = first; step < last; ++step) {
      train_pass(*model, trainable->parameters(), auxiliary, batch(step));
      checked_clip(trainable->parameters(), 1.0, step);
      optimizer->step(1e-2, step);
    }
  }
  at::Tensor logits() const {
    const at::NoGradGuard no_grad;
    DeviceBatch made = batch(0);
    made.ctx.phase = nn::Phase::kPrefill;
    nn::RoutingReport report;
    return model->logits(model->hidden(made.ids, made.ctx, report), made.ctx, report);
  }

  Warnings warnings{false, false};
  Recipe recipe;
  std::unique_ptr<models::CausalLm> model;
  std::unique_ptr<Trainable> trainable;
  std::unique_ptr<Optimizer> optimizer;
};

std::vector<Json> methods() {
  std::vector<Json> all;
  for (const char* name :
       {"lora", "rslora", "dora", "lora_plus", "pissa", "moslora", "hydralora", "loramoe", "mola", "mor", "adamole",
        "dynmole", "moelora", "mixlora", "mor_mixlora", "smore", "smore_shared", "trex", "full"})
    all.push_back({{"method", name}});
  // What presets leave out: masks, noise, dense trees, jitter.
  all.push_back({{"method", "mixlora"}, {"experts", {{"lora_dropout", 0.4}}}});
  all.push_back({{"method", "smore"}, {"router", {{"gate", "noisy_topk"}}}});
  all.push_back({{"method", "smore"}, {"router", {{"gate", "dense"}}}});
  all.push_back({{"method", "mola"}, {"router", {{"jitter_noise", 0.1}}}, {"experts", {{"execution", "gather"}}}});
  return all;
}

std::string label(const Json& method) {
  std::string text = method.dump();
  for (char& c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return text;
}

class OnDevice : public testing::TestWithParam<Json> {};

TEST_P(OnDevice, Trains_as_on_the_CPU) {
  Trained here(GetParam(), at::kDouble, at::kCPU), there(GetParam(), at::kDouble, test::test_device());
  ASSERT_EQ(there.model->device(), test::test_device());
  EXPECT_TRUE(test::same_bits(there.trainable->parameters().values(), here.trainable->parameters().values()));
  here.train(0, 3);
  there.train(0, 3);
  EXPECT_TRUE(test::near(there.trainable->parameters().values(), here.trainable->parameters().values(), 1e-8));
  EXPECT_TRUE(test::near(there.logits(), here.logits(), 1e-7));
}

TEST_P(OnDevice, Trains_a_bfloat16_base) {
  Trained there(GetParam(), at::kBFloat16, test::test_device());
  const at::Tensor before = there.trainable->parameters().values().clone();
  there.train(0, 2);
  const at::Tensor moved = there.trainable->parameters().values() - before;
  EXPECT_TRUE(at::isfinite(moved).all().item<bool>());
  EXPECT_GT(moved.abs().max().item<double>(), 1e-3);
}

TEST_P(OnDevice, Goes_on_from_a_checkpoint_with_the_same_bits) {
  const fs::path folder = test::scratch_dir("device");
  Trained whole(GetParam(), at::kFloat, test::test_device()), half(GetParam(), at::kFloat, test::test_device());
  whole.train(0, 3);
  half.train(0, 2);
  save_state(folder, {}, half.trainable->parameters(), *half.optimizer);
  Trained resumed(GetParam(), at::kFloat, test::test_device());
  load_buffers(folder, resumed.trainable->parameters(), *resumed.optimizer);
  resumed.train(2, 3);
  EXPECT_TRUE(test::same_bits(resumed.trainable->parameters().values(), whole.trainable->parameters().values()));
  fs::remove_all(folder);
}

TEST_P(OnDevice, Decodes_as_on_the_CPU) {
  Trained here(GetParam(), at::kDouble, at::kCPU), there(GetParam(), at::kDouble, test::test_device());
  std::vector<at::Tensor> given;
  for (Trained* trained : {&here, &there}) {
    const at::NoGradGuard no_grad;
    DeviceBatch batch = synthetic_batch(*trained->model, 2, 5, trained->trainable->sequence_needs().clusters);
    batch.ctx.phase = nn::Phase::kPrefill;
    nn::RoutingReport report;
    nn::KvCache cache = trained->model->make_cache(2, 5);
    trained->model->hidden(batch.ids, batch.ctx, report, &cache);
    batch.ctx.phase = nn::Phase::kDecode;
    batch.ctx.length = 1;
    const at::Tensor h = trained->model->hidden(batch.ids.narrow(1, 2, 1).contiguous(), batch.ctx, report, &cache);
    given.push_back(trained->model->logits(h, batch.ctx, report));
  }
  EXPECT_TRUE(test::near(given[1], given[0], 1e-9));
}

INSTANTIATE_TEST_SUITE_P(Every, OnDevice, testing::ValuesIn(methods()),
                         [](const auto& info) { return label(info.param); });

}  // namespace
}  // namespace morex::train
