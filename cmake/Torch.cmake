# hebm::torch: libtorch from the locked PyPI wheel that launch/setup put under
# ${HEBM_DEPS:-~/.cache/hebm_dist}, by its libraries and not by its CMake package, which asks for a
# CUDA toolkit even to build for the CPU. With HEBM_CUDA also torch_cuda, and hebm::nccl: header and
# library of the wheel, because libtorch_cuda.so loads that very file and two NCCLs in one process
# are undefined behaviour. A toolkit's NCCL is never looked at. In: HEBM_CUDA, HEBM_TORCH_ROOT,
# HEBM_LOCK_FOLDER (has requirements-*.txt). Out: HEBM_TORCH_DIR (has include/ and lib/).

# The hash in the name of the environment that launch/setup made of a lock file: of its lines
# without the hashes of wheels (launch/lib.sh has the same rule).
function(hebm_lock_hash lock_file out)
  file(READ "${lock_file}" text)
  string(REGEX REPLACE "\n    --hash=[^\n]*" "" text "${text}")
  string(REPLACE " \\\n" "\n" text "${text}")
  string(SHA256 hash "${text}")
  string(SUBSTRING "${hash}" 0 12 hash)
  set(${out} "${hash}" PARENT_SCOPE)
endfunction()

set(HEBM_TORCH_ROOT "" CACHE PATH "Folder of libtorch (has include/ and lib/); empty: the one of launch/setup")
if(HEBM_CUDA)
  set(_hebm_flavour cuda)
else()
  set(_hebm_flavour cpu)
endif()
set(_hebm_lock_file "${HEBM_LOCK_FOLDER}/requirements-${_hebm_flavour}.txt")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_hebm_lock_file}")
if(HEBM_TORCH_ROOT)
  set(_hebm_torch "${HEBM_TORCH_ROOT}")
  set(_hebm_torch_place "HEBM_TORCH_ROOT=${HEBM_TORCH_ROOT}")
else()
  if(NOT "$ENV{HEBM_DEPS}" STREQUAL "")
    set(_hebm_deps "$ENV{HEBM_DEPS}")
  else()
    set(_hebm_deps "$ENV{HOME}/.cache/hebm_dist")
  endif()
  hebm_lock_hash("${_hebm_lock_file}" _hebm_lock)
  set(_hebm_torch_place "${_hebm_deps}/${_hebm_flavour}-${_hebm_lock}")
  file(GLOB _hebm_torch "${_hebm_torch_place}/lib/python3*/site-packages/torch")
endif()
set(_hebm_libraries torch_cpu c10)
if(HEBM_CUDA)
  list(APPEND _hebm_libraries torch_cuda c10_cuda)
endif()
foreach(_hebm_library ${_hebm_libraries})
  if(NOT EXISTS "${_hebm_torch}/lib/lib${_hebm_library}.so")
    string(REPLACE cpu "" _hebm_option "${_hebm_flavour}")
    string(REPLACE cuda " --cuda" _hebm_option "${_hebm_option}")
    message(FATAL_ERROR "No lib${_hebm_library}.so of libtorch in ${_hebm_torch_place}: run launch/setup${_hebm_option} first, "
      "with the same HEBM_DEPS (or set HEBM_TORCH_ROOT).")
  endif()
endforeach()
set(HEBM_TORCH_DIR "${_hebm_torch}" CACHE INTERNAL "")

if(NOT TARGET hebm::torch)
  add_library(hebm::torch INTERFACE IMPORTED GLOBAL)
  # The wheel ships headers of another fmt: a folder in front of its own, with the headers of the
  # fmt that we link alone.
  get_target_property(_hebm_fmt fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
  set(_hebm_fmt_front "${CMAKE_BINARY_DIR}/fmt-before-torch")
  file(MAKE_DIRECTORY "${_hebm_fmt_front}")
  file(CREATE_LINK "${_hebm_fmt}/fmt" "${_hebm_fmt_front}/fmt" SYMBOLIC)
  target_include_directories(hebm::torch SYSTEM INTERFACE "${_hebm_fmt_front}" "${_hebm_torch}/include"
    "${_hebm_torch}/include/torch/csrc/api/include")
  target_compile_definitions(hebm::torch INTERFACE AT_PER_OPERATOR_HEADERS)  # a source includes the operators that it uses
  # Without OpenMP switched on, at::parallel_for in our sources is a plain loop. The runtime is
  # libtorch's: two in one process would each have its own threads.
  target_compile_options(hebm::torch INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-fopenmp>")
  list(TRANSFORM _hebm_libraries PREPEND "${_hebm_torch}/lib/lib")
  list(TRANSFORM _hebm_libraries APPEND ".so")
  file(GLOB _hebm_openmp "${_hebm_torch}/lib/libgomp*.so*")
  if(_hebm_openmp)
    list(APPEND _hebm_libraries ${_hebm_openmp})
  else()
    target_link_options(hebm::torch INTERFACE -fopenmp)
  endif()
  # --no-as-needed: the kernels register themselves when loaded, no symbol asks for torch_cuda.
  # --allow-shlib-undefined: what libtorch itself loads (cudart, cupti) is found at run time by its
  # own rpath. Options keep their order, libraries need not.
  target_link_options(hebm::torch INTERFACE "LINKER:--allow-shlib-undefined" "LINKER:--push-state,--no-as-needed"
    ${_hebm_libraries} "LINKER:--pop-state")
  # RPATH, not RUNPATH: a cluster's LD_LIBRARY_PATH must not slip another NCCL or cudart between us
  # and the wheel.
  target_link_options(hebm::torch INTERFACE "LINKER:--disable-new-dtags,-rpath,${_hebm_torch}/lib")
  if(HEBM_CUDA)
    get_filename_component(_hebm_cuda_lib "${_hebm_torch}/../nvidia/cu13/lib" ABSOLUTE)
    target_link_options(hebm::torch INTERFACE "LINKER:-rpath,${_hebm_cuda_lib}")
  endif()
endif()
if(HEBM_CUDA AND NOT TARGET hebm::nccl)
  get_filename_component(_hebm_nccl "${_hebm_torch}/../nvidia/nccl" ABSOLUTE)
  if(NOT EXISTS "${_hebm_nccl}/include/nccl.h" OR NOT EXISTS "${_hebm_nccl}/lib/libnccl.so.2")
    message(FATAL_ERROR "No NCCL in ${_hebm_nccl}: run launch/setup --cuda first (or set HEBM_TORCH_ROOT to a wheel that has one).")
  endif()
  add_library(hebm::nccl INTERFACE IMPORTED GLOBAL)
  target_include_directories(hebm::nccl SYSTEM INTERFACE "${_hebm_nccl}/include")
  target_link_libraries(hebm::nccl INTERFACE "${_hebm_nccl}/lib/libnccl.so.2")
  target_link_options(hebm::nccl INTERFACE "LINKER:-rpath,${_hebm_nccl}/lib")
endif()
