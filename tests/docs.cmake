# The example of docs/add_a_method.md, taken out of the page, compiled and run.
file(READ ${CMAKE_SOURCE_DIR}/docs/add_a_method.md page)
string(REGEX MATCH "```cpp\n(.*)\n```\n\nand its line" block "${page}")
if(NOT block)
  message(FATAL_ERROR "docs/add_a_method.md holds no C++ example")
endif()
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/add_a_method_example.cpp CONTENT "${CMAKE_MATCH_1}\n" @ONLY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/add_a_method.md)
morex_add_test(NAME add_a_method_test LABEL unit TORCH LINK morex_adapters
  SOURCES unit/docs/add_a_method_test.cpp ${CMAKE_CURRENT_BINARY_DIR}/add_a_method_example.cpp)
