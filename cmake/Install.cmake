# `cmake --install`: programs, libraries, headers and the CMake package hebm_dist, whose targets are
# hebm::MODULE.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(_package "${CMAKE_INSTALL_LIBDIR}/cmake/hebm_dist")
get_property(_targets GLOBAL PROPERTY HEBM_MODULE_TARGETS)
install(TARGETS ${_targets} EXPORT hebm_dist ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
get_property(_modules GLOBAL PROPERTY HEBM_MODULES)
foreach(_module ${_modules})
  install(DIRECTORY "${CMAKE_SOURCE_DIR}/src/${_module}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/hebm" FILES_MATCHING PATTERN "*.h")
endforeach()
install(DIRECTORY "${CMAKE_SOURCE_DIR}/data_tools/" DESTINATION "${CMAKE_INSTALL_DATADIR}/hebm_dist/data_tools" USE_SOURCE_PERMISSIONS
  FILES_MATCHING PATTERN "*.py" PATTERN "__pycache__" EXCLUDE)
install(DIRECTORY "${CMAKE_SOURCE_DIR}/configs" DESTINATION "${CMAKE_INSTALL_DATADIR}/hebm_dist")
# The batch scripts, their launcher and what they share with it keep their places to each other.
install(DIRECTORY "${CMAKE_SOURCE_DIR}/slurm" DESTINATION "${CMAKE_INSTALL_DATADIR}/hebm_dist" USE_SOURCE_PERMISSIONS)
install(PROGRAMS "${CMAKE_SOURCE_DIR}/launch/mpirun" "${CMAKE_SOURCE_DIR}/launch/srun" DESTINATION "${CMAKE_INSTALL_DATADIR}/hebm_dist/launch")
install(FILES "${CMAKE_SOURCE_DIR}/launch/lib.sh" "${CMAKE_SOURCE_DIR}/launch/ranks.sh" DESTINATION "${CMAKE_INSTALL_DATADIR}/hebm_dist/launch")
# `module use PREFIX/share/hebm_dist/modulefiles`: prefix-relative, so that `cmake --install
# --prefix` may choose another one.
install(FILES "${CMAKE_SOURCE_DIR}/cmake/modulefile" DESTINATION "${CMAKE_INSTALL_DATADIR}/hebm_dist/modulefiles/hebm_dist"
  RENAME "${PROJECT_VERSION}")
install(EXPORT hebm_dist NAMESPACE hebm:: FILE hebm_distTargets.cmake DESTINATION "${_package}")

# The package finds its dependencies with the files that this build used, and libtorch by the same
# lock file.
configure_package_config_file("${CMAKE_SOURCE_DIR}/cmake/hebm_distConfig.cmake.in" "${CMAKE_BINARY_DIR}/hebm_distConfig.cmake"
  INSTALL_DESTINATION "${_package}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/hebm_distConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
set(_flavour cpu)
if(HEBM_CUDA)
  set(_flavour cuda)
endif()
install(FILES "${CMAKE_BINARY_DIR}/hebm_distConfig.cmake" "${CMAKE_BINARY_DIR}/hebm_distConfigVersion.cmake"
  "${CMAKE_SOURCE_DIR}/cmake/Dependencies.cmake" "${CMAKE_SOURCE_DIR}/cmake/Torch.cmake"
  "${HEBM_LOCK_FOLDER}/requirements-${_flavour}.txt" DESTINATION "${_package}")
