// What `inspect adapter --tax` measured, as JSON and as text.
#pragma once
#include "base/json.h"
#include "train/tax.h"

namespace morex::cli {

OrderedJson tax_to_json(const train::Tax& tax, const train::TaxOptions& options);
void print_tax(const train::Tax& tax, const train::TaxOptions& options);

}  // namespace morex::cli
