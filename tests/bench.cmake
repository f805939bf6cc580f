add_test(NAME bench_suite_test COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/unit/bench/suite_test.py)
set_tests_properties(bench_suite_test PROPERTIES LABELS unit TIMEOUT 300)
