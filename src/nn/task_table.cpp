#include "nn/task_table.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/strings.h"

namespace morex::nn {
namespace {

std::optional<int64_t> whole_number(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string shown(const std::vector<std::string>& names) {
  constexpr size_t kMost = 12;
  if (names.size() <= kMost) return join(names, ", ");
  return join({names.begin(), names.begin() + kMost}, ", ") + fmt::format(" … ({} in all)", names.size());
}

}  // namespace

int64_t TaskTable::id_of(const std::string& task, const std::string& where, ErrorKind kind) const {
  if (names.empty()) {
    const std::optional<int64_t> number = whole_number(task);
    MOREX_CHECK(number && *number <= highest, kind, "[{}] the task must be a whole number from 0 to {}, got {}", where,
                highest, task.empty() ? "none" : "'" + task + "'");
    return *number;
  }
  const auto found = std::find(names.begin(), names.end(), task);
  MOREX_CHECK(found != names.end(), kind, "[{}] the task must be one that the adapter knows: {}; got {}.{}", where,
              shown(names), task.empty() ? "none" : "'" + task + "'", did_you_mean(task, names));
  return found - names.begin();
}

std::vector<std::string> task_names(std::vector<std::string> tasks) {
  std::sort(tasks.begin(), tasks.end());
  tasks.erase(std::unique(tasks.begin(), tasks.end()), tasks.end());
  const bool numbers =
      std::all_of(tasks.begin(), tasks.end(), [](const std::string& task) { return whole_number(task).has_value(); });
  return numbers ? std::vector<std::string>() : tasks;
}

}  // namespace morex::nn
