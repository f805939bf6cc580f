# morex_add_test(NAME text_test LABEL unit SOURCES a.cpp … LINK morex_text … [TORCH] [TIMEOUT s])
# Cases run in parallel, so each gets one thread unless it asks for more itself. Random properties start from a fixed
# seed, so that a run can be repeated; RC_PARAMS=seed=N of a program run by hand tries others.
# Cases are discovered when ctest runs, so that golden cases dropped into a folder are seen without a build.
find_package(GTest REQUIRED)
include(GoogleTest)
find_library(MOREX_RAPIDCHECK rapidcheck)
add_custom_target(sanitized_tests)  # all tests of the sanitizer build
function(morex_add_test)
  cmake_parse_arguments(arg "TORCH" "NAME;LABEL;TIMEOUT" "SOURCES;LINK" ${ARGN})
  add_executable(${arg_NAME} ${arg_SOURCES})
  target_link_libraries(${arg_NAME} PRIVATE morex_warnings morex_test_support ${arg_LINK} GTest::gtest)
  if(arg_LABEL STREQUAL "property")
    target_link_libraries(${arg_NAME} PRIVATE ${MOREX_RAPIDCHECK})
  endif()
  if(arg_TORCH)
    target_link_libraries(${arg_NAME} PRIVATE morex_test_torch)
    # The precompiled header is -fPIC; an executable's own -fPIE would not match it.
    set_target_properties(${arg_NAME} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${arg_NAME} PRIVATE -fPIC)
    target_precompile_headers(${arg_NAME} REUSE_FROM morex_pch)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_dependencies(sanitized_tests ${arg_NAME})
  gtest_discover_tests(${arg_NAME} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} ENVIRONMENT "OMP_NUM_THREADS=1;GOMP_SPINCOUNT=2000;RC_PARAMS=seed=1"
    SKIP_REGULAR_EXPRESSION "SKIPPED unsupported")
endfunction()
