#include "cli/options.h"

#include <CLI/CLI.hpp>

namespace morex::cli {

Option& Option::required() {
  option_->required();
  return *this;
}

Option& Option::choices(const std::vector<std::string>& values) {
  option_->check(CLI::IsMember(values));
  return *this;
}

Option& Option::range(int low, int high) {
  option_->check(CLI::Range(low, high));
  return *this;
}

Option& Option::range(double low, double high) {
  option_->check(CLI::Range(low, high));
  return *this;
}

Option& Option::show_default() {
  option_->capture_default_str();
  return *this;
}

Option& Option::delimiter(char between) {
  option_->delimiter(between);
  return *this;
}

Option& Option::one_value_each() {
  option_->allow_extra_args(false);
  return *this;
}

Option& Option::needs(const Option& other) {
  option_->needs(other.option_);
  return *this;
}

Option& Option::excludes(const Option& other) {
  option_->excludes(other.option_);
  return *this;
}

Command Command::subcommand(const std::string& name, const std::string& meaning) {
  return Command(*app_->add_subcommand(name, meaning));
}

Command Command::option_group(const std::string& name) { return Command(*app_->add_option_group(name)); }

Option Command::option(const std::string& names, std::string& target, const std::string& meaning) {
  return Option(app_->add_option(names, target, meaning));
}

Option Command::option(const std::string& names, int64_t& target, const std::string& meaning) {
  return Option(app_->add_option(names, target, meaning));
}

Option Command::option(const std::string& names, uint64_t& target, const std::string& meaning) {
  return Option(app_->add_option(names, target, meaning));
}

Option Command::option(const std::string& names, double& target, const std::string& meaning) {
  return Option(app_->add_option(names, target, meaning));
}

Option Command::option(const std::string& names, std::vector<std::string>& target, const std::string& meaning) {
  return Option(app_->add_option(names, target, meaning));
}

Option Command::option(const std::string& names, std::vector<int64_t>& target, const std::string& meaning) {
  return Option(app_->add_option(names, target, meaning));
}

Option Command::flag(const std::string& names, bool& target, const std::string& meaning) {
  return Option(app_->add_flag(names, target, meaning));
}

void Command::require_one_option() { app_->require_option(1); }

void Command::require_subcommand() { app_->require_subcommand(1); }

void Command::inherit_options() { app_->fallthrough(); }

void Command::on_chosen(std::function<void()> action) { app_->callback(std::move(action)); }

}  // namespace morex::cli
