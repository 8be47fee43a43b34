# All that hebm_dist is built on. Used by the source tree and, installed, by hebm_distConfig.cmake,
# so both agree. Imported targets made here: hebm::hdf5, hebm::xxhash, hebm::torch.
find_package(Threads REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)  # C alone: MPI's C++ bindings are gone from the standard
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(fmt 9 REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
find_library(XXHASH_LIBRARY xxhash REQUIRED)

if(NOT TARGET hebm::hdf5)
  add_library(hebm::hdf5 INTERFACE IMPORTED GLOBAL)
  target_include_directories(hebm::hdf5 SYSTEM INTERFACE ${HDF5_INCLUDE_DIRS})
  # The library alone: h5cc's list names what a static libhdf5 would need (curl, crypto, ...).
  if(HDF5_C_LIBRARY_hdf5)
    target_link_libraries(hebm::hdf5 INTERFACE "${HDF5_C_LIBRARY_hdf5}")
  else()
    target_link_libraries(hebm::hdf5 INTERFACE ${HDF5_C_LIBRARIES})
  endif()
  add_library(hebm::xxhash UNKNOWN IMPORTED GLOBAL)
  set_target_properties(hebm::xxhash PROPERTIES IMPORTED_LOCATION "${XXHASH_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${XXHASH_INCLUDE_DIR}")
endif()
