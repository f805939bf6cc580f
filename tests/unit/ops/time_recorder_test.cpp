// What a recorder sees: nesting, products with their work, places in both passes; and that it sees nothing when off.
#include "ops/time_recorder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "ops/attention.h"
#include "ops/attention_forms.h"
#include "ops/autograd_node.h"
#include "ops/frozen_linear.h"
#include "ops/gemm.h"
#include "support/golden_tensors.h"
#include "unit/ops/compare.h"

namespace morex::ops {
namespace {

template <typename F>
TimeRecord recorded(const F& work) {
  TimeRecorder recorder;
  {
    const TimeRecorder::Session session(recorder);
    work();
  }
  return recorder.take();
}

std::vector<TimedEvent> events_of(const TimeRecord& record, TimedKind kind) {
  std::vector<TimedEvent> found;
  std::copy_if(record.events.begin(), record.events.end(), std::back_inserter(found),
               [kind](const TimedEvent& event) { return event.kind == kind; });
  return found;
}

const TimedEvent& only(const TimeRecord& record, std::string_view name, bool backward = false) {
  const auto matches = [&](const TimedEvent& event) { return event.name == name && event.backward == backward; };
  EXPECT_EQ(std::count_if(record.events.begin(), record.events.end(), matches), 1) << name;
  return *std::find_if(record.events.begin(), record.events.end(), matches);
}

const Place& place_of(const TimeRecord& record, const TimedEvent& event) {
  return record.places[static_cast<size_t>(event.place)];
}

void expect_nested(const TimeRecord& record) {
  std::vector<int64_t> children(record.events.size(), 0), last_end(record.events.size(), 0);
  for (size_t i = 0; i < record.events.size(); ++i) {
    const TimedEvent& event = record.events[i];
    EXPECT_LE(event.begin, event.end);
    if (event.parent < 0) continue;
    ASSERT_LT(event.parent, static_cast<int64_t>(i));
    const auto parent = static_cast<size_t>(event.parent);
    EXPECT_LE(record.events[parent].begin, event.begin);
    EXPECT_GE(record.events[parent].end, event.end);
    EXPECT_LE(last_end[parent], event.begin) << "two children of one event overlap";
    last_end[parent] = event.end;
    children[parent] += event.duration();
  }
  for (size_t i = 0; i < record.events.size(); ++i) EXPECT_LE(children[i], record.events[i].duration());
}

// x·wᵀ with a gradient for x, then a product with ATen's own node.
void linear_pass() {
  const at::Tensor x = at::ones({5, 7}).requires_grad_(true), w = at::ones({3, 7});
  const TimedScope whole("pass", TimedKind::kPhase);
  at::Tensor y, z;
  {
    const PlaceScope layer(2);
    const PlaceScope part("model.layers.2.mlp.up_proj");
    y = frozen_linear(x, w);
  }
  {
    const PlaceScope part("lm_head", /*adapter=*/true);
    z = (y * 2.0).sum();
  }
  const TimedScope back("back", TimedKind::kPhase, /*backward=*/true);
  z.backward();
}

TEST(TimeRecorder, Records_nothing_outside_of_a_session) {
  EXPECT_FALSE(recording_time());
  linear_pass();
  const TimeRecord record = recorded([] { EXPECT_TRUE(recording_time()); });
  EXPECT_TRUE(record.events.empty());
  EXPECT_FALSE(recording_time());
}

TEST(TimeRecorder, Intervals_lie_within_their_parents) {
  const TimeRecord record = recorded(linear_pass);
  expect_nested(record);
  EXPECT_EQ(only(record, "pass").parent, -1);
  EXPECT_EQ(record.events[static_cast<size_t>(only(record, "frozen_linear").parent)].name, "pass");
  EXPECT_EQ(record.events[static_cast<size_t>(only(record, "frozen_linear", true).parent)].name, "back");
}

TEST(TimeRecorder, Products_carry_shape_and_work_in_both_passes) {
  const TimeRecord record = recorded(linear_pass);
  const std::vector<TimedEvent> products = events_of(record, TimedKind::kProduct);
  ASSERT_EQ(products.size(), 2u);
  EXPECT_EQ(products[0].name, "matmul_nt");
  EXPECT_EQ(products[0].shape, (std::array<int64_t, 4>{1, 5, 3, 7}));
  EXPECT_FALSE(products[0].backward);
  EXPECT_EQ(products[1].name, "matmul_nn");
  EXPECT_EQ(products[1].shape, (std::array<int64_t, 4>{1, 5, 7, 3}));
  EXPECT_TRUE(products[1].backward);
  for (const TimedEvent& product : products) {
    EXPECT_EQ(product.flops, 2.0 * 5 * 7 * 3);
    EXPECT_EQ(product.dtype, c10::ScalarType::Float);
    EXPECT_EQ(record.events[static_cast<size_t>(product.parent)].name, "frozen_linear");
  }
}

TEST(TimeRecorder, Backward_work_belongs_to_the_place_of_its_forward) {
  const TimeRecord record = recorded(linear_pass);
  const Place up{2, "up_proj", false}, head{-1, "lm_head", true};
  EXPECT_EQ(place_of(record, only(record, "frozen_linear")), up);
  EXPECT_EQ(place_of(record, only(record, "frozen_linear", true)), up);
  for (const TimedEvent& product : events_of(record, TimedKind::kProduct)) EXPECT_EQ(place_of(record, product), up);
  EXPECT_EQ(place_of(record, only(record, "aten::mul")), head);
  EXPECT_EQ(place_of(record, only(record, "MulBackward1", true)), head);
  EXPECT_EQ(place_of(record, only(record, "torch::autograd::AccumulateGrad", true)), up) << "the node before it";
  EXPECT_EQ(place_of(record, only(record, "pass")), Place());
}

TEST(TimeRecorder, Nodes_of_an_earlier_session_have_no_place) {
  TimeRecorder recorder;
  const at::Tensor x = at::ones({4}).requires_grad_(true);
  at::Tensor before;
  {
    const TimeRecorder::Session session(recorder);
    const PlaceScope place(7);
    before = (x * 2.0).sum();
  }
  linear_pass();  // nodes of which nothing is known
  {
    const TimeRecorder::Session session(recorder);
    const TimedScope back("back", TimedKind::kPhase, /*backward=*/true);
    before.backward();
  }
  const TimeRecord record = recorder.take();
  EXPECT_EQ(place_of(record, only(record, "MulBackward1", true)), Place());
}

TEST(TimeRecorder, Products_of_the_library_count_once) {
  const TimeRecord record = recorded([] {
    const at::Tensor a = at::ones({6, 4, 5}), b = at::ones({6, 5, 3});
    at::matmul(a, b);
    matmul_nt(at::ones({64, 64}), at::ones({32, 64}));
  });
  const std::vector<TimedEvent> products = events_of(record, TimedKind::kProduct);
  ASSERT_EQ(products.size(), 2u);
  EXPECT_EQ(products[0].name, "aten::bmm");
  EXPECT_EQ(products[0].shape, (std::array<int64_t, 4>{6, 4, 3, 5}));
  EXPECT_EQ(products[0].flops, 2.0 * 6 * 4 * 3 * 5);
  EXPECT_EQ(products[1].flops, 2.0 * 64 * 32 * 64);
  for (const TimedEvent& event : record.events)
    EXPECT_FALSE(event.parent >= 0 && record.events[static_cast<size_t>(event.parent)].kind == TimedKind::kProduct);
}

TEST(TimeRecorder, Attention_counts_the_pairs_that_see_each_other) {
  if (!blocked_attention_available()) GTEST_SKIP() << "no brgemm: products of the library are counted";
  constexpr int64_t kBatch = 2, kHeads = 4, kKeyHeads = 2, kLength = 100, kWidth = 16;
  const TimeRecord record = recorded([] {
    const at::Tensor q = test::random_tensor({kBatch, kHeads, kLength, kWidth}, 1).to(at::kFloat).requires_grad_(true);
    const at::Tensor k = test::random_tensor({kBatch, kKeyHeads, kLength, kWidth}, 2).to(at::kFloat);
    attention(q, k, k, 0.25, {}).sum().backward();
  });
  const double pair = 2.0 * kBatch * kHeads * kWidth * (kLength * (kLength + 1) / 2);
  EXPECT_EQ(only(record, "attention").flops, 2 * pair);
  EXPECT_EQ(only(record, "attention", true).flops, 5 * pair);
}

TEST(TimeRecorder, Exceptions_leave_a_whole_record) {
  TimeRecorder recorder;
  try {
    const TimeRecorder::Session session(recorder);
    const TimedScope whole("pass", TimedKind::kPhase);
    const PlaceScope place(3);
    const TimedScope inner("inner");
    throw std::runtime_error("stop");
  } catch (const std::runtime_error&) {
  }
  EXPECT_FALSE(recording_time());
  const TimeRecord record = recorder.take();
  ASSERT_EQ(record.events.size(), 2u);
  expect_nested(record);
  EXPECT_TRUE(recorder.take().events.empty()) << "taken once";
}

}  // namespace
}  // namespace morex::ops
