#include "cli/program.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/failure.h"
#include "cli/options.h"
#include "cli/process.h"

namespace morex::cli {

namespace {

constexpr int kUsage = static_cast<int>(ErrorKind::kConfig);

void add_global_options(CLI::App& program, Globals& globals) {
  program.add_flag("-v,--verbose", globals.verbose, "With an error, also print where it came from");
  program.add_flag("-q,--quiet", globals.quiet, "No progress on stderr");
  program.add_flag("--strict", globals.strict, "Warnings are errors");
  program.add_option("--threads", globals.threads, "Threads to compute with (0: all available cores)")
      ->check(CLI::Range(0, 4096));
  program.set_version_flag("--version", "morex " MOREX_VERSION);
}

// The first word where it should name a command and does not; "" otherwise.
std::string unknown_command(const CLI::App& program, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-' || !program.get_subcommands().empty()) return "";
  return argv[1];
}

std::vector<std::string> command_names(const CLI::App& program) {
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

int report_usage_error(const CLI::App& program, const CLI::ParseError& error, int argc, char** argv) {
  std::string message = error.what();
  if (const std::string word = unknown_command(program, argc, argv); !word.empty()) {
    message = fmt::format("unknown command '{}'.{}", word, did_you_mean(word, command_names(program)));
  }
  std::string command = "morex";
  for (const CLI::App* app = &program; !app->get_subcommands().empty();) {
    app = app->get_subcommands().front();
    command += " " + app->get_name();
  }
  const bool ends = message.ends_with('.') || message.ends_with('?');
  fmt::print(stderr, "morex: error: {}{} Hint: {} --help\n", single_line(message), ends ? "" : ".", command);
  return kUsage;
}

int report_failure(const Failure& failure, bool verbose) {
  fmt::print(stderr, "morex: error: {}\n", failure.message);
  if (verbose && !failure.detail.empty()) fmt::print(stderr, "{}\n", failure.detail);
  return failure.exit_code;
}

}  // namespace

int run_program(int argc, char** argv) {
  Globals globals;
  CLI::App program("Fine-tunes language models with mixtures of low-rank experts.", "morex");
  program.require_subcommand(1);
  program.fallthrough();
  add_global_options(program, globals);
  const Command commands(program);
  add_train(commands, globals);
  add_eval(commands, globals);
  add_generate(commands, globals);
  add_inspect(commands, globals);
  add_merge(commands, globals);
  add_convert(commands, globals);
  add_tokenize(commands, globals);
  add_cluster(commands, globals);
  add_doctor(commands, globals);
  try {
    prepare_process();
    program.parse(argc, argv);
    globals.action();
    finish_stdout();
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);  // --help, --version
    return report_usage_error(program, error, argc, argv);
  } catch (...) {
    return report_failure(describe_current_exception(), globals.verbose);
  }
}

}  // namespace morex::cli
