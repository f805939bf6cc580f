// Names of tasks and their ids.
#include "nn/task_table.h"

#include <gtest/gtest.h>

namespace morex::nn {
namespace {

using Names = std::vector<std::string>;

TEST(TaskTable, Names_are_numbered_in_alphabetical_order) {
  EXPECT_EQ(task_names({"sort", "add", "sort", "7"}), (Names{"7", "add", "sort"}));
  EXPECT_EQ(task_names({}), Names{});
}

TEST(TaskTable, Whole_numbers_are_ids_and_need_no_names) {
  EXPECT_EQ(task_names({"3", "0", "11"}), Names{});
  EXPECT_EQ(task_names({"3", "-1"}), (Names{"-1", "3"})) << "no id, so a name";
}

TEST(TaskTable, A_task_has_its_id) {
  const TaskTable named{5, {"add", "sort"}}, numbered{5, {}};
  EXPECT_EQ(named.id_of("sort", "t", ErrorKind::kData), 1);
  EXPECT_EQ(numbered.id_of("5", "t", ErrorKind::kData), 5);
}

std::string refusal(const TaskTable& table, const std::string& task) {
  try {
    table.id_of(task, "file:3", ErrorKind::kData);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return error.what();
  }
  return "none";
}

TEST(TaskTable, An_unknown_task_is_refused_with_the_known_ones) {
  const TaskTable named{5, {"add", "sort"}}, numbered{5, {}};
  EXPECT_EQ(refusal(named, "srot"),
            "[file:3] the task must be one that the adapter knows: add, sort; got 'srot'. Did you mean 'sort'?");
  EXPECT_NE(refusal(named, "").find("got none"), std::string::npos);
  EXPECT_NE(refusal(named, "0").find("add, sort"), std::string::npos) << "an id is no name";
  for (const char* bad : {"6", "-1", "1.0", "1x", "", "add"})
    EXPECT_NE(refusal(numbered, bad).find("from 0 to 5"), std::string::npos) << bad;
}

}  // namespace
}  // namespace morex::nn
