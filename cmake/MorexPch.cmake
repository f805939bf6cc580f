# Precompiled headers, each compiled once and shared by all targets of its kind.
# morex_add_pch(NAME HEADER cmake/x_pch.h LINK what its headers need)
file(WRITE ${CMAKE_BINARY_DIR}/pch_anchor.cpp.in "// holds the precompiled header\n")
configure_file(${CMAKE_BINARY_DIR}/pch_anchor.cpp.in ${CMAKE_BINARY_DIR}/pch_anchor.cpp COPYONLY)
function(morex_add_pch name)
  cmake_parse_arguments(arg "" "HEADER" "LINK" ${ARGN})
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/pch_anchor.cpp)
  target_link_libraries(${name} PRIVATE morex_warnings fmt::fmt ${arg_LINK})
  target_precompile_headers(${name} PRIVATE ${CMAKE_SOURCE_DIR}/${arg_HEADER})
endfunction()

morex_add_pch(morex_std_pch HEADER cmake/std_pch.h LINK nlohmann_json::nlohmann_json Threads::Threads)
morex_add_pch(morex_torch_pch HEADER cmake/torch_pch.h LINK morex_torch nlohmann_json::nlohmann_json)
