# safetensors, HDF5, TensorBoard and PNG files of ours, read by the readers that everybody else
# uses.
add_executable(write_samples "${CMAKE_CURRENT_SOURCE_DIR}/write_samples.cpp")
target_compile_options(write_samples PRIVATE ${HEBM_WARNINGS})
target_link_libraries(write_samples PRIVATE hebm::storage)
if(EXISTS "${HEBM_READERS_PYTHON}")
  set(readers_python "${HEBM_READERS_PYTHON}")
else()
  set(readers_python python3)  # readers.py itself says what is missing and is then counted as skipped
endif()
add_test(NAME run.readers
  COMMAND "${readers_python}" "${CMAKE_CURRENT_SOURCE_DIR}/readers.py" $<TARGET_FILE:write_samples>)
set_tests_properties(run.readers PROPERTIES LABELS run TIMEOUT 120 SKIP_RETURN_CODE 77)
