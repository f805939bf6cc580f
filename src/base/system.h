// What this machine is: processors, memory, and the process's own use of them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace morex {

struct CpuFeatures {
  std::string model_name;
  bool avx2 = false, avx512f = false, avx512_bf16 = false, amx_bf16 = false;
  bool fma = false, avx512_bw_dq_vl = false;  // beside AVX2; beside AVX-512F: all three
  bool is_amd = false;
};
CpuFeatures cpu_features();

int64_t available_cores();  // what the scheduler grants this process (affinity and cgroup quota)
int64_t peak_rss_bytes();   // highest resident set so far
int64_t current_rss_bytes();
int64_t total_memory_bytes();  // of the machine or the cgroup limit, whichever is smaller
std::vector<std::string> mapped_libraries(
    const std::string& name_part);  // paths of mapped files whose name contains it

// Keeps freed blocks in the process instead of returning them to the system at once: with glibc's defaults every large
// activation is mapped, page-faulted and unmapped at each step. For the program's start; library users opt in.
void keep_freed_memory();
// Gives the pages of free blocks back to the system all the same, once: after work whose memory is not needed again.
void return_freed_memory();

}  // namespace morex
