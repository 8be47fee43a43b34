# hebm_data as a user runs it. Included by tests/run/CMakeLists.txt.
add_executable(test_run_data_tools "${CMAKE_CURRENT_LIST_DIR}/data_tools/data_tools_test.cpp"
  "${CMAKE_CURRENT_LIST_DIR}/data_tools/derive_attributes_test.cpp"
  "${CMAKE_CURRENT_LIST_DIR}/data_tools/strangers_test.cpp")
target_compile_options(test_run_data_tools PRIVATE ${HEBM_WARNINGS})
target_link_libraries(test_run_data_tools PRIVATE hebm::data ZLIB::ZLIB GTest::gtest_main)
target_compile_definitions(test_run_data_tools PRIVATE HEBM_DATA_BINARY="$<TARGET_FILE:hebm_data>"
  HEBM_DAMAGED_FILES="${CMAKE_SOURCE_DIR}/tests/unit/storage/damaged")
add_dependencies(test_run_data_tools hebm_data)
gtest_discover_tests(test_run_data_tools TEST_PREFIX "run.data_tools." DISCOVERY_TIMEOUT 60
  PROPERTIES LABELS run TIMEOUT 60)
