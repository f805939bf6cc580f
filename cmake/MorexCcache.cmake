# ccache where it is installed; precompiled headers need two of its checks relaxed.
find_program(MOREX_CCACHE ccache)
if(MOREX_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${MOREX_CCACHE})
endif()
