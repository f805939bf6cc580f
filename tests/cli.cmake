morex_add_test(NAME cli_test LABEL unit TORCH
  SOURCES unit/cli/yaml_test.cpp unit/cli/failure_test.cpp unit/cli/output_test.cpp
  LINK morex_cli)

# The program as its users see it: a process, its files, its exit code.
add_library(morex_e2e_support STATIC e2e/process.cpp e2e/child_process.cpp e2e/case_file.cpp)
target_link_libraries(morex_e2e_support PRIVATE morex_warnings PUBLIC morex_test_support)
morex_add_test(NAME e2e_cases LABEL e2e SOURCES e2e/case_test.cpp LINK morex_e2e_support)
morex_add_test(NAME e2e_bad_files LABEL e2e SOURCES e2e/bad_files_test.cpp LINK morex_e2e_support)
morex_add_test(NAME e2e_memory LABEL e2e SOURCES e2e/memory_test.cpp LINK morex_e2e_support)
morex_add_test(NAME e2e_kill_resume LABEL e2e TIMEOUT 900 SOURCES e2e/kill_resume_test.cpp LINK morex_e2e_support)
foreach(test e2e_cases e2e_bad_files e2e_memory e2e_kill_resume)
  add_dependencies(${test} morex)
endforeach()
