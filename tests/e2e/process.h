// Runs one shell command with its output caught.
#pragma once
#include <filesystem>
#include <map>
#include <string>

namespace morex::test {

struct CommandResult {
  int exit_code = 0;  // 128 + n when signal n ended it, as a shell says
  std::string out, err;
};

// Runs `command` with /bin/sh in `folder`; `environment` is added to this process's. The morex of this build is first
// on the PATH.
CommandResult run_command(const std::string& command, const std::filesystem::path& folder,
                          const std::map<std::string, std::string>& environment = {});

}  // namespace morex::test
