#include "e2e/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

namespace morex::test {

namespace {

[[noreturn]] void become(const std::vector<std::string>& arguments, const std::filesystem::path& log) {
  const int file = open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
  dup2(file, STDOUT_FILENO);
  dup2(file, STDERR_FILENO);
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  execv(pointers[0], pointers.data());
  _exit(127);
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& arguments, const std::filesystem::path& log) {
  process_ = fork();
  if (process_ < 0) throw std::runtime_error("fork failed");
  if (process_ == 0) become(arguments, log);
  descriptor_ = static_cast<int>(syscall(SYS_pidfd_open, process_, 0));
  if (descriptor_ < 0) throw std::runtime_error("pidfd_open failed");
}

ChildProcess::~ChildProcess() {
  close(descriptor_);
  if (process_ < 0) return;
  kill();
  wait();
}

bool ChildProcess::ended_within(std::chrono::microseconds time) {
  const int64_t microseconds = std::max<int64_t>(0, time.count());
  const timespec timeout = {microseconds / 1'000'000, microseconds % 1'000'000 * 1000};
  pollfd wanted = {descriptor_, POLLIN, 0};
  return ppoll(&wanted, 1, &timeout, nullptr) > 0;
}

void ChildProcess::kill() { ::kill(process_, SIGKILL); }

int ChildProcess::wait() {
  int status = 0;
  waitpid(process_, &status, 0);
  process_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace morex::test
