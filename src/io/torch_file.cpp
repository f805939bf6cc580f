#include "io/torch_file.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "base/error.h"
#include "io/pickle.h"
#include "io/text_check.h"
#include "io/zip_archive.h"

namespace morex::io {
namespace {

using Entries = std::map<std::string, std::span<const std::byte>>;
using Kind = PickleValue::Kind;

constexpr size_t kLargestPickle = size_t{16} << 20;  // of 100,000 tensors
constexpr const char* kHint =
    "Hint: python -c \"import torch, safetensors.torch as s; s.save_file(torch.load('adapter_model.bin', "
    "weights_only=True), 'adapter_model.safetensors')\"";

constexpr const char* kTensorCall = "torch._utils._rebuild_tensor_v2";
constexpr const char* kParameterCall = "torch._utils._rebuild_parameter";
constexpr const char* kOrderedCall = "collections.OrderedDict";

struct Storage {
  const char* name;
  DType dtype;
};
constexpr Storage kStorages[] = {
    {"torch.FloatStorage", DType::kF32},     {"torch.DoubleStorage", DType::kF64}, {"torch.HalfStorage", DType::kF16},
    {"torch.BFloat16Storage", DType::kBF16}, {"torch.LongStorage", DType::kI64},   {"torch.IntStorage", DType::kI32},
    {"torch.ShortStorage", DType::kI16},     {"torch.CharStorage", DType::kI8},    {"torch.ByteStorage", DType::kU8},
    {"torch.BoolStorage", DType::kBool},
};

std::set<std::string> known_names() {
  std::set<std::string> names = {kTensorCall, kParameterCall, kOrderedCall};
  for (const Storage& storage : kStorages) names.insert(storage.name);
  return names;
}

class TorchFile {
 public:
  explicit TorchFile(const std::filesystem::path& path) : file_(MappedFile::open(path)), where_(path.string()) {
    const std::span<const std::byte> bytes = file_->bytes();
    MOREX_CHECK(bytes.size() < 2 || bytes[0] != std::byte{0x80}, ErrorKind::kFormat,
                "[{}] is in torch's format of before 1.6, which is not read. {}", where_, kHint);
    entries_ = zip_entries(file_);
    static const std::string kPickle = "/data.pkl";
    for (const auto& [name, content] : entries_)
      if (name.ends_with(kPickle)) root_ = name.substr(0, name.size() - kPickle.size());
    MOREX_CHECK(!root_.empty(), ErrorKind::kFormat, "[{}] must hold a data.pkl, as torch.save writes it", where_);
    if (const auto order = entries_.find(root_ + "/byteorder"); order != entries_.end())
      MOREX_CHECK(
          std::string_view(reinterpret_cast<const char*>(order->second.data()), order->second.size()) == "little",
          ErrorKind::kFormat, "[{}] its numbers must be little-endian", where_);
  }

  std::vector<StoredTensor> tensors() const {
    const std::span<const std::byte> bytes = entries_.at(root_ + "/data.pkl");
    MOREX_CHECK(bytes.size() <= kLargestPickle, ErrorKind::kFormat,
                "[{}] data.pkl must be no larger than {} bytes, it has {}", where_, kLargestPickle, bytes.size());
    const Pickle pickle(bytes, known_names(), where_);
    const PickleValue& top = pickle.top();
    const bool ordered = top.kind == Kind::kCall && top.text == kOrderedCall && top.arguments == 0;
    MOREX_CHECK(ordered || top.kind == Kind::kDictionary, ErrorKind::kFormat,
                "[{}] must hold a dictionary from names to tensors. {}", where_, kHint);
    std::vector<StoredTensor> tensors;
    std::set<std::string> names;
    for (size_t i = 0; i + 1 < top.items.size(); i += 2) {
      const PickleValue& name = *top.items[i];
      MOREX_CHECK(name.kind == Kind::kText, ErrorKind::kFormat, "[{}] the names of tensors must be text", where_);
      MOREX_CHECK(names.insert(name.text).second, ErrorKind::kFormat, "[{}] {} is there twice", where_,
                  printable(name.text));
      tensors.push_back(tensor(name.text, top.items[i + 1]));
    }
    return tensors;
  }

 private:
  [[noreturn]] void refuse(const std::string& name, const char* what) const {
    fail(ErrorKind::kFormat, "[{}] {} {}. {}", where_, printable(name), what, kHint);
  }

  static bool is_call(const PickleValue& value, const char* name, size_t arguments) {
    return value.kind == Kind::kCall && value.text == name && value.arguments >= arguments;
  }

  static std::optional<std::vector<int64_t>> numbers(const PickleValue& tuple) {
    if (tuple.kind != Kind::kTuple) return {};
    std::vector<int64_t> list;
    for (const PickleValue* item : tuple.items) {
      if (item->kind != Kind::kNumber || item->number < 0) return {};
      list.push_back(item->number);
    }
    return list;
  }

  // The bytes of a whole storage and their type.
  std::pair<DType, std::span<const std::byte>> storage(const std::string& name, const PickleValue& value) const {
    if (value.kind != Kind::kPersistent || value.items[0]->kind != Kind::kTuple) refuse(name, "has no storage");
    const std::vector<const PickleValue*>& parts = value.items[0]->items;
    const bool as_written = parts.size() == 5 && parts[0]->kind == Kind::kText && parts[0]->text == "storage" &&
                            parts[1]->kind == Kind::kName && parts[2]->kind == Kind::kText &&
                            parts[4]->kind == Kind::kNumber;
    if (!as_written) refuse(name, "has no storage");
    const auto* type = std::find_if(std::begin(kStorages), std::end(kStorages),
                                    [&](const Storage& each) { return each.name == parts[1]->text; });
    const auto found = entries_.find(root_ + "/data/" + parts[2]->text);
    if (type == std::end(kStorages) || found == entries_.end()) refuse(name, "has no storage");
    const auto size = static_cast<uint64_t>(element_size(type->dtype));
    if (parts[4]->number < 0 || found->second.size() % size != 0 ||
        found->second.size() / size != static_cast<uint64_t>(parts[4]->number))
      refuse(name, "has a storage of another size than it says");
    return {type->dtype, found->second};
  }

  StoredTensor tensor(const std::string& name, const PickleValue* value) const {
    if (is_call(*value, kParameterCall, 1)) value = value->items[0];
    if (!is_call(*value, kTensorCall, 4)) refuse(name, "is no plain tensor");
    const auto [dtype, bytes] = storage(name, *value->items[0]);
    const auto shape = numbers(*value->items[2]), strides = numbers(*value->items[3]);
    const PickleValue& offset = *value->items[1];
    if (!shape || !strides || shape->size() != strides->size() || offset.kind != Kind::kNumber || offset.number < 0)
      refuse(name, "is no plain tensor");
    const uint64_t stored = bytes.size() / static_cast<uint64_t>(element_size(dtype));
    const bool empty = std::find(shape->begin(), shape->end(), 0) != shape->end();
    uint64_t elements = empty ? 0 : 1;
    for (size_t d = shape->size(); d > 0 && !empty; --d) {
      const auto extent = static_cast<uint64_t>((*shape)[d - 1]);
      if (extent > 1 && static_cast<uint64_t>((*strides)[d - 1]) != elements)
        refuse(name, "is a view with holes or of another order");
      if (elements > stored / extent) refuse(name, "has a shape beyond its storage");
      elements *= extent;
    }
    if (static_cast<uint64_t>(offset.number) > stored || elements > stored - static_cast<uint64_t>(offset.number))
      refuse(name, "has a shape beyond its storage");
    const auto size = static_cast<uint64_t>(element_size(dtype));
    return {name, dtype, *shape, bytes.subspan(static_cast<uint64_t>(offset.number) * size, elements * size), file_};
  }

  std::shared_ptr<const MappedFile> file_;
  std::string where_, root_;
  Entries entries_;
};

}  // namespace

std::vector<StoredTensor> read_torch_file(const std::filesystem::path& path) { return TorchFile(path).tensors(); }

}  // namespace morex::io
