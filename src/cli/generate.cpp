// morex generate: continues a prompt or conversations.
#include "eval/generate.h"

#include <fmt/core.h>

#include <memory>

#include "base/error.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "data/prompt_format.h"
#include "io/jsonl.h"
#include "text/chat_template.h"

namespace morex::cli {

namespace {

struct GenerateOptions {
  ModelArguments model;
  std::string prompt, chat_file, system;
  bool prompt_given = false, apply_chat_template = false, json = false;
  eval::GenerationOptions sampling;
};

OrderedJson message(const std::string& role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

// The conversations of a JSON Lines file, each checked to end where an answer belongs.
std::vector<OrderedJson> read_conversations(const std::string& path) {
  std::vector<OrderedJson> conversations;
  io::JsonlReader reader(path);
  for (Json row; reader.next(row);) {
    const std::string where = fmt::format("{}:{}", path, reader.line_number());
    MOREX_CHECK(row.contains("messages") && row["messages"].is_array() && !row["messages"].empty(), ErrorKind::kData,
                "{}: needs \"messages\", a list of {{\"role\", \"content\"}}", where);
    for (const Json& turn : row["messages"]) {
      MOREX_CHECK(turn.is_object() && turn.contains("role") && turn["role"].is_string(), ErrorKind::kData,
                  "{}: every message needs a \"role\"", where);
    }
    MOREX_CHECK(row["messages"].back()["role"] != "assistant", ErrorKind::kData,
                "{}: the last message must not be the assistant's, it is what is generated", where);
    conversations.push_back(OrderedJson::parse(row["messages"].dump()));
  }
  MOREX_CHECK(!conversations.empty(), ErrorKind::kData, "{}: must hold at least one conversation", path);
  return conversations;
}

class PromptBuilder {
 public:
  explicit PromptBuilder(const text::Tokenizer& tokenizer, const std::string& system)
      : tokenizer_(tokenizer), system_(system) {}

  std::vector<int64_t> plain(const std::string& text) const { return tokenizer_.encode(text, true); }

  std::vector<int64_t> chat(OrderedJson messages) const {
    MOREX_CHECK(!tokenizer_.chat_template().empty(), ErrorKind::kFormat,
                "the model's tokenizer must bring a chat template for conversations, it has none. Hint: --prompt alone "
                "continues plain text");
    if (!system_.empty() && messages.front()["role"] != "system") {
      messages.insert(messages.begin(), message("system", system_));
    }
    const text::ChatTemplate chat_template(tokenizer_.chat_template(), tokenizer_.special_tokens());
    return tokenizer_.encode(chat_template.render(messages, /*add_generation_prompt=*/true).text, false);
  }

 private:
  const text::Tokenizer& tokenizer_;
  std::string system_;
};

std::vector<nn::Prompt> build_prompts(const GenerateOptions& options, const text::Tokenizer& tokenizer) {
  const PromptBuilder build(tokenizer, options.system);
  SequenceFacts facts;
  facts.task = options.model.task;
  if (options.chat_file.empty()) {
    const bool as_chat = options.apply_chat_template || !options.system.empty();
    facts.question = options.prompt;
    return {nn::Prompt(
        as_chat ? build.chat(OrderedJson::array({message("user", options.prompt)})) : build.plain(options.prompt),
        facts)};
  }
  std::vector<nn::Prompt> prompts;
  for (const OrderedJson& conversation : read_conversations(options.chat_file)) {
    facts.question = data::user_text(conversation);
    facts.row = static_cast<int64_t>(prompts.size());
    prompts.emplace_back(build.chat(conversation), facts);
  }
  return prompts;
}

void write_stream(const std::string& text) {
  fmt::print("{}", text);
  std::fflush(stdout);
}

void run(const GenerateOptions& options, const Globals& globals) {
  MOREX_CHECK(options.model.embeddings.empty() || !options.chat_file.empty(), ErrorKind::kConfig,
              "--embeddings goes with --chat, whose rows they belong to");
  Warnings warnings = globals.make_warnings();
  ModelArguments model = options.model;
  model.embeddings_data = options.chat_file;
  const LoadedModel loaded = load(model, globals.threads, warnings);
  for (const nn::Prompt& prompt : build_prompts(options, *loaded.tokenizer)) {
    MOREX_CHECK(!prompt.ids.empty(), ErrorKind::kData, "the prompt must hold at least one token");
    const auto stream = options.json ? std::function<void(const std::string&)>() : write_stream;
    const eval::Generated result =
        eval::generate(*loaded.model, loaded.tokenizer.get(), prompt, options.sampling, stream);
    if (options.json) {
      const OrderedJson line = {{"text", result.text},
                                {"finish", result.finish},
                                {"prompt_ids", prompt.ids},
                                {"ids", result.ids},
                                {"log_probs", result.log_probs}};
      fmt::print("{}\n", line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace));
    } else {
      fmt::print("\n");
    }
    std::fflush(stdout);
  }
}

void add_sampling_options(Command command, eval::GenerationOptions& sampling) {
  command.option("--max-new-tokens", sampling.max_new_tokens, "Tokens to generate at most")
      .range(1, 1 << 24)
      .show_default();
  command.option("--temperature", sampling.temperature, "0: greedy").range(0.0, 100.0).show_default();
  command.option("--top-k", sampling.top_k, "Sample among the k likeliest tokens only (0: all)").range(0, 1 << 24);
  command.option("--top-p", sampling.top_p, "Sample among the likeliest tokens that hold this probability")
      .range(0.0, 1.0);
  command.option("--repetition-penalty", sampling.repetition_penalty, "Above 1: tokens seen before become unlikelier")
      .range(0.01, 100.0);
  command.option("--seed", sampling.seed, "Of the draws").show_default();
  command.option("--stop", sampling.stop_strings, "End at this text; may be given more than once").one_value_each();
}

}  // namespace

void add_generate(Command program, Globals& globals) {
  const auto options = std::make_shared<GenerateOptions>();
  Command command = program.subcommand("generate", "Continue a prompt or conversations");
  add_model_options(command, options->model);
  add_prompt_options(command, options->model);
  Command input = command.option_group("input");
  const Option prompt = input.option("--prompt", options->prompt, "Text to continue");
  const Option chat =
      input.option("--chat", options->chat_file, "JSON Lines, one {\"messages\": […]} each: answer every one");
  input.require_one_option();
  command.option("--system", options->system, "System message of conversations that have none");
  command
      .flag("--apply-chat-template", options->apply_chat_template,
            "Put --prompt into the chat template as a user's turn")
      .needs(prompt)
      .excludes(chat);
  add_sampling_options(command, options->sampling);
  command.flag("--json", options->json, "One JSON object per answer, with ids and log-probabilities");
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
