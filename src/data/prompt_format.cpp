#include "data/prompt_format.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/strings.h"
#include "io/text_check.h"

namespace morex::data {
namespace {

struct FormatName {
  const char* name;
  Format format;
  const char* keys;
};
constexpr std::array kFormats = {
    FormatName{"alpaca", Format::kAlpaca, "instruction, output and optionally input"},
    FormatName{"completion", Format::kCompletion, "prompt and completion (or response)"},
    FormatName{"messages", Format::kMessages, "messages, a list of {role, content}"},
    FormatName{"text", Format::kText, "text"},
};

const FormatName& entry(Format format) {
  return *std::find_if(kFormats.begin(), kFormats.end(),
                       [&](const FormatName& candidate) { return candidate.format == format; });
}

std::string keys_of(const Json& row) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : row.items()) keys.push_back(key);
  return io::printable(join(keys, ", "));
}

Format format_by_keys(const Json& row, const std::string& where) {
  if (row.contains("messages")) return Format::kMessages;
  if (row.contains("instruction") && row.contains("output")) return Format::kAlpaca;
  if (row.contains("prompt") && (row.contains("completion") || row.contains("response"))) return Format::kCompletion;
  if (row.contains("text")) return Format::kText;
  const char* hint =
      row.contains("conversations")
          ? "rename conversations to messages, from to role (system, user, assistant) and value to content"
          : "rows have instruction and output, or messages, or prompt and completion, or text";
  fail(ErrorKind::kData, "[{}] the keys must be those of a known format, got {}. Hint: {}.", where, keys_of(row), hint);
}

// The text under `key`, which the format asks for.
std::string required_text(const Json& row, const char* key, Format format, const std::string& where) {
  const auto found = row.find(key);
  MOREX_CHECK(found != row.end(), ErrorKind::kData,
              "[{}] key '{}' is missing, got {}. Hint: rows of format {} have {}.", where, key, keys_of(row),
              entry(format).name, entry(format).keys);
  MOREX_CHECK(found->is_string(), ErrorKind::kData,
              "[{}] key '{}' must be text, got {}. Hint: write it as a JSON string.", where, key, found->type_name());
  return found->get<std::string>();
}

void check_role(const Json& role, size_t index, const std::string& where) {
  static const std::vector<std::string> kRoles = {"system", "developer", "user", "assistant", "tool"};
  const std::string shown = role.is_string() ? io::printable(role.get_ref<const std::string&>()) : role.type_name();
  const bool known =
      role.is_string() && std::find(kRoles.begin(), kRoles.end(), role.get_ref<const std::string&>()) != kRoles.end();
  MOREX_CHECK(known, ErrorKind::kData, "[{}] messages[{}].role must be one of {}, got {}", where, index,
              join(kRoles, ", "), shown);
}

}  // namespace

Format choose_format(const std::string& name, const Json& row, const std::string& where) {
  if (name == "auto") return format_by_keys(row, where);
  std::vector<std::string> names = {"auto"};
  for (const FormatName& candidate : kFormats) {
    if (name == candidate.name) return candidate.format;
    names.emplace_back(candidate.name);
  }
  fail(ErrorKind::kConfig, "[data] the format must be one of {}, got '{}'.{}", join(names, ", "), name,
       did_you_mean(name, names));
}

PromptResponse read_alpaca(const Json& row, const std::string& where) {
  const std::string instruction = required_text(row, "instruction", Format::kAlpaca, where);
  const auto input_at = row.find("input");
  std::string input;
  if (input_at != row.end() && !input_at->is_null()) input = required_text(row, "input", Format::kAlpaca, where);
  PromptResponse result;
  result.question = input.empty() ? instruction : instruction + "\n" + input;
  result.response = required_text(row, "output", Format::kAlpaca, where);
  if (input.empty()) {
    result.prompt = fmt::format(
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n{}\n\n### Response:\n",
        instruction);
  } else {
    result.prompt = fmt::format(
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
        "response that appropriately completes the request.\n\n"
        "### Instruction:\n{}\n\n### Input:\n{}\n\n### Response:\n",
        instruction, input);
  }
  return result;
}

PromptResponse read_completion(const Json& row, const std::string& where) {
  const char* key = !row.contains("completion") && row.contains("response") ? "response" : "completion";
  const std::string prompt = required_text(row, "prompt", Format::kCompletion, where);
  return {prompt, required_text(row, key, Format::kCompletion, where), prompt};
}

std::string read_text(const Json& row, const std::string& where) {
  return required_text(row, "text", Format::kText, where);
}

OrderedJson read_messages(const Json& row, const std::string& where) {
  const auto found = row.find("messages");
  MOREX_CHECK(found != row.end(), ErrorKind::kData,
              "[{}] key 'messages' is missing, got {}. Hint: rows of format messages have {}.", where, keys_of(row),
              entry(Format::kMessages).keys);
  MOREX_CHECK(found->is_array() && !found->empty(), ErrorKind::kData,
              "[{}] key 'messages' must be a list of at least one {{role, content}}, got {}", where,
              found->is_array() ? "an empty list" : found->type_name());
  OrderedJson messages = OrderedJson::array();
  for (size_t i = 0; i < found->size(); ++i) {
    const Json& message = (*found)[i];
    MOREX_CHECK(message.is_object(), ErrorKind::kData, "[{}] messages[{}] must be an object, got {}", where, i,
                message.type_name());
    for (const char* key : {"role", "content"})
      MOREX_CHECK(message.contains(key), ErrorKind::kData, "[{}] messages[{}] must have the key '{}', got {}", where, i,
                  key, keys_of(message));
    check_role(message["role"], i, where);
    MOREX_CHECK(message["content"].is_string(), ErrorKind::kData,
                "[{}] messages[{}].content must be text, got {}. Hint: lists of parts and tool calls are not read.",
                where, i, message["content"].type_name());
    messages.push_back(
        {{"role", message["role"].get<std::string>()}, {"content", message["content"].get<std::string>()}});
  }
  return messages;
}

std::string user_text(const OrderedJson& messages) {
  std::vector<std::string> texts;
  for (const OrderedJson& message : messages) {
    if (message.at("role") != "user") continue;
    const auto content = message.find("content");
    MOREX_CHECK(content != message.end() && content->is_string(), ErrorKind::kData,
                "[messages] the content of a user's turn must be text");
    texts.push_back(content->get<std::string>());
  }
  return join(texts, "\n");
}

std::string read_question(const Json& row, Format format, const std::string& where) {
  switch (format) {
    case Format::kAlpaca:
      return read_alpaca(row, where).question;
    case Format::kCompletion:
      return read_completion(row, where).question;
    case Format::kMessages: {
      OrderedJson messages = read_messages(row, where);
      const auto answer = std::find_if(messages.begin(), messages.end(),
                                       [](const OrderedJson& message) { return message.at("role") == "assistant"; });
      messages.erase(answer, messages.end());
      return user_text(messages);
    }
    case Format::kText:
      break;
  }
  fail(ErrorKind::kData, "[{}] a row must have a prompt, rows of format text have none", where);
}

}  // namespace morex::data
