// Models without meaning, of which only the shape matters: Llama with random weights, the same on every machine.
#pragma once
#include <filesystem>
#include <string>

namespace morex::bench {

// Writes the shape `name` ("S" or "M") as a Hugging Face folder (config.json, model.safetensors in float32; weights
// normal with standard deviation 0.02, norms 1, head tied to the embedding) unless it lies there already; several at
// once write the same. Throws Error(kConfig) for an unknown name, Error(kRun) when the disk refuses.
void make_shape(const std::string& name, const std::filesystem::path& folder);

}  // namespace morex::bench
