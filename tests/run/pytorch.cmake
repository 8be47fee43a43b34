# import_pytorch.py and export_pytorch.py. They and their tests need Python's standard library
# alone.
find_program(HEBM_PYTHON3 python3)
set(HEBM_PARITY_CASES "${CMAKE_SOURCE_DIR}/../shared/parity" CACHE PATH "Folder of recorded cases: CASE/checkpoint.pt, CASE/case.h5")
if(HEBM_PYTHON3)
  foreach(test reading hostile import energy export)
    add_test(NAME run.pytorch.${test}
      COMMAND "${HEBM_PYTHON3}" -B -W error "${CMAKE_CURRENT_LIST_DIR}/pytorch/${test}_test.py")
    set_tests_properties(run.pytorch.${test} PROPERTIES LABELS run TIMEOUT 300
      ENVIRONMENT "HEBM_PARITY_CASES=${HEBM_PARITY_CASES}")
  endforeach()
endif()
