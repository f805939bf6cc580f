// The key-value part of a GGUF file.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "io/gguf.h"
#include "io/gguf_cursor.h"

namespace morex::io {

// Reads `count` entries. Throws Error(kFormat): duplicate or non-UTF-8 keys, unknown value types, arrays that are
// nested too deeply or hold more than the file can.
std::map<std::string, GgufValue, std::less<>> read_gguf_metadata(GgufCursor& cursor, uint64_t count);

// "string", "u32 array" …: the kind of a value, for messages.
std::string gguf_kind(const GgufValue& value);

}  // namespace morex::io
