// Exact resume: a run cut at any step, with or without evaluations in between, ends in the bytes of an uninterrupted
// one, whatever the batch sizes, the accumulation and the method.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>

#include "train/checkpoint_folder.h"
#include "unit/train/tiny_run.h"

namespace morex::train {
namespace {

namespace fs = std::filesystem;
using test::TinyRun;

TEST(ResumeProperty, Cut_anywhere_equals_uncut) {
  setenv("RC_PARAMS", "max_success=30", /*overwrite=*/0);  // three training runs each
  int64_t number = 0;
  const bool holds = rc::check([&number] {
    const TinyRun tiny("resume_property_" + std::to_string(number++), *rc::gen::inRange<int64_t>(3, 10));
    const auto steps = *rc::gen::inRange<int64_t>(2, 7);
    const auto cut = *rc::gen::inRange<int64_t>(1, steps);
    Json more = {{"max_steps", steps},
                 {"seed", *rc::gen::inRange<int64_t>(0, 1000)},
                 {"per_device_train_batch_size", *rc::gen::inRange<int64_t>(1, 4)},
                 {"gradient_accumulation_steps", *rc::gen::inRange<int64_t>(1, 4)},
                 {"dtype", *rc::gen::element<std::string>("float32", "bfloat16")},
                 {"shuffle", *rc::gen::arbitrary<bool>()},
                 {"threads", *rc::gen::inRange<int64_t>(1, 3)},
                 {"lr_scheduler_type", *rc::gen::element<std::string>("linear", "cosine", "constant")},
                 {"logging_steps", *rc::gen::inRange<int64_t>(0, 3)}};
    const bool routed = *rc::gen::arbitrary<bool>();
    if (routed) {
      more["method"] = "smore";
      more["experts"] = {{"ranks", {4, 4}}, {"pool", {2, 4}}, {"active", {1, 2}}};
      more["router"] = {{"gate", *rc::gen::element<std::string>("switch", "noisy_topk", "dense")},
                        {"dim_downproj_x", 8}};
    } else {
      more["r"] = 4;
      more["lora_dropout"] = *rc::gen::element(0.0, 0.3);
    }
    test::run(tiny.recipe("whole", more));

    more["save_steps"] = cut;
    if (*rc::gen::arbitrary<bool>()) {
      more["validation_file"] = (tiny.folder() / "valid.jsonl").string();
      more["eval_steps"] = 1;
    }
    more["save_total_limit"] = 0;
    test::run(tiny.recipe("cut", more));
    // A fresh process would find only this checkpoint.
    more["resume_from_checkpoint"] = CheckpointFolder(tiny.output("cut"), 0).path(cut).string();
    test::run(tiny.recipe("resumed", more));
    RC_ASSERT(test::adapter_bytes(tiny.output("whole")) == test::adapter_bytes(tiny.output("cut")));
    RC_ASSERT(test::adapter_bytes(tiny.output("whole")) == test::adapter_bytes(tiny.output("resumed")));
    fs::remove_all(tiny.folder());
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace morex::train
