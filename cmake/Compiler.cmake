# Language, flags and launcher of all our targets; the reasons and measurements are in
# docs/building.md.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
get_property(_multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT _multi_config AND NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, RelWithDebInfo or Debug" FORCE)
endif()

set(HEBM_WARNINGS -Wall -Wextra -Werror)  # of our own code only: all else is a SYSTEM include
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND HEBM_WARNINGS -Wno-unknown-pragmas -Wno-ignored-attributes)  # GCC's, for vector loops
endif()

# One binary for every x86-64: no -march. Hot loops of our own are compiled for several CPUs by
# target_clones; without contraction into FMA the clones give the same bits. The two others change
# no value: they let sqrt and selects vectorise.
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off;-fno-math-errno;-fno-trapping-math>")
# The same for GPUs, which then draw the very noise that the host draws.
add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:--fmad=false>")
add_link_options("LINKER:--as-needed")
# Programs too: a precompiled header serves only files with the same choice of -fPIC and -fPIE.
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fPIC>" "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-fPIC>")

if(HEBM_SANITIZE)
  # vptr would want libtorch's RTTI to match ours; everything else of undefined ends the program at
  # once.
  add_compile_options("-fsanitize=${HEBM_SANITIZE}" -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options("-fsanitize=${HEBM_SANITIZE}")
endif()

find_program(CCACHE ccache)
if(CCACHE)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>")  # ccache wants it with precompiled headers
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

if(HEBM_CUDA)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90 CACHE STRING "GPU architectures to compile for: there may be no GPU to ask")
  endif()
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND "$ENV{CUDACXX}" STREQUAL "")
    find_program(HEBM_NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" PATHS /usr/local/cuda/bin)
    if(NOT HEBM_NVCC)
      message(FATAL_ERROR "No nvcc in CUDA_HOME/bin, PATH or /usr/local/cuda/bin: set CUDA_HOME to a CUDA 13 toolkit.")
    endif()
    set(CMAKE_CUDA_COMPILER "${HEBM_NVCC}")
  endif()
  set(CMAKE_CUDA_STANDARD 17)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)  # the one libcudart.so that libtorch uses too
  enable_language(CUDA)
  find_package(CUDAToolkit 13 REQUIRED)
endif()
