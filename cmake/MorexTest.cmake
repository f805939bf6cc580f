# morex_add_test(NAME text_test LABEL unit SOURCES a.cpp … LINK morex_text … [TORCH] [TIMEOUT s] [NOT_SANITIZED] [FAR])
# NOT_SANITIZED: left out of the sanitizer build, where whole training runs would take too long.
# FAR: once more, as one test, with what it makes on the device of tests/support/far_device.h.
# Cases are discovered when ctest runs, so that golden cases dropped into a folder are seen without a build.
find_package(GTest REQUIRED)
include(GoogleTest)
find_library(MOREX_RAPIDCHECK rapidcheck)
morex_add_pch(morex_test_pch HEADER cmake/torch_test_pch.h
  LINK morex_torch nlohmann_json::nlohmann_json GTest::gtest)
add_custom_target(sanitized_tests)  # all tests of the sanitizer build
function(morex_add_test)
  cmake_parse_arguments(arg "TORCH;NOT_SANITIZED;FAR" "NAME;LABEL;TIMEOUT" "SOURCES;LINK" ${ARGN})
  if(MOREX_SANITIZE AND arg_NOT_SANITIZED)
    return()
  endif()
  add_executable(${arg_NAME} ${arg_SOURCES})
  # -O1: a test is compiled more often than it runs. GCC 12 then falsely reports std::string concatenation once more.
  target_compile_options(${arg_NAME} PRIVATE -O1 -Wno-array-bounds)
  target_link_libraries(${arg_NAME} PRIVATE morex_warnings morex_test_support ${arg_LINK} GTest::gtest)
  if(arg_LABEL STREQUAL "property")
    target_link_libraries(${arg_NAME} PRIVATE ${MOREX_RAPIDCHECK})
  endif()
  # The precompiled headers are -fPIC; an executable's own -fPIE would not match them.
  set_target_properties(${arg_NAME} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${arg_NAME} PRIVATE -fPIC)
  if(arg_TORCH)
    target_link_libraries(${arg_NAME} PRIVATE morex_test_torch)
    target_precompile_headers(${arg_NAME} REUSE_FROM morex_test_pch)
  else()
    target_precompile_headers(${arg_NAME} REUSE_FROM morex_std_pch)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_dependencies(sanitized_tests ${arg_NAME})
  if(arg_FAR AND NOT MOREX_SANITIZE)
    add_test(NAME ${arg_NAME}_far COMMAND ${arg_NAME})
    set_tests_properties(${arg_NAME}_far PROPERTIES LABELS far TIMEOUT 900
      ENVIRONMENT "MOREX_DEVICE=far;OMP_NUM_THREADS=1;GOMP_SPINCOUNT=2000")
  endif()
  if(MOREX_SANITIZE)  # one process a program: starting one costs more than most cases
    add_test(NAME ${arg_NAME} COMMAND ${arg_NAME})
    set_tests_properties(${arg_NAME} PROPERTIES LABELS ${arg_LABEL} TIMEOUT 1800
      ENVIRONMENT "OMP_NUM_THREADS=1;GOMP_SPINCOUNT=2000")
    return()
  endif()
  gtest_discover_tests(${arg_NAME} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT}
      # What test_main.cpp would otherwise start itself again for.
      ENVIRONMENT "OMP_NUM_THREADS=1;GOMP_SPINCOUNT=2000")
endfunction()
