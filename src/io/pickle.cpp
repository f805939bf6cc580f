#include "io/pickle.h"

#include <cstring>
#include <map>

#include "base/error.h"
#include "io/text_check.h"

namespace morex::io {

// The stack machine. Values are owned by the Pickle and refer to each other, never the other way round: a dictionary
// that holds itself is odd and harmless.
class PickleReader {
 public:
  PickleReader(std::span<const std::byte> bytes, const std::set<std::string>& names, std::string where, Pickle& pickle)
      : bytes_(bytes), names_(names), where_(std::move(where)), pickle_(pickle) {}

  void run() {
    check(next() == 0x80 && next() == 2, "must be of protocol 2");
    for (;;) {
      const auto code = static_cast<unsigned char>(next());
      if (code == '.') break;
      step(code);
    }
    check(stack_.size() == 1 && stack_[0] != nullptr, "must leave one value");
    pickle_.top_ = stack_[0];
  }

 private:
  using Kind = PickleValue::Kind;

  void check(bool holds, const char* what) const {
    MOREX_CHECK(holds, ErrorKind::kFormat, "[{}] the pickle {} (byte {})", where_, what, place_);
  }
  std::span<const std::byte> take(size_t size) {
    check(size <= bytes_.size() - place_, "ends in the middle");
    place_ += size;
    return bytes_.subspan(place_ - size, size);
  }
  int next() { return static_cast<int>(take(1)[0]); }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string text(size_t size) {
    const std::span<const std::byte> raw = take(size);
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }
  std::string line() {
    std::string read;
    for (char c = static_cast<char>(next()); c != '\n'; c = static_cast<char>(next())) read += c;
    return read;
  }

  PickleValue* push(Kind kind) {
    pickle_.values_.push_back({kind, 0, {}, {}, 0});
    stack_.push_back(&pickle_.values_.back());
    return stack_.back();
  }
  // The topmost value, which is no mark.
  PickleValue* pop() {
    check(!stack_.empty() && stack_.back() != nullptr, "takes a value that is not there");
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue* peek() {
    PickleValue* value = pop();
    stack_.push_back(value);
    return value;
  }
  std::vector<const PickleValue*> pop_to_mark() {
    size_t begin = stack_.size();
    while (begin > 0 && stack_[begin - 1] != nullptr) --begin;
    check(begin > 0, "takes a mark that is not there");
    std::vector<const PickleValue*> items(stack_.begin() + static_cast<std::ptrdiff_t>(begin), stack_.end());
    stack_.resize(begin - 1);
    return items;
  }
  void push_tuple(std::vector<const PickleValue*> items) { push(Kind::kTuple)->items = std::move(items); }
  void push_tuple(size_t count) {
    std::vector<const PickleValue*> items(count);
    for (size_t i = count; i > 0; --i) items[i - 1] = pop();
    push_tuple(std::move(items));
  }
  void push_number(Kind kind, int64_t value) { push(kind)->number = value; }

  // A whole number in two's complement of up to eight bytes.
  void push_long(size_t size) {
    check(size <= 8, "holds a number that is too large");
    uint64_t value = 0;
    const std::span<const std::byte> raw = take(size);
    for (size_t i = 0; i < size; ++i) value |= static_cast<uint64_t>(raw[i]) << (8 * i);
    if (size > 0 && size < 8 && (static_cast<unsigned>(raw[size - 1]) & 0x80) != 0) value |= ~uint64_t{0} << (8 * size);
    push_number(Kind::kNumber, static_cast<int64_t>(value));
  }

  void name() {
    const std::string module = line(), attribute = line(), full = module + "." + attribute;
    MOREX_CHECK(names_.contains(full), ErrorKind::kFormat,
                "[{}] the pickle must hold nothing but tensors, it names {} (byte {}), which is not read", where_,
                printable(full), place_);
    push(Kind::kName)->text = full;
  }

  void call() {
    const PickleValue *arguments = pop(), *callee = pop();
    check(arguments->kind == Kind::kTuple && callee->kind == Kind::kName, "calls what is no name");
    PickleValue* made = push(Kind::kCall);
    made->text = callee->text;
    made->items = arguments->items;
    made->arguments = made->items.size();
  }

  void put_in(const std::vector<const PickleValue*>& items) {
    PickleValue* holder = peek();
    check(holder->kind == Kind::kDictionary || holder->kind == Kind::kCall, "puts items into what holds none");
    check(items.size() % 2 == 0, "puts in a key without a value");
    holder->items.insert(holder->items.end(), items.begin(), items.end());
  }

  void remember(uint64_t key) { memory_[key] = peek(); }
  void recall(uint64_t key) {
    const auto found = memory_.find(key);
    check(found != memory_.end(), "recalls what was never kept");
    stack_.push_back(found->second);
  }

  void step(unsigned char code);

  std::span<const std::byte> bytes_;
  const std::set<std::string>& names_;
  std::string where_;
  Pickle& pickle_;
  size_t place_ = 0;
  std::vector<PickleValue*> stack_;  // null: a mark
  std::map<uint64_t, PickleValue*> memory_;
};

void PickleReader::step(unsigned char code) {
  switch (code) {
    case '(':
      return stack_.push_back(nullptr);
    case 't':
      return push_tuple(pop_to_mark());
    case ')':
      return push_tuple(size_t{0});
    case 0x85:
      return push_tuple(size_t{1});
    case 0x86:
      return push_tuple(size_t{2});
    case 0x87:
      return push_tuple(size_t{3});
    case '}':
      push(Kind::kDictionary);
      return;
    case 'N':
      push(Kind::kNone);
      return;
    case 0x88:
      return push_number(Kind::kBool, 1);
    case 0x89:
      return push_number(Kind::kBool, 0);
    case 'K':
      return push_number(Kind::kNumber, number<uint8_t>());
    case 'M':
      return push_number(Kind::kNumber, number<uint16_t>());
    case 'J':
      return push_number(Kind::kNumber, number<int32_t>());
    case 0x8a:
      return push_long(number<uint8_t>());
    case 'X': {
      const auto size = number<uint32_t>();
      std::string read = text(size);
      check(is_utf8(read), "holds text that is no UTF-8");
      push(Kind::kText)->text = std::move(read);
      return;
    }
    case 'c':
      return name();
    case 'R':
      return call();
    case 'Q': {
      const PickleValue* identity = pop();
      push(Kind::kPersistent)->items = {identity};
      return;
    }
    case 's': {
      const PickleValue *value = pop(), *key = pop();
      return put_in({key, value});
    }
    case 'u':
      return put_in(pop_to_mark());
    case 'b':
      pop();
      peek();
      return;  // an object's further attributes
    case 'q':
      return remember(number<uint8_t>());
    case 'r':
      return remember(number<uint32_t>());
    case 'h':
      return recall(number<uint8_t>());
    case 'j':
      return recall(number<uint32_t>());
    default:
      fail(ErrorKind::kFormat, "[{}] the pickle holds instruction 0x{:02x} (byte {}), which is not read", where_, code,
           place_);
  }
}

Pickle::Pickle(std::span<const std::byte> bytes, const std::set<std::string>& names, std::string where) {
  PickleReader(bytes, names, std::move(where), *this).run();
}

}  // namespace morex::io
