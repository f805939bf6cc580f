// The modes of morex_bench; main.cpp says what each is for.
#pragma once
#include <string>
#include <vector>

namespace morex::bench {

using ModeArguments = std::vector<std::string>;

void make_shape_mode(const ModeArguments& arguments);
void step_mode(const ModeArguments& arguments);
void generate_mode(const ModeArguments& arguments);
void bandwidth_mode(const ModeArguments& arguments);
void tokenize_mode(const ModeArguments& arguments);
void job_mode(const ModeArguments& arguments);

}  // namespace morex::bench
