#include "base/system.h"

#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>
#include <sstream>

namespace morex {
namespace {

// Reads "KEY: NUMBER kB" from a /proc file; 0 when absent.
int64_t proc_kilobytes(const char* file, const std::string& key) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    if (line.rfind(key, 0) == 0) return std::stoll(line.substr(key.size())) * 1024;
  }
  return 0;
}

}  // namespace

CpuFeatures cpu_features() {
  CpuFeatures features;
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string value = colon + 2 <= line.size() ? line.substr(colon + 2) : "";
    if (line.rfind("model name", 0) == 0) features.model_name = value;
    if (line.rfind("vendor_id", 0) == 0) features.is_amd = value == "AuthenticAMD";
    if (line.rfind("flags", 0) == 0) {
      std::istringstream words(value);
      const std::set<std::string> flags{std::istream_iterator<std::string>(words), {}};
      features.avx2 = flags.contains("avx2");
      features.avx512f = flags.contains("avx512f");
      features.fma = flags.contains("fma");
      features.avx512_bw_dq_vl = flags.contains("avx512bw") && flags.contains("avx512dq") && flags.contains("avx512vl");
      features.avx512_bf16 = flags.contains("avx512_bf16");
      features.amx_bf16 = flags.contains("amx_bf16");
      break;  // all cores are alike
    }
  }
  return features;
}

int64_t available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int64_t cores = 1;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  std::ifstream quota_file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (quota_file >> quota >> period && quota != "max" && period > 0) {
    const auto granted = static_cast<int64_t>(std::stod(quota) / period + 0.999);
    cores = std::min(cores, std::max<int64_t>(granted, 1));
  }
  return cores;
}

int64_t peak_rss_bytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

int64_t current_rss_bytes() { return proc_kilobytes("/proc/self/status", "VmRSS:"); }

int64_t total_memory_bytes() {
  int64_t total = proc_kilobytes("/proc/meminfo", "MemTotal:");
  std::ifstream limit_file("/sys/fs/cgroup/memory.max");
  std::string limit;
  if (limit_file >> limit && limit != "max") total = std::min<int64_t>(total, std::stoll(limit));
  return total;
}

std::vector<std::string> mapped_libraries(const std::string& name_part) {
  std::set<std::string> paths;
  std::ifstream in("/proc/self/maps");
  std::string line;
  while (std::getline(in, line)) {
    const size_t slash = line.find('/');
    if (slash == std::string::npos) continue;
    const std::string path = line.substr(slash);
    if (path.substr(path.rfind('/') + 1).find(name_part) != std::string::npos) paths.insert(path);
  }
  return {paths.begin(), paths.end()};
}

void keep_freed_memory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
}

void return_freed_memory() { malloc_trim(0); }

}  // namespace morex
