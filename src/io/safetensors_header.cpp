#include "io/safetensors_header.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "io/text_check.h"

namespace morex::io {
namespace {

constexpr std::string_view kMetadata = "__metadata__";

// Receives the parser's events and follows the four levels that the format has; anything else is refused at once.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderHandler(const std::string& where) : where_(where) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    if (state_ == State::kStart) {
      state_ = State::kTop;
    } else if (state_ == State::kTopValue && key_ == kMetadata) {
      state_ = State::kMetadata;
    } else if (state_ == State::kTopValue) {
      state_ = State::kTensor;
      tensor_ = HeaderTensor{};
      tensor_.name = key_;
      offsets_.clear();
      fields_.clear();
    } else {
      refuse("an object");
    }
    return true;
  }

  bool key(string_t& text) override {
    switch (state_) {
      case State::kTop:
        key_ = text;
        MOREX_CHECK(names_.insert(text).second, ErrorKind::kFormat,
                    "[{}] the header must name each tensor once, but {} is there twice", where_, printable(text));
        state_ = State::kTopValue;
        break;
      case State::kMetadata:
        field_ = text;
        MOREX_CHECK(!header_.metadata.contains(text), ErrorKind::kFormat,
                    "[{}] the header's __metadata__ must hold each key once, but {} is there twice", where_,
                    printable(text));
        state_ = State::kMetadataValue;
        break;
      case State::kTensor:
        field_ = text;
        MOREX_CHECK(text == "dtype" || text == "shape" || text == "data_offsets", ErrorKind::kFormat,
                    "[{}] tensor {}: the header knows dtype, shape and data_offsets, got '{}'", where_, shown_tensor(),
                    printable(text));
        MOREX_CHECK(fields_.insert(text).second, ErrorKind::kFormat,
                    "[{}] tensor {}: the header must hold {} once, it is there twice", where_, shown_tensor(), text);
        state_ = State::kField;
        break;
      default:
        refuse("a key");
    }
    return true;
  }

  bool string(string_t& text) override {
    if (state_ == State::kMetadataValue) {
      header_.metadata.emplace(field_, text);
      state_ = State::kMetadata;
    } else if (state_ == State::kField && field_ == "dtype") {
      const std::optional<DType> dtype = dtype_from_name(text);
      MOREX_CHECK(dtype.has_value(), ErrorKind::kFormat,
                  "[{}] tensor {}: dtype {} is not supported. Hint: F64, F32, F16, BF16, integers and BOOL are.",
                  where_, shown_tensor(), printable(text));
      tensor_.dtype = *dtype;
      state_ = State::kTensor;
    } else {
      refuse("a string");
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ != State::kField || field_ == "dtype") refuse("a list");
    state_ = State::kNumbers;
    return true;
  }

  bool number_unsigned(number_unsigned_t number) override {
    if (state_ != State::kNumbers) refuse("a number");
    if (field_ == "shape") {
      MOREX_CHECK(number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()), ErrorKind::kFormat,
                  "[{}] tensor {}: a dimension must fit 63 bits, got {}", where_, shown_tensor(), number);
      tensor_.shape.push_back(static_cast<int64_t>(number));
    } else {
      MOREX_CHECK(offsets_.size() < 2, ErrorKind::kFormat, "[{}] tensor {}: data_offsets must be two numbers, got more",
                  where_, shown_tensor());
      offsets_.push_back(number);
    }
    return true;
  }

  bool end_array() override {
    state_ = State::kTensor;
    return true;
  }

  bool end_object() override {
    if (state_ == State::kTensor) {
      for (const char* field : {"dtype", "shape", "data_offsets"})
        MOREX_CHECK(fields_.contains(field), ErrorKind::kFormat, "[{}] tensor {}: the header holds no {}", where_,
                    shown_tensor(), field);
      MOREX_CHECK(offsets_.size() == 2, ErrorKind::kFormat, "[{}] tensor {}: data_offsets must be two numbers, got {}",
                  where_, shown_tensor(), offsets_.size());
      tensor_.begin = offsets_[0];
      tensor_.end = offsets_[1];
      header_.tensors.push_back(std::move(tensor_));
    }
    state_ = state_ == State::kTop ? State::kEnd : State::kTop;
    return true;
  }

  bool null() override { refuse("null"); }
  bool boolean(bool) override { refuse("a boolean"); }
  bool number_integer(number_integer_t) override { refuse("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { refuse("a fraction or a number beyond 64 bits"); }
  bool binary(binary_t&) override { refuse("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    fail(ErrorKind::kFormat, "[{}] the header must be JSON in UTF-8, it is not from byte {} on", where_, position);
  }

 private:
  enum class State { kStart, kTop, kTopValue, kMetadata, kMetadataValue, kTensor, kField, kNumbers, kEnd };

  std::string shown_tensor() const { return printable(tensor_.name); }

  [[noreturn]] void refuse(const char* got) const {
    switch (state_) {
      case State::kStart:
        fail(ErrorKind::kFormat, "[{}] the header must be one JSON object, got {}", where_, got);
      case State::kTopValue:
        fail(ErrorKind::kFormat, "[{}] the header's entry {} must be an object, got {}", where_, printable(key_), got);
      case State::kMetadataValue:
        fail(ErrorKind::kFormat, "[{}] the header's __metadata__.{} must be a string, got {}", where_,
             printable(field_), got);
      case State::kField:
      case State::kNumbers:
        fail(ErrorKind::kFormat, "[{}] tensor {}: {} in the header must be {}, got {}", where_, shown_tensor(),
             printable(field_), field_ == "dtype" ? "a string" : "a list of non-negative integers", got);
      default:
        fail(ErrorKind::kFormat, "[{}] the header must not hold {} here", where_, got);
    }
  }

  const std::string& where_;
  State state_ = State::kStart;
  std::string key_, field_;
  std::set<std::string, std::less<>> names_, fields_;
  std::vector<uint64_t> offsets_;
  HeaderTensor tensor_;
  SafetensorsHeader header_;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& where) {
  HeaderHandler handler(where);
  nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
  return handler.take();
}

}  // namespace morex::io
