#include "cli/failure.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace morex::cli {
namespace {

template <typename Throw>
Failure failure_of(const Throw& body) {
  try {
    body();
  } catch (...) {
    return describe_current_exception();
  }
  return {0, "", ""};
}

TEST(Failure, Every_kind_has_its_exit_code) {
  for (const int code : {1, 2, 3, 4, 5, 6, 7, 130}) {
    EXPECT_EQ(failure_of([&] { throw Error(static_cast<ErrorKind>(code), "x"); }).exit_code, code);
  }
}

TEST(Failure, Lack_of_memory_is_5) {
  EXPECT_EQ(failure_of([] { throw std::bad_alloc(); }).exit_code, 5);
  const Failure failure = failure_of([] { at::empty({int64_t{1} << 56}, at::kFloat); });
  EXPECT_EQ(failure.exit_code, 5) << failure.message;
}

TEST(Failure, What_nobody_expected_is_1_and_one_line) {
  const Failure failure = failure_of([] { at::mm(at::ones({2, 3}), at::ones({2, 3})); });
  EXPECT_EQ(failure.exit_code, 1);
  EXPECT_EQ(failure.message.find('\n'), std::string::npos);
  EXPECT_NE(failure.detail, "");
  EXPECT_EQ(failure_of([] { throw 3; }).exit_code, 1);
  EXPECT_EQ(failure_of([] { throw std::runtime_error("a\nb"); }).message, "a b");
}

TEST(Failure, Messages_are_one_line_of_valid_text) {
  EXPECT_EQ(single_line("a\n  b\tc\n"), "a   b c");
  EXPECT_EQ(single_line("bell\x07"), "bell?");
  EXPECT_EQ(single_line("bad \xff byte"), "bad \xEF\xBF\xBD byte");
}

}  // namespace
}  // namespace morex::cli
