// NumPy's .npy files: one array.
#pragma once
#include <filesystem>

#include "io/safetensors.h"

namespace morex::io {

// Maps the file. float32, float64 or float16, little-endian, in C order, any number of dimensions; the tensor's name is
// the file's. Throws Error(kFormat) naming the file: another type or order, a damaged header, too few or too many
// bytes. Format: numpy.lib.format, versions 1 to 3.
StoredTensor read_npy(const std::filesystem::path& path);

}  // namespace morex::io
