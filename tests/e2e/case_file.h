// An end-to-end test as data. A .case file holds, line by line:
//
//   # text                     a comment
//   needs: golden|data/PATH    skip when this part of the reference data is not there; smollm2, minilm: the real models
//   write: NAME                followed by indented lines: makes this file; ${NAME} is replaced by the variable's value
//   run: COMMAND               a shell command in the case's scratch folder; what follows is about this run
//   exit: N                    its exit code (every run needs one)
//   stdout ~ /REGEX/           a line matches; stdout ! /REGEX/: none does; the same for stderr
//   stderr_lines: N            how many lines stderr holds
//   file: NAME                 exists and is not empty; no_file: NAME does not exist
//   same: A B                  two files are equal, byte by byte
//   content: NAME ~ /REGEX/    a line of the file matches (! as above)
//   steps: NAME N              a metrics file holds the steps 1 … N once each where "loss" stands
//
// Variables in commands and files: TINY (a tiny Llama), ENCODER (a tiny sentence encoder), SMOLLM2, MINILM (the real
// ones), CASES (this folder's data), DEMO, GOLDEN, DATA.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace morex::test {

struct CaseLine {
  int number = 0;
  std::string key, value;
  std::string body;  // of write
};

// Throws std::runtime_error "FILE:LINE: …" for a line that is none of the above.
std::vector<CaseLine> read_case(const std::filesystem::path& path);

std::map<std::string, std::string> case_variables();

// Runs a case in a fresh scratch folder. Failures are GoogleTest failures that name file and line.
void run_case(const std::filesystem::path& path);

}  // namespace morex::test
