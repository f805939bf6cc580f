// The tasks of a router that goes by the task: names and the ids they have.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace morex::nn {

struct TaskTable {
  int64_t highest = 0;             // ids are 0 … highest
  std::vector<std::string> names;  // name i has id i; empty: a task is its number
  bool operator==(const TaskTable&) const = default;

  // The id of a name, or of a number as text where there are no names. Throws Error(kind) "[where] …" for a task that
  // is not there, "" among them.
  int64_t id_of(const std::string& task, const std::string& where, ErrorKind kind) const;
};

// The names for tasks as a file has them: each once, in alphabetical order; none where all of them are whole numbers.
std::vector<std::string> task_names(std::vector<std::string> tasks);

}  // namespace morex::nn
