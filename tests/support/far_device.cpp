#include "support/far_device.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace morex::test {
namespace {

const c10::Device kFar(c10::kPrivateUse1, 0);
// Bit 62 makes an address that no x86-64 processor accepts; offsets within a tensor keep their meaning.
constexpr uintptr_t kTag = uintptr_t{1} << 62;

void* far_address(const void* near) {
  return near == nullptr ? nullptr : reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(near) | kTag);
}
void* near_address(const void* far) { return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(far) & ~kTag); }

class FarAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = bytes == 0 ? nullptr : c10::alloc_cpu(bytes);
    return {far_address(memory), memory, c10::free_cpu, kFar};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(near_address(to), near_address(from), bytes);
  }
};

FarAllocator& allocator() {
  static FarAllocator one;
  return one;
}

bool is_far(const at::Tensor& t) { return t.defined() && t.device().type() == c10::kPrivateUse1; }

// A tensor of the other device over the same memory, which it keeps alive.
at::Tensor over_same_memory(const at::Tensor& t, void* data, c10::Device device, c10::Allocator* from,
                            c10::DispatchKey key) {
  const auto release = [](void* owner) { delete static_cast<c10::Storage*>(owner); };
  c10::DataPtr pointer(data, new c10::Storage(t.storage()), release, device);
  c10::Storage storage(c10::Storage::use_byte_size_t(), t.storage().nbytes(), std::move(pointer), from, true);
  at::Tensor made = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), t.dtype());
  made.unsafeGetTensorImpl()->set_sizes_and_strides(t.sizes(), t.strides(), t.storage_offset());
  return made;
}

at::Tensor on_host(const at::Tensor& t) {
  if (!is_far(t)) return t;
  return over_same_memory(t, near_address(t.storage().data()), c10::kCPU, c10::GetCPUAllocator(),
                          c10::DispatchKey::CPU);
}

at::Tensor sent_far(const at::Tensor& t) {
  if (!t.defined()) return t;
  return over_same_memory(t, far_address(t.storage().data()), kFar, &allocator(), c10::DispatchKey::PrivateUse1);
}

// One call of an operation: its tensors on the CPU, and what must be done when it is back.
class Call {
 public:
  explicit Call(const c10::OperatorHandle& op) : op_(op) {}

  c10::IValue argument(const c10::IValue& given) {
    if (given.isTensor()) return taken(given.toTensor());
    if (given.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : given.toTensorList()) list.push_back(taken(t));
      return list;
    }
    if (given.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const std::optional<at::Tensor>& t : given.toOptionalTensorVector())
        list.push_back(t ? std::optional(taken(*t)) : t);
      return list;
    }
    return given.isDevice() ? c10::IValue(c10::Device(c10::kCPU)) : given;
  }

  // Tensors that the operation has resized get their new memory.
  void finish() {
    for (const auto& [far, host] : taken_) {
      const bool moved = host.storage().data() != near_address(far.storage().data());
      if (!moved && far.sizes() == host.sizes() && far.strides() == host.strides()) continue;
      c10::TensorImpl* impl = far.unsafeGetTensorImpl();
      if (moved) impl->set_storage_keep_dtype(sent_far(host).storage());
      impl->set_sizes_and_strides(host.sizes(), host.strides(), host.storage_offset());
    }
  }

 private:
  at::Tensor taken(const at::Tensor& t) {
    // As on a GPU, a number may stay on the CPU.
    TORCH_CHECK(!t.defined() || is_far(t) || (t.is_cpu() && t.dim() == 0), op_.schema().name(), ": a tensor of shape ",
                t.defined() ? t.sizes() : at::IntArrayRef(), " is on the CPU, others are not");
    if (!is_far(t)) return t;
    taken_.emplace_back(t, on_host(t));
    return taken_.back().second;
  }

  const c10::OperatorHandle& op_;
  std::vector<std::pair<at::Tensor, at::Tensor>> taken_;
};

// What is not registered below runs on the CPU.
void run_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  const size_t count = schema.arguments().size(), begin = stack->size() - count;
  const std::vector<c10::IValue> given(stack->begin() + static_cast<std::ptrdiff_t>(begin), stack->end());
  Call call(op);
  for (size_t i = 0; i < count; ++i) (*stack)[begin + i] = call.argument(given[i]);
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  call.finish();
  const size_t results = schema.returns().size(), first = stack->size() - results;
  for (size_t i = 0; i < results; ++i) {
    c10::IValue& result = (*stack)[first + i];
    const c10::AliasInfo* alias = schema.returns()[i].alias_info();
    if (alias != nullptr) {
      TORCH_CHECK(alias->isWrite(), schema.name(), ": views of the far device must be registered");
      for (size_t a = 0; a < count; ++a)
        if (const auto* other = schema.arguments()[a].alias_info(); other != nullptr && *other == *alias)
          result = given[a];
    } else if (result.isTensor()) {
      result = sent_far(result.toTensor());
    } else if (result.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : result.toTensorList()) list.push_back(sent_far(t));
      result = list;
    }
  }
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(
      size, stride, &allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(dtype));
}

at::Tensor& copy_(at::Tensor& to, const at::Tensor& from, bool) {
  const at::AutoDispatchBelowADInplaceOrView guard;
  on_host(to).copy_(on_host(from));
  return to;
}

// One device, number 0, and one stream.
struct FarGuard : c10::impl::NoOpDeviceGuardImpl<c10::kPrivateUse1> {
  c10::Device exchangeDevice(c10::Device) const override { return kFar; }
  c10::Device getDevice() const override { return kFar; }
  c10::Stream getStream(c10::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, kFar); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, kFar); }
};

struct FarHooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  at::Device getDeviceFromPtr(void*) const override { return kFar; }
};

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", TORCH_FN(empty));
  library.impl("empty_strided", TORCH_FN(empty_strided));
  library.impl("copy_", TORCH_FN(copy_));
  library.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  library.impl("view", TORCH_FN(at::native::view));
  library.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  library.impl("unfold", TORCH_FN(at::native::unfold));
}

// LibTorch counts the devices when it first differentiates, so it learns of this one before main().
bool set_up() {
  const char* wanted = std::getenv("MOREX_DEVICE");
  if (wanted == nullptr || std::string_view(wanted) != "far") return false;
  static FarHooks hooks;
  c10::register_privateuse1_backend("far");
  at::RegisterPrivateUse1HooksInterface(&hooks);
  static const c10::impl::DeviceGuardImplRegistrar guard(c10::kPrivateUse1, new FarGuard);
  return true;
}
const bool ready = set_up();

}  // namespace

at::Device far_device() {
  TORCH_CHECK(ready, "the far device is there where the program starts with MOREX_DEVICE=far");
  return kFar;
}

}  // namespace morex::test
