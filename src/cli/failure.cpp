#include "cli/failure.h"

#include <c10/util/Exception.h>

#include <new>

#include "base/error.h"
#include "base/json.h"

namespace morex::cli {

namespace {

bool is_out_of_memory(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  const std::string text = error.what_without_backtrace();
  return text.find("DefaultCPUAllocator") != std::string::npos || text.find("not enough memory") != std::string::npos;
}

}  // namespace

std::string single_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (c == '\n' || c == '\r' || c == '\t') {
      if (!line.empty() && line.back() != ' ') line += ' ';
    } else {
      line += control ? '?' : c;
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  // The JSON writer knows how to replace what is no UTF-8; reading its output back undoes the escapes.
  return Json::parse(Json(line).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

Failure describe_current_exception() {
  const int memory = static_cast<int>(ErrorKind::kMemory);
  const int run = static_cast<int>(ErrorKind::kRun);
  try {
    throw;
  } catch (const Error& error) {
    return {error.exit_code(), single_line(error.what()), ""};
  } catch (const std::bad_alloc&) {
    return {memory, "out of memory. Hint: a smaller batch, shorter sequences or dtype bfloat16 need less", ""};
  } catch (const c10::Error& error) {
    const std::string text = single_line(error.what_without_backtrace());
    if (!is_out_of_memory(error)) return {run, "LibTorch: " + text, error.what()};
    return {memory, "out of memory: " + text + ". Hint: a smaller batch, shorter sequences or dtype bfloat16 need less",
            error.what()};
  } catch (const std::exception& error) {
    return {run, single_line(error.what()), ""};
  } catch (...) {
    return {run, "an exception of unknown type", ""};
  }
}

}  // namespace morex::cli
