# Two precompiled headers that all targets of ours share, because most of a file's compile time is
# reading libtorch's, fmt's and nlohmann's headers (docs/building.md has the figures). Sources still
# include what they use: HEBM_PCH=OFF builds without.
option(HEBM_PCH "Precompile the headers of libtorch, fmt and nlohmann-json" ON)
set(_pch_std <algorithm> <array> <cmath> <cstdint> <filesystem> <functional> <map> <memory> <optional> <span> <sstream> <string> <vector>)
set(_pch_plain <fmt/format.h> <nlohmann/json.hpp> ${_pch_std})
set(_pch_torch ${_pch_plain} <ATen/core/Tensor.h> <ATen/TensorOperators.h> <ATen/ops/cat.h> <ATen/ops/empty.h> <ATen/ops/zeros.h>
  <c10/core/GradMode.h> <torch/csrc/autograd/autograd.h>)

# A library that exists for its precompiled header alone.
function(hebm_pch_library name)
  file(WRITE "${CMAKE_BINARY_DIR}/${name}.cpp" "// Carries a precompiled header.\n")
  add_library(${name} OBJECT "${CMAKE_BINARY_DIR}/${name}.cpp")
  target_compile_features(${name} PRIVATE cxx_std_20)
  hebm_compile_options(${name})
  target_precompile_headers(${name} PRIVATE ${ARGN})
endfunction()

if(HEBM_PCH)
  hebm_pch_library(hebm_pch_plain ${_pch_plain})
  target_link_libraries(hebm_pch_plain PRIVATE fmt::fmt nlohmann_json::nlohmann_json Threads::Threads)
  hebm_pch_library(hebm_pch_torch ${_pch_torch})
  target_link_libraries(hebm_pch_torch PRIVATE hebm::torch fmt::fmt nlohmann_json::nlohmann_json Threads::Threads)
endif()

# GCC 12 forgets that what comes from a precompiled header is a system's, and then shows its own
# false alarms about std::string.
set(HEBM_PCH_WARNINGS -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)

# hebm_use_pch(TARGET [TRUE|FALSE]): TRUE for targets that link libtorch.
function(hebm_use_pch target torch)
  if(NOT HEBM_PCH)
    return()
  endif()
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${HEBM_PCH_WARNINGS}>")
  if(torch)
    target_precompile_headers(${target} REUSE_FROM hebm_pch_torch)
  else()
    target_precompile_headers(${target} REUSE_FROM hebm_pch_plain)
  endif()
endfunction()
