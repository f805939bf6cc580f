// Adapters as plain LoRA: exact where the gates are constant, else the best fit, whose stated errors are the true ones.
#include "adapters/lora_conversion.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "adapters/bank_adapter.h"
#include "adapters/constant_update.h"
#include "support/golden_tensors.h"
#include "support/paths.h"
#include "two_blocks.h"

namespace morex::adapters {
namespace {

constexpr int64_t kBatch = 5, kLength = 24;

// Of squares: sines of evenly spaced numbers would make matrices of rank two.
at::Tensor numbers(at::IntArrayRef shape, double step) {
  return (at::arange(1, c10::multiply_integers(shape) + 1, at::kDouble).square() * step).sin().view(shape);
}

class LoraConversion : public testing::Test {
 protected:
  // No tensor is zero, and gates differ between tokens.
  void make(const Json& method) {
    set_.reset();
    set_ = AdapterSet::create(method, model_.slots, at::kDouble, at::kCPU, warnings_);
    set_->initialize(7);
    const at::NoGradGuard guard;
    for (const nn::NamedView& view : set_->parameters().views()) {
      const at::Tensor value = set_->parameters().named_value(view);
      value.copy_(value + 0.4 * numbers(value.sizes(), 0.13 + 0.001 * static_cast<double>(view.name.size())));
    }
    set_->attach();
  }
  void zero(const std::string& part) {
    const at::NoGradGuard guard;
    for (const nn::NamedView& view : set_->parameters().views())
      if (view.name.find(part) != std::string::npos) set_->parameters().named_value(view).zero_();
  }

  nn::BatchContext context(bool padded = false) const {
    nn::BatchContext ctx;
    ctx.batch = kBatch, ctx.length = kLength;
    if (padded) ctx.token_mask = at::arange(kLength).unsqueeze(0).lt(at::arange(kBatch).unsqueeze(1) * 4 + 8);
    if (task_ >= 0) ctx.per_sequence["task_ids"] = at::full({kBatch}, task_, at::kLong);
    return ctx;
  }
  at::Tensor x(double step = 0.37) const { return numbers({kBatch * kLength, test::TwoBlocks::kWidth}, step); }
  at::Tensor run(double step = 0.37) const {
    const at::NoGradGuard guard;
    return model_.forward(x(step), context());
  }
  Stream stream(bool padded = false, double step = 0.37) {
    return [this, padded, step] {
      const at::NoGradGuard guard;
      ++passes_;
      model_.forward(x(step), context(padded));
    };
  }
  std::unique_ptr<AdapterSet> lora(const Conversion& made) {
    return make_lora(made, model_.slots, at::kDouble, at::kCPU, warnings_);
  }
  // The converted adapter gives the same output to rounding, and needed no data.
  void expect_exact(const ConversionOptions& options, int64_t rank) {
    EXPECT_EQ(why_data_is_needed(*set_, options), "");
    const at::Tensor expected = run();
    const Conversion made = convert_to_lora(*set_, options, [] { FAIL() << "no data are needed"; });
    EXPECT_EQ(made.tokens, 0);
    EXPECT_TRUE(made.errors.empty());
    for (const ConvertedModule& module : made.modules) {
      EXPECT_TRUE(module.exact);
      EXPECT_EQ(module.rank(), rank) << module.module;
    }
    expect_same_updates(made);
    set_->detach();
    const at::Tensor base = run();
    EXPECT_GT(test::max_abs_difference(base, expected), 1e-2);
    const auto converted = lora(made);
    converted->attach();
    EXPECT_TRUE(test::near(run(), expected, 1e-12 * expected.abs().max().item<double>()));
    converted->detach();
  }
  // To rounding, projection by projection: B·A·x is what the adapter adds.
  void expect_same_updates(const Conversion& made) {
    const at::NoGradGuard guard;
    for (const AdaptedGroup& adapted : set_->groups()) {
      const at::Tensor in = numbers({kBatch * kLength, adapted.group->members[0].weight.in_features()}, 0.29);
      std::vector<at::Tensor> zeros;
      for (const nn::LinearMember& member : adapted.group->members)
        zeros.push_back(at::zeros({in.size(0), member.weight.out_features()}, at::kDouble));
      nn::GroupOutputs y(zeros);
      nn::RoutingReport report;
      adapted.bank->apply(in, y, context(), report);
      for (const BankSite& site : adapted.bank->sites()) {
        const auto module = std::find_if(made.modules.begin(), made.modules.end(),
                                         [&](const auto& each) { return each.module == site.site.module; });
        const at::Tensor update = y.formed(static_cast<size_t>(site.member_index));
        EXPECT_TRUE(test::near(at::mm(at::mm(in, module->factors.a.t()), module->factors.b.t()), update,
                               1e-14 * update.abs().max().item<double>()))
            << module->module;
      }
    }
  }

  test::TwoBlocks model_{at::kDouble};
  Warnings warnings_{true, false};
  int64_t task_ = -1, passes_ = 0;
  std::unique_ptr<AdapterSet> set_;
};

Json experts(const Json& more) {
  Json all = {{"kind", "low_rank_experts"}, {"r", 2}, {"lora_alpha", 3}, {"num_experts", 3}};
  all.update(more);
  return all;
}

TEST_F(LoraConversion, LoRA_and_MoSLoRA_are_one_matrix) {
  make({{"r", 3}, {"lora_alpha", 5}, {"use_rslora", true}});
  expect_exact({}, 3);
  make({{"method", "moslora"}, {"r", 3}, {"lora_alpha", 5}});
  expect_exact({}, 3);
}

TEST_F(LoraConversion, PiSSA_is_LoRA_of_twice_the_rank_on_the_original_base) {
  make({{"method", "pissa"}, {"r", 2}, {"lora_alpha", 3}});
  const at::Tensor expected = run();
  const auto plain = set_->on_original_base(warnings_);
  set_->detach();
  plain->attach();
  const Conversion made = convert_to_lora(*plain, {}, nullptr);
  plain->detach();
  EXPECT_EQ(made.modules.front().rank(), 4);
  const auto converted = lora(made);
  converted->attach();
  EXPECT_TRUE(test::near(run(), expected, 1e-12));
}

TEST_F(LoraConversion, A_task_makes_the_gates_of_MOELoRA_constant) {
  make({{"experts", experts({{"split_rank", true}, {"r", 6}})},
        {"router", {{"kind", "task"}, {"tasks", 3}, {"task_dim", 4}}}});
  EXPECT_NE(why_data_is_needed(*set_, {}).find("no task is named"), std::string::npos);
  for (const int64_t task : {0, 3}) {
    task_ = task;
    ConversionOptions options;
    options.task = task;
    set_->attach();
    expect_exact(options, 6);
  }
}

TEST_F(LoraConversion, Routers_that_read_no_token_have_constant_gates) {
  // Of rank E·r, of the one A's rank, and of the smaller number of vectors.
  make({{"experts", experts(Json::object())}, {"router", {{"kind", "softmax"}}}});
  EXPECT_NE(why_data_is_needed(*set_, {}).find("depends on the token"), std::string::npos);
  zero("moe_gate");
  expect_exact({}, 6);
  make({{"experts", experts(Json::object())}, {"router", {{"kind", "top_k"}, {"top_k", 2}}}});
  zero("moe_gate");
  expect_exact({}, 6);
  make({{"experts", experts({{"shared_a", true}})}, {"router", {{"kind", "softmax"}}}});
  zero("moe_gate");
  expect_exact({}, 2);
  make({{"method", "trex"}, {"experts", {{"rank_allocation", {3, 2}}}}, {"prior", {{"use_scores", false}}}});
  zero("router.weight");
  expect_exact({}, 2);
  make({{"experts", experts(Json::object())},
        {"router", {{"kind", "mixture_of_routers"}, {"num_routers", 2}, {"router", {{"kind", "softmax"}}}}}});
  zero("moe_gate");
  expect_exact({}, 6);
}

TEST_F(LoraConversion, What_depends_on_more_than_the_update_is_not_constant) {
  make({{"method", "dora"}, {"r", 2}});
  EXPECT_NE(why_data_is_needed(*set_, {}).find("DoRA"), std::string::npos);
  make({{"method", "smore"}, {"experts", {{"ranks", {1, 2}}}}});
  EXPECT_NE(why_data_is_needed(*set_, {}).find("depends on the token"), std::string::npos);
  // With room for only some tokens, gates depend on the others.
  make({{"experts", experts(Json::object())}, {"router", {{"kind", "switch"}}}});
  zero("moe_gate");
  EXPECT_NE(why_data_is_needed(*set_, {}), "");
  make({{"method", "trex"}, {"experts", {{"rank_allocation", {2, 2}}}}});
  zero("router.weight");
  EXPECT_NE(why_data_is_needed(*set_, {}), "");
  make({{"method", "mixlora"}, {"r", 2}});
  EXPECT_NE(why_data_is_needed(*set_, {}).find("mlp"), std::string::npos);
  make({{"r", 4}});
  ConversionOptions options;
  options.rank = 3;
  EXPECT_NE(why_data_is_needed(*set_, options).find("rank 4"), std::string::npos);
}

// One group's update and input, from the definition: what its adapter adds to the base product.
struct Naive {
  at::Tensor x, update;  // [T, d_in], [T, d_out]
};

Naive naive_of(const nn::LinearGroup& group, size_t member, const at::Tensor& x, const nn::BatchContext& ctx) {
  const at::NoGradGuard guard;
  nn::RoutingReport report;
  std::vector<at::Tensor> base;
  for (const nn::LinearMember& each : group.members) base.push_back(at::mm(x, each.weight.value.t()));
  const at::Tensor before = base[member].clone();
  nn::GroupOutputs y(base);
  group.adapter->apply(x, y, ctx, report);
  return {x, y.formed(member) - before};
}

TEST_F(LoraConversion, Stated_errors_are_those_of_the_factors) {
  for (const char* method : {"smore", "mola", "hydralora", "dora"}) {
    Json recipe = {{"method", method}, {"target_modules", {"q_proj", "v_proj"}}, {"layers", {0}}};
    if (recipe["method"] == "smore") recipe["experts"] = {{"ranks", {1, 2}}, {"pool", {2, 3}}};
    if (recipe["method"] == "mola" || recipe["method"] == "hydralora") recipe["r"] = 2;
    make(recipe);
    ConversionOptions options;
    options.rank = 2;
    passes_ = 0;
    const Conversion made = convert_to_lora(*set_, options, stream());
    EXPECT_EQ(passes_, 1);
    EXPECT_EQ(made.tokens, kBatch * kLength);
    ASSERT_EQ(made.modules.size(), 2U);
    ASSERT_EQ(made.errors.size(), 2U);
    for (const size_t i : {0, 1}) {
      const ConvertedModule& module = made.modules[i];
      EXPECT_FALSE(module.exact);
      EXPECT_EQ(module.rank(), 2);
      // Layer 0's input is the model's.
      const Naive naive = naive_of(model_.attention[0], i == 0 ? 0 : 2, x(), context());
      const double energy = naive.update.square().sum().item<double>() / (kBatch * kLength);
      const at::Tensor rest = naive.update - at::mm(at::mm(naive.x, module.factors.a.t()), module.factors.b.t());
      const double lost = rest.square().sum().item<double>() / (kBatch * kLength);
      EXPECT_NEAR(module.error.energy, energy, 1e-10 * energy) << method;
      EXPECT_NEAR(module.error.lost, lost, 1e-9 * energy) << method;
      EXPECT_LE(module.linear_lost, module.error.lost);
      EXPECT_LT(module.error.relative(), 1.0);
    }
    // Other data have other errors, and these the same.
    const std::vector<OutputError> again = output_errors(*set_, made, stream());
    const std::vector<OutputError> other = output_errors(*set_, made, stream(false, 0.53));
    for (const size_t i : {0, 1}) {
      EXPECT_EQ(again[i].module, made.errors[i].module);
      EXPECT_NEAR(again[i].relative(), made.errors[i].relative(), 1e-7) << method;
      EXPECT_GT(other[i].relative(), 0.0);
    }
  }
}

TEST_F(LoraConversion, Padding_does_not_count) {
  make({{"method", "mola"}, {"r", 2}, {"target_modules", {"q_proj"}}, {"layers", {0}}});
  ConversionOptions options;
  options.rank = 2;
  const Conversion made = convert_to_lora(*set_, options, stream(/*padded=*/true));
  const at::Tensor mask = context(true).token_mask.reshape({-1});
  EXPECT_EQ(made.tokens, mask.sum().item<int64_t>());
  const Naive naive = naive_of(model_.attention[0], 0, x(), context());
  EXPECT_NEAR(made.modules[0].error.energy,
              naive.update.index_select(0, mask.nonzero().squeeze(1)).square().sum().item<double>() /
                  static_cast<double>(made.tokens),
              1e-12);
}

TEST_F(LoraConversion, Little_memory_means_more_passes_and_the_same_result) {
  make({{"method", "mola"}, {"r", 2}});
  ConversionOptions options;
  options.rank = 3;
  const Conversion once = convert_to_lora(*set_, options, stream());
  EXPECT_EQ(passes_, 1);
  options.memory_bytes = 1;
  passes_ = 0;
  const Conversion often = convert_to_lora(*set_, options, stream());
  EXPECT_EQ(passes_, 8);
  ASSERT_EQ(once.modules.size(), often.modules.size());
  for (size_t i = 0; i < once.modules.size(); ++i) {
    EXPECT_EQ(once.modules[i].module, often.modules[i].module);
    EXPECT_TRUE(test::near(often.modules[i].factors.b, once.modules[i].factors.b, 0.0));
  }
}

TEST_F(LoraConversion, A_linear_update_is_fitted_exactly) {
  make({{"r", 4}, {"lora_alpha", 3}, {"target_modules", {"q_proj", "up_proj"}}});
  const at::Tensor expected = run();
  ConversionOptions options;
  options.rank = 3;
  options.ridge = 1e-13;
  // Cut to 3 it loses what the weakest direction on these data carries; to its own rank nothing.
  const Conversion cut = convert_to_lora(*set_, options, stream());
  for (const ConvertedModule& module : cut.modules) {
    EXPECT_EQ(module.rank(), 3);
    EXPECT_LT(module.linear_lost, 1e-10 * module.error.energy);
    EXPECT_GT(module.error.lost, 1e-8 * module.error.energy);
  }
  set_->detach();
  const auto small = lora(cut);
  small->attach();
  EXPECT_GT(test::max_abs_difference(run(), expected), 1e-6);
}

TEST_F(LoraConversion, A_block_of_experts_is_fitted_as_a_block) {
  make({{"method", "mixlora"}, {"r", 2}, {"lora_alpha", 4}, {"experts", {{"num_experts", 3}}}});
  ConversionOptions options;
  options.rank = 4;
  const Conversion made = convert_to_lora(*set_, options, stream());
  EXPECT_EQ(passes_, 2);  // down after gate and up
  // Attention's LoRA is exact; a block each is fitted.
  ASSERT_EQ(made.errors.size(), 2U);
  EXPECT_EQ(made.errors[0].module, "model.layers.0.mlp");
  ASSERT_EQ(made.modules.size(), 14U);
  for (const ConvertedModule& module : made.modules)
    EXPECT_EQ(module.exact, module.module.find("self_attn") != std::string::npos) << module.module;

  // The stated error of layer 0's block, from the definition: its input is what the attention half gives.
  const at::NoGradGuard guard;
  at::Tensor block_x;
  nn::Mlp& mlp = model_.mlps[0];
  const nn::BatchContext ctx = context();
  nn::RoutingReport report;
  {
    const std::vector<at::Tensor> qkv = model_.attention[0].forward(x(), ctx, report);
    block_x = at::sin(x() + model_.attention[1].forward((qkv[0] - qkv[1]) * at::sin(qkv[2]), ctx, report)[0] * 0.3);
  }
  const at::Tensor mixture = mlp.forward(block_x, ctx, report);
  set_->detach();
  const at::Tensor base = mlp.forward(block_x, ctx, report);
  const auto converted = lora(made);
  converted->attach();
  const at::Tensor fitted = mlp.forward(block_x, ctx, report);
  const double energy = (mixture - base).square().sum().item<double>(),
               lost = (mixture - fitted).square().sum().item<double>();
  EXPECT_NEAR(made.errors[0].lost / made.errors[0].energy, lost / energy, 1e-9);
  EXPECT_LT(made.errors[0].relative(), 0.5);
  converted->detach();
  set_->attach();
  const std::vector<OutputError> again = output_errors(*set_, made, stream());
  EXPECT_NEAR(again[0].relative(), made.errors[0].relative(), 1e-8);
}

TEST_F(LoraConversion, Equal_experts_of_a_block_are_one_LoRA) {
  make({{"method", "mixlora"}, {"r", 2}, {"lora_alpha", 4}, {"experts", {{"num_experts", 3}}}});
  const at::NoGradGuard guard;
  for (const nn::NamedView& view : set_->parameters().views()) {
    const size_t at = view.name.find(".experts.");
    if (at == std::string::npos) continue;
    std::string first = view.name;
    first[at + 9] = '0';
    for (const nn::NamedView& other : set_->parameters().views())
      if (other.name == first) set_->parameters().named_value(view).copy_(set_->parameters().named_value(other));
  }
  ConversionOptions options;
  options.rank = 2;
  options.ridge = 1e-13;
  const Conversion made = convert_to_lora(*set_, options, stream());
  for (const OutputError& block : made.errors) EXPECT_LT(block.relative(), 1e-5) << block.module;
  const at::Tensor expected = run(0.53);
  set_->detach();
  const auto converted = lora(made);
  converted->attach();
  EXPECT_TRUE(test::near(run(0.53), expected, 1e-5));
}

TEST_F(LoraConversion, Ranks_of_its_own_stand_in_the_patterns) {
  make({{"method", "smore"}, {"experts", {{"ranks", {2, 2}}}}});
  ConversionOptions options;
  options.tolerance = 0.3;
  const Conversion made = convert_to_lora(*set_, options, stream());
  std::set<int64_t> ranks;
  for (const ConvertedModule& module : made.modules) {
    ranks.insert(module.rank());
    EXPECT_LE(module.error.lost - module.linear_lost, 0.09 * module.error.energy * (1 + 1e-12));
  }
  ASSERT_GT(ranks.size(), 1U) << "the case shows nothing";
  set_->detach();
  const auto converted = lora(made);
  const std::filesystem::path folder = test::scratch_dir("lora_conversion");
  converted->save(folder, {"base", ""});
  const auto loaded = AdapterSet::load(folder, model_.slots, {"base", ""}, at::kDouble, at::kCPU, warnings_);
  EXPECT_TRUE(test::same_bits(loaded->parameters().values(), converted->parameters().values()));
  for (const auto& adapted : loaded->groups())
    for (size_t s = 0; s < adapted.bank->sites().size(); ++s) {
      // The scale is 1 whatever the rank: the loaded update is B·A.
      const auto factors = constant_update(*adapted.bank, s, {});
      const auto module = std::find_if(made.modules.begin(), made.modules.end(), [&](const ConvertedModule& each) {
        return each.module == adapted.bank->sites()[s].site.module;
      });
      ASSERT_TRUE(factors.has_value());
      EXPECT_TRUE(test::near(at::mm(factors->b, factors->a), at::mm(module->factors.b, module->factors.a), 1e-13));
    }
}

TEST_F(LoraConversion, An_adapter_that_does_nothing_becomes_a_LoRA_that_does_nothing) {
  set_ = AdapterSet::create({{"method", "mola"}, {"r", 2}}, model_.slots, at::kDouble, at::kCPU, warnings_);
  set_->initialize(7);
  set_->attach();
  const Conversion made = convert_to_lora(*set_, {}, stream());
  for (const ConvertedModule& module : made.modules) {
    EXPECT_EQ(module.rank(), 1);
    EXPECT_EQ(module.error.relative(), 0.0);
  }
}

}  // namespace
}  // namespace morex::adapters
