// What users see of chat templates: spans, variables, errors with lines, limits.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace morex::text {
namespace {

const OrderedJson kMessages =
    OrderedJson::parse(R"([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo "}])");

std::string render(const std::string& source, const OrderedJson& extra = OrderedJson::object()) {
  return ChatTemplate(source, {"<s>", "</s>", "", ""}).render(kMessages, false, extra).text;
}

std::string problem(const std::string& source, ErrorKind kind) {
  try {
    const std::string out = render(source);
    ADD_FAILURE() << "rendered: " << out;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "";
}

TEST(ChatTemplate, Generation_blocks_give_spans) {
  const ChatTemplate chat(
      "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
      "{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}|{% endfor %}",
      {"<s>", "</s>", "", ""});
  const RenderedChat out = chat.render(kMessages, false);
  EXPECT_EQ(out.text, "user: Hi|assistant: Yo </s>|");
  ASSERT_EQ(out.assistant_spans.size(), 1u);
  const auto [begin, end] = out.assistant_spans[0];
  EXPECT_EQ(out.text.substr(begin, end - begin), "Yo </s>");
}

TEST(ChatTemplate, Variables_come_from_everywhere) {
  EXPECT_EQ(render("{{ bos_token }}{{ pad_token is defined }}{{ tools is none }}{{ add_generation_prompt }}"),
            "<s>FalseTrueFalse");
  EXPECT_EQ(render("{{ answer }}{{ tools[0] }}", {{"answer", 42}, {"tools", {"t"}}}), "42t");
}

TEST(ChatTemplate, Continue_final_message_ends_after_its_text) {
  const std::string source = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
  EXPECT_EQ(render(source, {{"continue_final_message", true}}), "[Hi][Yo ");
  EXPECT_EQ(render("{% for m in messages %}[{{ m.content | trim }}]{% endfor %}", {{"continue_final_message", true}}),
            "[Hi][Yo");
  EXPECT_THROW(render("nothing", {{"continue_final_message", true}}), Error);
}

TEST(ChatTemplate, Errors_name_line_and_type) {
  EXPECT_EQ(problem("a\n\n{{ raise_exception('no') }}", ErrorKind::kData), "[chat template, line 3] TemplateError: no");
  EXPECT_EQ(problem("a\n{{ x.y }}", ErrorKind::kData), "[chat template, line 2] UndefinedError: 'x' is undefined");
  EXPECT_NE(problem("\n{% if %}", ErrorKind::kFormat).find("line 2"), std::string::npos);
  EXPECT_NE(problem("{{ 1 | nope }}", ErrorKind::kFormat).find("No filter named 'nope'"), std::string::npos);
  EXPECT_NE(problem("{% import 'a' as b %}", ErrorKind::kFormat).find("UnsupportedTemplate"), std::string::npos);
  EXPECT_NE(problem("{{ 'a' | wordwrap }}", ErrorKind::kFormat).find("UnsupportedTemplate"), std::string::npos);
  EXPECT_NE(problem("{{ 'x", ErrorKind::kFormat).find("TemplateSyntaxError"), std::string::npos);
  EXPECT_NE(problem("{% for x in y %}", ErrorKind::kFormat).find("endfor"), std::string::npos);
  EXPECT_NE(problem("{{ (1 }}", ErrorKind::kFormat).find("TemplateSyntaxError"), std::string::npos);
  EXPECT_NE(problem("{# never closed", ErrorKind::kFormat).find("comment"), std::string::npos);
}

TEST(ChatTemplate, Unknown_filter_in_a_part_that_never_runs_is_no_error) {
  EXPECT_EQ(render("{% if false %}{{ 1 | nope }}{% endif %}ok"), "ok");
}

TEST(ChatTemplate, Runaway_templates_end_with_an_error) {
  EXPECT_NE(problem("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ErrorKind::kData).find("RecursionError"),
            std::string::npos);
  EXPECT_NE(problem("{{ range(10000000) }}", ErrorKind::kData).find("OverflowError"), std::string::npos);
  EXPECT_NE(problem("{{ 'x' * 1000000000000 }}", ErrorKind::kData).find("MemoryError"), std::string::npos);
  problem("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}", ErrorKind::kFormat);
  problem("{{ " + std::string(5000, '-') + "1 }}", ErrorKind::kFormat);
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if 1 %}";
  problem(blocks, ErrorKind::kFormat);
}

TEST(ChatTemplate, Closures_see_their_scope_and_leak_nothing) {
  EXPECT_EQ(render("{% macro f(x) %}{{ x }}{{ y }}{% endmacro %}{% set y = 2 %}{{ f(1) }}"), "12");
  EXPECT_EQ(render("{% for i in [1, 2] %}{% macro g() %}{{ i }}{% endmacro %}{{ g() }}{% endfor %}"), "12");
  EXPECT_EQ(render("{% set ns = namespace() %}{% macro h() %}m{% endmacro %}{% set ns.h = h %}{{ ns.h() }}"), "m");
}

TEST(ChatTemplate, Comparisons_chain_only_without_parentheses) {
  EXPECT_EQ(render("{{ 3 > 2 > 1 }}{{ (3 > 2) > 1 }}"), "TrueFalse");
}

}  // namespace
}  // namespace morex::text
