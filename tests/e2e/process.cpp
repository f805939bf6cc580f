#include "e2e/process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "support/paths.h"

namespace morex::test {

namespace {

std::string content(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

[[noreturn]] void become(const std::string& command, const std::filesystem::path& folder,
                         const std::map<std::string, std::string>& environment) {
  std::filesystem::current_path(folder);
  const char* path = std::getenv("PATH");
  setenv("PATH", (program().parent_path().string() + ":" + (path == nullptr ? "" : path)).c_str(), 1);
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
  _exit(127);
}

}  // namespace

CommandResult run_command(const std::string& command, const std::filesystem::path& folder,
                          const std::map<std::string, std::string>& environment) {
  const std::filesystem::path out = folder / ".stdout", err = folder / ".stderr";
  const std::string redirected = "exec >'" + out.string() + "' 2>'" + err.string() + "' </dev/null\n" + command;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) become(redirected, folder, environment);
  int status = 0;
  waitpid(child, &status, 0);
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return {code, content(out), content(err)};
}

}  // namespace morex::test
