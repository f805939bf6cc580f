// Tensor names of other projects' adapter files: one rename table for all layouts.
#pragma once
#include <string>
#include <vector>

namespace morex::adapters {

// The layouts with a table.
std::vector<std::string> official_layouts();

// The layout's prefix, and the end of `name` after a dot (or all of it) renamed by the longest rule that matches;
// unchanged where none does. An empty layout changes nothing. our_name knows aliases, too: several official names may
// mean one of ours. Throws Error(kConfig) for an unknown layout.
std::string official_name(const std::string& layout, const std::string& ours);
std::string our_name(const std::string& layout, const std::string& official);

}  // namespace morex::adapters
