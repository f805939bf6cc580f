// Filters that work on the items of a list or dict; each is value | name(arguments).
#pragma once
#include "text/jinja/value.h"

namespace morex::text::jinja {

Value batch(const Value& value, const Arguments& arguments);
Value slice_columns(const Value& value, const Arguments& arguments);
Value sort_dict(const Value& value, const Arguments& arguments);
Value dict_items(const Value& value, const Arguments& arguments);
Value first_item(const Value& value, const Arguments& arguments);
Value last_item(const Value& value, const Arguments& arguments);
Value group_by(const Value& value, const Arguments& arguments);
Value join_items(const Value& value, const Arguments& arguments);
Value map_items(const Value& value, const Arguments& arguments);
Value reverse_items(const Value& value, const Arguments& arguments);
Value sort_items(const Value& value, const Arguments& arguments);
Value sum_items(const Value& value, const Arguments& arguments);
Value unique_items(const Value& value, const Arguments& arguments);
Value extreme(const Value& value, const Arguments& arguments, bool largest);
// select, reject (and with `by_attribute` selectattr, rejectattr).
Value select_items(const Value& value, const Arguments& arguments, bool by_attribute, bool keep);

}  // namespace morex::text::jinja
