// Tensor names of other projects' adapter files, after the module's path: one rename table per layout.
#pragma once
#include <string>
#include <vector>

namespace morex::adapters {

// The layouts with a table.
std::vector<std::string> official_layouts();

// The end of `name` after a dot, or all of it, renamed by the longest rule that matches; unchanged where none does.
// An empty layout changes nothing. Throws Error(kConfig) for an unknown layout.
std::string official_name(const std::string& layout, const std::string& ours);
std::string our_name(const std::string& layout, const std::string& official);

}  // namespace morex::adapters
