# Warnings, assertions and sanitizers of our own targets.
add_library(morex_warnings INTERFACE)
# -Wrestrict: GCC 12 reports std::string concatenation falsely (GCC bug 105651).
target_compile_options(morex_warnings INTERFACE -Wall -Wextra -Wno-restrict $<$<BOOL:${MOREX_WERROR}>:-Werror>)
if(MOREX_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(_GLIBCXX_ASSERTIONS MOREX_SANITIZE)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()
