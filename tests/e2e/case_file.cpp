#include "e2e/case_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>

#include "e2e/process.h"
#include "support/paths.h"

namespace morex::test {

namespace fs = std::filesystem;

namespace {

const std::set<std::string> kKeys = {"needs",   "write", "run",     "exit",  "stderr_lines", "file",
                                     "no_file", "same",  "content", "steps", "stdout",       "stderr"};

[[noreturn]] void reject(const fs::path& path, int line, const std::string& what) {
  throw std::runtime_error(path.string() + ":" + std::to_string(line) + ": " + what);
}

std::string trimmed(std::string text) {
  const auto space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && space(text.back())) text.pop_back();
  while (!text.empty() && space(text.front())) text.erase(0, 1);
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string content(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string substitute(std::string text, const std::map<std::string, std::string>& variables) {
  for (const auto& [name, value] : variables) {
    const std::string pattern = "${" + name + "}";
    for (size_t at = text.find(pattern); at != std::string::npos; at = text.find(pattern, at + value.size())) {
      text.replace(at, pattern.size(), value);
    }
  }
  return text;
}

// "~ /regex/" or "! /regex/" against the lines of a text.
void expect_match(const std::string& text, const std::string& rule, const std::string& where) {
  ASSERT_GE(rule.size(), 5u) << where;
  const bool wanted = rule[0] == '~';
  ASSERT_TRUE((wanted || rule[0] == '!') && rule.substr(1, 2) == " /" && rule.back() == '/') << where << ": " << rule;
  const std::regex regex(rule.substr(3, rule.size() - 4));
  const std::vector<std::string> lines = lines_of(text);
  const bool found = std::any_of(lines.begin(), lines.end(),
                                 [&regex](const std::string& line) { return std::regex_search(line, regex); });
  EXPECT_EQ(found, wanted) << where << ": " << rule << " in:\n" << text;
}

// Every step stands once, and none is missing.
void expect_steps(const fs::path& metrics, int64_t last, const std::string& where) {
  std::vector<int64_t> steps;
  for (const std::string& line : lines_of(content(metrics))) {
    const nlohmann::json row = nlohmann::json::parse(line);
    if (row.contains("loss")) steps.push_back(row.at("step").get<int64_t>());
  }
  std::vector<int64_t> expected;
  for (int64_t step = 1; step <= last; ++step) expected.push_back(step);
  EXPECT_EQ(steps, expected) << where;
}

class Runner {
 public:
  Runner(fs::path path, fs::path folder)
      : path_(std::move(path)), folder_(std::move(folder)), variables_(case_variables()) {}

  void step(const CaseLine& line) {
    const std::string where = path_.filename().string() + ":" + std::to_string(line.number);
    SCOPED_TRACE(where);
    if (line.key == "write") {
      fs::create_directories((folder_ / line.value).parent_path());
      std::ofstream(folder_ / line.value) << substitute(line.body, variables_);
    } else if (line.key == "run") {
      result_ = run_command(line.value, folder_, variables_);
    } else if (line.key == "exit") {
      EXPECT_EQ(result_.exit_code, std::stoi(line.value)) << where << "\n" << result_.err;
    } else if (line.key == "stdout") {
      expect_match(result_.out, line.value, where);
    } else if (line.key == "stderr") {
      expect_match(result_.err, line.value, where);
    } else if (line.key == "stderr_lines") {
      EXPECT_EQ(lines_of(result_.err).size(), std::stoul(line.value)) << where << "\n" << result_.err;
    } else {
      check_files(line, where);
    }
  }

 private:
  void check_files(const CaseLine& line, const std::string& where) const {
    std::istringstream words(line.value);
    std::string first, rest;
    words >> first;
    std::getline(words, rest);
    rest = trimmed(rest);
    const fs::path file = folder_ / first;
    if (line.key == "no_file") {
      EXPECT_FALSE(fs::exists(file)) << where << ": " << first;
      return;
    }
    ASSERT_TRUE(fs::exists(file)) << where << ": " << first << " is missing";
    if (line.key == "file") {
      EXPECT_GT(fs::file_size(file), 0u) << where;
    } else if (line.key == "same") {
      EXPECT_TRUE(content(file) == content(folder_ / rest)) << where << ": " << first << " and " << rest << " differ";
    } else if (line.key == "content") {
      expect_match(content(file), rest, where);
    } else if (line.key == "steps") {
      expect_steps(file, std::stoll(rest), where);
    }
  }

  fs::path path_, folder_;
  std::map<std::string, std::string> variables_;
  CommandResult result_;
};

bool is_available(const std::string& need) {
  const std::map<std::string, fs::path> roots = {
      {"golden", golden_dir()}, {"data", data_dir()}, {"smollm2", smollm2_gguf()}, {"minilm", minilm()}};
  const size_t slash = need.find('/');
  const fs::path root = roots.at(need.substr(0, slash));
  return fs::exists(slash == std::string::npos ? root : root / need.substr(slash + 1));
}

}  // namespace

std::vector<CaseLine> read_case(const fs::path& path) {
  std::vector<CaseLine> lines;
  std::ifstream in(path);
  int number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    if (text.starts_with("  ") && !lines.empty() && lines.back().key == "write") {
      lines.back().body += text.substr(2) + "\n";
      continue;
    }
    if (trimmed(text).empty() || text[0] == '#') continue;
    const size_t end = text.find_first_of(": ");
    if (end == std::string::npos) reject(path, number, "no key in '" + text + "'");
    const std::string key = text.substr(0, end);
    if (!kKeys.contains(key)) reject(path, number, "unknown key '" + key + "'");
    lines.push_back({number, key, trimmed(text.substr(end + 1)), ""});
  }
  return lines;
}

std::map<std::string, std::string> case_variables() {
  const fs::path own = source_dir() / "tests";
  return {{"TINY", (own / "golden/data/gguf/llama_untied_hf").string()},
          {"ENCODER", tiny_encoder().string()},
          {"SMOLLM2", smollm2_gguf().string()},
          {"MINILM", minilm().string()},
          {"DEMO", (source_dir() / "demo").string()},
          {"CASES", (own / "e2e/data").string()},
          {"GOLDEN", golden_dir().string()},
          {"DATA", data_dir().string()}};
}

void run_case(const fs::path& path) {
  const std::vector<CaseLine> lines = read_case(path);
  const auto count = [&lines](const std::string& key) {
    return std::count_if(lines.begin(), lines.end(), [&key](const CaseLine& line) { return line.key == key; });
  };
  ASSERT_GT(count("run"), 0) << path << " runs nothing";
  ASSERT_EQ(count("run"), count("exit")) << path << ": every run needs its exit code";
  for (const CaseLine& line : lines) {
    if (line.key == "needs" && !is_available(line.value)) GTEST_SKIP() << line.value << " is not there";
  }
  const fs::path folder = scratch_dir(path.stem().string());
  Runner runner(path, folder);
  for (const CaseLine& line : lines) {
    if (line.key != "needs") runner.step(line);
  }
  if (!testing::Test::HasFailure()) fs::remove_all(folder);
}

}  // namespace morex::test
