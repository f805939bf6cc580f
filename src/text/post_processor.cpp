#include "text/post_processor.h"

namespace morex::text {
namespace {

std::vector<TemplatePart> make_template(const Json& parts, const Json& special_tokens, const std::string& where) {
  std::vector<TemplatePart> out;
  for (const Json& part : parts) {
    TemplatePart made;
    MOREX_CHECK(part.is_object() && part.size() == 1, ErrorKind::kFormat,
                "[{}] a part of a template must be one SpecialToken or Sequence, got {}", where, part.dump());
    const JsonReader reader(part.begin().value(), where);
    const auto id = reader.get<std::string>("id");
    made.type_id = reader.get_or<int64_t>("type_id", 0);
    if (part.begin().key() == "Sequence") {
      MOREX_CHECK(id == "A" || id == "B", ErrorKind::kFormat, "[{}] Sequence must be A or B, got {}", where, id);
      made.kind = id == "A" ? TemplatePart::Kind::kFirst : TemplatePart::Kind::kSecond;
    } else if (part.begin().key() == "SpecialToken") {
      made.kind = TemplatePart::Kind::kSpecial;
      MOREX_CHECK(special_tokens.is_object() && special_tokens.contains(id), ErrorKind::kFormat,
                  "[{}] special_tokens lacks {}, which a template uses", where, id);
      made.ids = JsonReader(special_tokens.at(id), where).get<std::vector<int64_t>>("ids");
    } else {
      fail(ErrorKind::kFormat, "[{}] template part {} is not known", where, part.begin().key());
    }
    out.push_back(std::move(made));
  }
  return out;
}

void apply(const Json& spec, const std::string& where, PostProcessor& out) {
  const JsonReader reader(spec, where + ": post_processor");
  const auto type = reader.get<std::string>("type");
  if (type == "Sequence") {
    for (const Json& step : reader.raw("processors")) apply(step, where, out);
  } else if (type == "ByteLevel") {
    out.trim_offsets = reader.get_or<bool>("trim_offsets", true);
    out.add_prefix_space = reader.get_or<bool>("add_prefix_space", true);
  } else if (type == "TemplateProcessing") {
    out.single = make_template(reader.raw("single"), reader.raw("special_tokens"), reader.where());
    out.pair = make_template(reader.raw("pair"), reader.raw("special_tokens"), reader.where());
  } else {
    fail(ErrorKind::kFormat, "[{}] post_processor of type {} is not supported", where, type);
  }
}

}  // namespace

PostProcessor make_post_processor(const Json& spec, const std::string& where) {
  PostProcessor out;
  if (!spec.is_null()) apply(spec, where, out);
  return out;
}

}  // namespace morex::text
