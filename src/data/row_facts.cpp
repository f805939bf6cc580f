#include "data/row_facts.h"

#include "base/error.h"
#include "io/text_check.h"

namespace morex::data {
namespace {

std::string shown(const Json& value) {
  return io::printable(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

const Json& wanted(const Json& row, const std::string& column, const char* option, const std::string& where) {
  const auto found = row.find(column);
  MOREX_CHECK(found != row.end() && !found->is_null(), ErrorKind::kData,
              "[{}] column '{}' is missing, which the method needs. Hint: {} names another column", where, column,
              option);
  return *found;
}

std::string task_in(const Json& value, const std::string& column, const std::string& where) {
  if (value.is_number_integer() && value >= 0) return std::to_string(value.get<int64_t>());
  MOREX_CHECK(value.is_string() && !value.get_ref<const std::string&>().empty(), ErrorKind::kData,
              "[{}] column '{}' must be a task's name or its number, got {}", where, column, shown(value));
  return value.get<std::string>();
}

}  // namespace

void read_columns(const Json& row, const DatasetOptions& options, const std::string& where, SequenceFacts& facts) {
  const bool has_task = row.contains(options.task_column) && !row.at(options.task_column).is_null();
  if (!options.fixed_task.empty()) {
    facts.task = options.fixed_task;
  } else if (options.wants_task && !has_task && !options.fallback_task.empty()) {
    facts.task = options.fallback_task;
  } else if (options.wants_task) {
    facts.task = task_in(wanted(row, options.task_column, "task_column", where), options.task_column, where);
  }
  if (!options.wants_sample_type) return;
  const Json& type = wanted(row, options.sample_type_column, "sample_type_column", where);
  MOREX_CHECK(type.is_number_integer() && (type == 0 || type == 1), ErrorKind::kData,
              "[{}] column '{}' must be 0 or 1, got {}", where, options.sample_type_column, shown(type));
  facts.sample_type = type.get<int64_t>();
}

}  // namespace morex::data
