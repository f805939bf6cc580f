morex_add_test(NAME base_test LABEL unit LINK morex_base
  SOURCES unit/base/random_test.cpp unit/base/files_test.cpp unit/base/json_test.cpp unit/base/strings_test.cpp unit/base/block_arena_test.cpp)
