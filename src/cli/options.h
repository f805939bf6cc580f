// Commands and their options in front of the parser, whose header only options.cpp and program.cpp include: its
// templates cost every file that sees them many seconds.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace morex::cli {

// One option or flag; each call restricts or describes it further. A handle: copies mean the same option.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option& required();
  Option& choices(const std::vector<std::string>& values);
  Option& range(int low, int high);  // both included
  Option& range(double low, double high);
  Option& show_default();           // the target's present value, in the help
  Option& delimiter(char between);  // of several values in one word
  Option& one_value_each();         // of a list: what follows the value is not part of it
  Option& needs(const Option& other);
  Option& excludes(const Option& other);

 private:
  CLI::Option* option_;
};

// A command, or a group of options in one. A handle: copies mean the same command. Targets must outlive the parsing.
class Command {
 public:
  explicit Command(CLI::App& app) : app_(&app) {}

  Command subcommand(const std::string& name, const std::string& meaning);
  Command option_group(const std::string& name);

  // names: "--long", "-s,--long", or a bare word for a positional one.
  Option option(const std::string& names, std::string& target, const std::string& meaning);
  Option option(const std::string& names, int64_t& target, const std::string& meaning);
  Option option(const std::string& names, uint64_t& target, const std::string& meaning);
  Option option(const std::string& names, double& target, const std::string& meaning);
  Option option(const std::string& names, std::vector<std::string>& target, const std::string& meaning);
  Option option(const std::string& names, std::vector<int64_t>& target, const std::string& meaning);
  Option flag(const std::string& names, bool& target, const std::string& meaning);

  void require_one_option();                     // exactly one of a group's
  void require_subcommand();                     // exactly one
  void inherit_options();                        // the options of its parents are known behind it, too
  void on_chosen(std::function<void()> action);  // called when the command line names it and is correct so far

 private:
  CLI::App* app_;
};

}  // namespace morex::cli
