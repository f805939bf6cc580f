# LibTorch as one imported target of our own: find_package(Torch) demands a CUDA toolkit.
# MOREX_TORCH_PREFIX is the folder that holds include/ and lib/ (what torch.__path__[0] prints).
set(MOREX_TORCH_VERSION 2.11.0)
if(NOT MOREX_TORCH_PREFIX)
  if(DEFINED ENV{MOREX_TORCH_PREFIX})
    set(MOREX_TORCH_PREFIX $ENV{MOREX_TORCH_PREFIX})
  else()
    set(cache_home $ENV{XDG_CACHE_HOME})
    if(NOT cache_home)
      set(cache_home $ENV{HOME}/.cache)
    endif()
    set(MOREX_TORCH_PREFIX ${cache_home}/morex/torch-${MOREX_TORCH_VERSION}/torch)
  endif()
endif()
set(MOREX_TORCH_PREFIX ${MOREX_TORCH_PREFIX} CACHE PATH "Folder with LibTorch's include/ and lib/")
if(NOT EXISTS ${MOREX_TORCH_PREFIX}/include/ATen/ATen.h)
  message(FATAL_ERROR "LibTorch not found in '${MOREX_TORCH_PREFIX}'. "
                      "Run scripts/build, which fetches it, or set MOREX_TORCH_PREFIX.")
endif()
cmake_path(GET MOREX_TORCH_PREFIX PARENT_PATH MOREX_TORCH_SITE)
set(torch_lib ${MOREX_TORCH_PREFIX}/lib)
set(cuda_lib ${MOREX_TORCH_SITE}/nvidia/cu13/lib)

# Imported, so that try_compile below can use it.
add_library(morex_torch INTERFACE IMPORTED GLOBAL)
target_include_directories(morex_torch SYSTEM INTERFACE
  ${MOREX_TORCH_PREFIX}/include ${MOREX_TORCH_PREFIX}/include/torch/csrc/api/include)
# -fopenmp for the compiler only: the linker would add the system's libgomp beside the wheel's.
# Nobody reads errno or floating-point flags here: without them loops with square roots vectorise.
target_compile_options(morex_torch INTERFACE -fopenmp -fno-math-errno -fno-trapping-math)
# The library is built with NDEBUG: without it some of its classes (at::RecordFunction) have members more, which its own
# code never sets. Assertions of ours and of libstdc++ do not depend on it.
add_compile_definitions($<$<NOT:$<CONFIG:Release>>:NDEBUG>)
file(GLOB torch_gomp ${torch_lib}/libgomp*.so*)
target_link_libraries(morex_torch INTERFACE nlohmann_json::nlohmann_json
  -L${torch_lib} -Wl,--no-as-needed torch_cpu c10 ${torch_gomp} -Wl,--as-needed
  -Wl,-rpath,${torch_lib} -Wl,-rpath,${cuda_lib} -Wl,-rpath-link,${cuda_lib})
# CUDA adds libraries to the link and nothing to any compiler's command: all code is the same.
if(MOREX_CUDA)
  # What torch's libraries need in turn: torch finds it by its own RPATH when the program starts, the linker in these.
  file(GLOB nvidia_folders ${MOREX_TORCH_SITE}/nvidia/*/lib)
  list(APPEND nvidia_folders /usr/local/cuda/lib64)
  foreach(library torch_cuda c10_cuda cudart cublas cusparse cufft curand cufile cudnn cusparseLt nccl nvshmem_host)
    set(found FALSE)
    foreach(folder ${torch_lib} ${nvidia_folders})
      file(GLOB files ${folder}/lib${library}.so*)
      if(files)
        set(found TRUE)
        break()
      endif()
    endforeach()
    if(NOT found)
      message(SEND_ERROR "CUDA: lib${library}.so is neither in '${torch_lib}' nor in '${MOREX_TORCH_SITE}/nvidia/*/lib'.")
      set(cuda_incomplete TRUE)
    endif()
  endforeach()
  if(cuda_incomplete)
    message(FATAL_ERROR "MOREX_TORCH_PREFIX must be an installed CUDA build of torch with all it depends on: "
                        "python3 -c 'import torch; print(torch.__path__[0])' (docs/devices.md)")
  endif()
  list(TRANSFORM nvidia_folders PREPEND -Wl,-rpath-link,)
  target_link_libraries(morex_torch INTERFACE
    -Wl,--no-as-needed torch_cuda c10_cuda -Wl,--as-needed ${nvidia_folders})
endif()
# Symbols that LibTorch exports but does not declare: used where they link, replaced by ATen where not.
foreach(symbol mkldnn_matmul brgemm)
  string(TOUPPER MOREX_HAS_${symbol} found)
  try_compile(${found} ${CMAKE_BINARY_DIR}/probe_${symbol}
    SOURCES ${CMAKE_SOURCE_DIR}/cmake/probe_${symbol}.cpp
    LINK_LIBRARIES morex_torch CXX_STANDARD 20)
  message(STATUS "LibTorch: ${MOREX_TORCH_PREFIX}; ${symbol}: ${${found}}")
  if(${found})
    target_compile_definitions(morex_torch INTERFACE ${found})
  endif()
endforeach()

# LibTorch brings fmt's headers in a version of its own, without the library behind them.
target_compile_definitions(morex_torch INTERFACE FMT_HEADER_ONLY)
# Torch's own headers then include the operators they call, not all of them: half the compile time.
target_compile_definitions(morex_torch INTERFACE AT_PER_OPERATOR_HEADERS)
