#include "io/jsonl.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/files.h"
#include "base/strings.h"
#include "io/text_check.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

JsonlReader::JsonlReader(fs::path path) : path_(std::move(path)) {
  std::error_code error;
  MOREX_CHECK(fs::exists(path_, error), ErrorKind::kData, "[{}] does not exist", path_.string());
  MOREX_CHECK(!fs::is_directory(path_, error), ErrorKind::kData, "[{}] must be a JSONL file, got a folder",
              path_.string());
  in_.open(path_, std::ios::binary);
  MOREX_CHECK(in_.is_open(), ErrorKind::kData, "[{}] cannot be opened: {}", path_.string(), std::strerror(errno));
}

bool JsonlReader::next(Json& object) {
  std::string line;
  while (std::getline(in_, line)) {
    ++line_;
    std::string_view text = line;
    if (line_ == 1 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    text = trim(text);
    if (text.empty()) continue;
    const std::string where = fmt::format("{}:{}", path_.string(), line_);
    MOREX_CHECK(is_utf8(text), ErrorKind::kData, "[{}] must be UTF-8, it is not. Hint: save the file as UTF-8.", where);
    object = parse_json(text, where, ErrorKind::kData);
    MOREX_CHECK(object.is_object(), ErrorKind::kData,
                "[{}] must be a JSON object, got {}. Hint: JSONL has one {{…}} a line.", where, object.type_name());
    return true;
  }
  MOREX_CHECK(!in_.bad(), ErrorKind::kData, "[{}] cannot be read after line {}", path_.string(), line_);
  return false;
}

JsonlAppender::JsonlAppender(fs::path path, const std::function<bool(const Json&)>& keep_while)
    : path_(std::move(path)) {
  if (fs::exists(path_)) {
    const std::string text = read_text_file(path_, ErrorKind::kRun);
    size_t kept = 0;
    for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', kept)) {
      const std::string_view line(text.data() + kept, end - kept);
      const Json object = Json::parse(line.begin(), line.end(), nullptr, false);
      if (object.is_discarded() && end + 1 == text.size()) break;  // torn, with a line end
      MOREX_CHECK(object.is_object(), ErrorKind::kRun,
                  "[{}:{}] must be a JSON object. Hint: move the file away or repair the line.", path_.string(),
                  1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(kept), '\n'));
      if (!keep_while(object)) break;
      kept = end + 1;
    }
    std::error_code error;
    if (kept < text.size()) fs::resize_file(path_, kept, error);
    MOREX_CHECK(!error, ErrorKind::kRun, "[{}] cannot be cut to its whole lines: {}", path_.string(), error.message());
  }
  out_.open(path_, std::ios::binary | std::ios::app);
  MOREX_CHECK(out_.is_open(), ErrorKind::kRun, "[{}] cannot be written: {}", path_.string(), std::strerror(errno));
}

void JsonlAppender::append(const Json& object) {
  out_ << object.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  out_.flush();
  MOREX_CHECK(out_.good(), ErrorKind::kRun, "[{}] cannot be written: {}", path_.string(), std::strerror(errno));
}

}  // namespace morex::io
