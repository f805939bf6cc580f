// The functions every template can call: range, namespace, dict, joiner, cycler, raise_exception, strftime_now.
#pragma once
#include <ctime>

#include "text/jinja/value.h"

namespace morex::text::jinja {

Dict make_globals(const std::tm& now);

}  // namespace morex::text::jinja
