// Tensor files that torch.save wrote: a zip archive with a pickle and the tensors' bytes.
#pragma once
#include <filesystem>
#include <vector>

#include "io/safetensors.h"

namespace morex::io {

// The tensors of a saved dictionary from names to tensors, in its order; their bytes lie in the map. Nothing of the
// file is ever executed. Throws Error(kFormat) naming file and part: torch's format of before 1.6, anything but a
// dictionary of plain contiguous tensors (objects, views with holes, nested dictionaries), sizes that do not agree.
std::vector<StoredTensor> read_torch_file(const std::filesystem::path& path);

}  // namespace morex::io
