// Every structure with every router and every prior: what the contract suite runs over.
#pragma once
#include <iosfwd>
#include <string>
#include <vector>

#include "base/json.h"

namespace morex::test {

struct Combination {
  std::string name;  // "experts__router__prior"
  Json method;       // the method part of a recipe
  bool fits = false;
  // What it promises.
  bool neutral_start = true;   // a fresh adapter changes nothing but the last bits
  bool true_gradients = true;  // DoRA holds its row norms constant
};

void PrintTo(const Combination& item, std::ostream* out);  // its name

// From the tables of the three axes: a kind without an example here is an error, so that a new one cannot be left out.
std::vector<Combination> all_combinations();

}  // namespace morex::test
