// The non-linearities of feed-forward blocks.
#pragma once

namespace morex::ops {

enum class Activation { kSilu, kGelu, kGeluTanh, kRelu };

}  // namespace morex::ops
