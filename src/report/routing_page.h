// The routing of an adapter as one HTML page that needs nothing else.
#pragma once
#include <string>

#include "report/routing_json.h"
#include "report/routing_trace.h"

namespace morex::report {

inline constexpr int64_t kPageBytes = 6 << 20;

// At most `limit` bytes: tokens at the end, then the similarity matrices are left out where it would be more, and the
// page says so. Gates are shown to 1/255 of their range. Throws Error(kRun) when even that is too much.
std::string routing_page(const RoutingTrace& trace, const TraceLabels& labels, int64_t limit = kPageBytes);

}  // namespace morex::report
