// A program that can be killed at a chosen moment.
#pragma once
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace morex::test {

class ChildProcess {
 public:
  // Starts `arguments` (the first is the program's path); its output goes to `log`.
  ChildProcess(const std::vector<std::string>& arguments, const std::filesystem::path& log);
  ~ChildProcess();  // kills it when it still runs
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Waits for its end, at most this long. True: it has ended.
  bool ended_within(std::chrono::microseconds time);
  void kill();
  int wait();  // its exit code, 128 + n for signal n

 private:
  int process_ = -1;
  int descriptor_ = -1;  // readable once the process has ended
};

}  // namespace morex::test
