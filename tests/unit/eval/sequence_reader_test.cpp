// What an adapter must know of sequences, put into the context.
#include "eval/sequence_reader.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "data/example.h"
#include "eval/prompts.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

nn::Prompt prompt(const std::string& task, int64_t sample_type = -1, int64_t row = -1) {
  SequenceFacts facts;
  facts.task = task;
  facts.sample_type = sample_type;
  facts.row = row;
  return {{1, 2}, facts};
}

eval::SequenceReader reader(bool tasks, bool types) {
  nn::SequenceNeeds needs;
  if (tasks) needs.tasks = nn::TaskTable{3, {"add", "sort"}};
  needs.sample_types = types;
  return {needs, nullptr, at::kCPU};
}

TEST(SequenceReader, Puts_ids_and_types_in_the_order_of_the_prompts) {
  nn::BatchContext ctx;
  reader(true, true).read({prompt("sort", 0), prompt("add", 1), prompt("sort", 1)}, ctx);
  EXPECT_TRUE(same_bits(ctx.per_sequence.at("task_ids"), at::tensor({1, 0, 1}, at::kLong)));
  EXPECT_TRUE(same_bits(ctx.per_sequence.at("sample_types"), at::tensor({0, 1, 1}, at::kLong)));
}

TEST(SequenceReader, Puts_only_what_is_needed) {
  nn::BatchContext ctx;
  reader(false, false).read({prompt("unknown", 1)}, ctx);
  EXPECT_TRUE(ctx.per_sequence.empty());
  reader(false, true).read({prompt("", 1), prompt("")}, ctx);
  EXPECT_TRUE(ctx.per_sequence.empty()) << "types are for training, where every row has one";
}

TEST(SequenceReader, An_unknown_task_is_refused_with_its_row) {
  nn::BatchContext ctx;
  const auto refusal = [&](const nn::Prompt& bad) {
    try {
      reader(true, false).read({prompt("add"), bad}, ctx);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(refusal(prompt("mul", -1, 4)).find("row 5 of the data"), std::string::npos);
  EXPECT_NE(refusal(prompt("")).find("got none"), std::string::npos);
}

TEST(SequenceReader, Rows_are_checked_before_anything_runs) {
  data::Example good, bad;
  good.facts.task = "add";
  bad.facts.task = "mul";
  bad.line = 7;
  const nn::TaskTable table{3, {"add", "sort"}};
  EXPECT_NO_THROW(eval::check_tasks({good}, table, "f.jsonl", "skill"));
  try {
    eval::check_tasks({good, bad}, table, "f.jsonl", "skill");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("f.jsonl:7: column 'skill'"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("'mul'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace morex::test
