// What the machine's memory gives at most.
#pragma once

namespace morex::bench {

// Bytes a second that all threads together read from memory, far beyond the caches: the fastest of several passes.
double read_bandwidth();

}  // namespace morex::bench
