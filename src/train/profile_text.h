// A profile as tables for people.
#pragma once
#include <string>

#include "train/profile.h"

namespace morex::train {

struct ProfiledRun {
  int64_t first_step = 0, last_step = 0;  // counted from 1
  int64_t threads = 0;
};

// A summary and five tables. Rows of less than a thousandth of the time, and those behind the first 40, are put
// together (of layers and parts all are shown). Ends with a line break.
std::string profile_text(const Profile& profile, const PeakRates& peaks, const ProfiledRun& run);

}  // namespace morex::train
