# The scripts of tests/bench without PyTorch: their help, their refusals and the row of a table.
add_test(NAME run.bench_scripts COMMAND /usr/bin/python3 -B "${CMAKE_CURRENT_LIST_DIR}/bench_scripts.py")
set_tests_properties(run.bench_scripts PROPERTIES LABELS run TIMEOUT 60)
