// PiSSA's way back to plain LoRA.
#pragma once
#include "adapters/method_config.h"

namespace morex::adapters {

// Whether experts of this entry move the base they stand on.
bool moves_base(const MethodEntry& entry);

// The entry as LoRA of twice the rank with an unchanged scale: alpha is doubled, or with use_rslora multiplied by √2.
MethodEntry plain_entry(const MethodEntry& moving);

}  // namespace morex::adapters
