// What may already lie in output_dir when a run starts.
#pragma once
#include <filesystem>

#include "base/warnings.h"

namespace morex::train {

// Moves what an earlier run wrote into output_dir/earlier-N, so that a fresh start neither mixes with it nor loses it;
// a counted warning says so. Files that no run writes stay.
void move_earlier_run_aside(const std::filesystem::path& output_dir, Warnings& warnings);

}  // namespace morex::train
