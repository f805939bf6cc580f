// The entries of a zip archive that stores them as they are (no compression), as torch writes its files.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/mapped_file.h"

namespace morex::io {

// By name; the bytes lie in the map. Checks every offset, length and CRC-32 before it is believed. Throws
// Error(kFormat) naming file and entry: no zip file, a compressed or encrypted entry, one name twice, parts that lie
// outside the file or do not have their checksum. Zip64 is read.
std::map<std::string, std::span<const std::byte>> zip_entries(const std::shared_ptr<const MappedFile>& file);

}  // namespace morex::io
