// morex doctor: what this machine and this build offer, and what is wrong with them.
#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/mm.h>
#include <fmt/core.h>
#include <torch/headeronly/version.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/strings.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "train/runtime.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

struct Findings {
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<std::string> problems;  // worth knowing, morex runs
  std::vector<std::string> faults;    // morex cannot run properly
};

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path cache_folder() {
  const std::string cache = from_environment("XDG_CACHE_HOME");
  return (cache.empty() ? fs::path(from_environment("HOME")) / ".cache" : fs::path(cache)) / "morex";
}

void examine_processor(Findings& findings) {
  const CpuFeatures cpu = cpu_features();
  std::string features;
  if (cpu.avx2) features += " avx2";
  if (cpu.avx512f) features += " avx512f";
  if (cpu.avx512_bf16) features += " avx512_bf16";
  if (cpu.amx_bf16) features += " amx_bf16";
  findings.facts.emplace_back("processor", cpu.model_name);
  findings.facts.emplace_back("features", features.empty() ? "none of those that matter" : features.substr(1));
  findings.facts.emplace_back("cores", fmt::format("{} available", available_cores()));
  findings.facts.emplace_back("memory", format_bytes(static_cast<double>(total_memory_bytes())));
  if (!cpu.avx2) findings.problems.emplace_back("the processor has no AVX2: everything will be slow");
  if (!cpu.avx512_bf16 && !cpu.amx_bf16) {
    findings.problems.emplace_back("the processor does not multiply bfloat16 natively: float32 is faster here");
  }
}

#ifdef MOREX_HAS_MKLDNN_MATMUL
constexpr bool kHasMkldnnMatmul = true;
#else
constexpr bool kHasMkldnnMatmul = false;
#endif
#ifdef MOREX_HAS_BRGEMM
constexpr bool kHasBrgemm = true;
#else
constexpr bool kHasBrgemm = false;
#endif

// Functions that LibTorch exports without declaring them: used where they link.
void examine_symbol(Findings& findings, const std::string& name, bool linked, const std::string& otherwise) {
  findings.facts.emplace_back(name, linked ? "linked" : "absent");
  if (!linked) findings.problems.push_back(fmt::format("this LibTorch does not export {}: {}", name, otherwise));
}

void examine_torch(Findings& findings) {
  findings.facts.emplace_back("morex", MOREX_VERSION);
  findings.facts.emplace_back("LibTorch",
                              fmt::format("built against {}, capability {}", TORCH_VERSION, at::get_cpu_capability()));
  examine_symbol(findings, "mkldnn_matmul", kHasMkldnnMatmul,
                 "float32 products go through ATen, slower on AMD processors");
  examine_symbol(findings, "brgemm", kHasBrgemm, "attention and matrix products go through the library, slower");
  if (!at::globalContext().hasMKLDNN()) findings.problems.emplace_back("this LibTorch was built without oneDNN");
  const at::Tensor a = at::arange(6, at::kFloat).view({2, 3});  // [2, 3]
  const float product = at::mm(a, a.t()).sum().item<float>();
  if (product != 83.0f)
    findings.faults.push_back(fmt::format("LibTorch computes a 2x2 product as {}, not 83", product));
}

void examine_openmp(Findings& findings) {
  std::vector<std::string> copies = mapped_libraries("libgomp");
  for (const std::string& other : mapped_libraries("libiomp")) copies.push_back(other);
  findings.facts.emplace_back("OpenMP", copies.empty() ? "none mapped" : join(copies, ", "));
  if (copies.size() > 1) {
    findings.problems.push_back(
        fmt::format("{} OpenMP libraries are mapped: they compete for the cores. Hint: check LD_LIBRARY_PATH and "
                    "LD_PRELOAD",
                    copies.size()));
  }
}

void examine_gpu(Findings& findings) {
  const std::string reason = train::why_no_cuda();
  const bool driver = fs::exists("/proc/driver/nvidia/version");
  findings.facts.emplace_back("GPU", reason.empty() ? "usable through CUDA"
                                     : driver       ? "an NVIDIA driver is loaded, but " + reason
                                                    : "none: " + reason);
}

void examine_cache(Findings& findings) {
  const fs::path cache = cache_folder();
  const fs::path base = cache / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  std::error_code ignored;
  findings.facts.emplace_back("cache", cache.string() + (fs::exists(cache, ignored) ? "" : " (not there yet)"));
  findings.facts.emplace_back("demo base",
                              fs::exists(base, ignored) ? base.string() : "not there yet: scripts/demo fetches it");
}

void print_findings(const Findings& findings) {
  fmt::print("{}", aligned_pairs(findings.facts));
  for (const std::string& problem : findings.problems) fmt::print("note: {}\n", problem);
  for (const std::string& fault : findings.faults) fmt::print("fault: {}\n", fault);
  if (findings.faults.empty()) fmt::print("morex can run here.\n");
}

void print_findings_as_json(const Findings& findings) {
  OrderedJson facts = OrderedJson::object();
  for (const auto& [name, value] : findings.facts) facts[name] = value;
  print_json({{"facts", facts}, {"notes", findings.problems}, {"faults", findings.faults}});
}

void run(bool json) {
  Findings findings;
  examine_processor(findings);
  examine_torch(findings);
  examine_openmp(findings);
  examine_gpu(findings);
  examine_cache(findings);
  json ? print_findings_as_json(findings) : print_findings(findings);
  MOREX_CHECK(findings.faults.empty(), ErrorKind::kRun, "this installation cannot be used: {}",
              join(findings.faults, "; "));
}

}  // namespace

void add_doctor(Command program, Globals& globals) {
  const auto json = std::make_shared<bool>(false);
  Command command = program.subcommand("doctor", "What this machine and this build offer, and what is wrong");
  command.flag("--json", *json, "Print JSON");
  command.on_chosen([json, &globals] { globals.action = [json] { run(*json); }; });
}

}  // namespace morex::cli
