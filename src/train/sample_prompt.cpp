#include "train/sample_prompt.h"

#include "data/prompt_format.h"
#include "io/jsonl.h"
#include "text/chat_template.h"

namespace morex::train {

std::vector<int64_t> encode_sample_prompt(const std::string& prompt, const std::filesystem::path& train_file,
                                          const data::DatasetOptions& options, const text::Tokenizer& tokenizer) {
  io::JsonlReader reader(train_file);
  Json row = Json::object();
  reader.next(row);
  switch (data::choose_format(options.format, row, train_file.string())) {
    case data::Format::kAlpaca:
      return tokenizer.encode(data::read_alpaca({{"instruction", prompt}, {"output", ""}}, "sample_prompts").prompt,
                              true);
    case data::Format::kMessages: {
      const text::ChatTemplate chat_template(tokenizer.chat_template(), tokenizer.special_tokens());
      const OrderedJson messages = OrderedJson::array({{{"role", "user"}, {"content", prompt}}});
      return tokenizer.encode(chat_template.render(messages, true).text, false);
    }
    case data::Format::kCompletion:
    case data::Format::kText:
      break;
  }
  return tokenizer.encode(prompt, true);
}

}  // namespace morex::train
