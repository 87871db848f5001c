# How a suite names a test. Labels choose among them: ctest -L unit.

find_package(GTest REQUIRED)

# What a test that runs programs finds in its environment.
set(fastudp_test_environment
    "FASTUDP_SOURCE_DIR=${PROJECT_SOURCE_DIR}" "FASTUDP_BUILD_DIR=${PROJECT_BINARY_DIR}"
    "PYTHONPATH=${PROJECT_BINARY_DIR}/python:${PROJECT_SOURCE_DIR}/tests/support"
    "LD_LIBRARY_PATH=${PROJECT_BINARY_DIR}/abi" "PYTHONDONTWRITEBYTECODE=1")

# fastudp_test_properties(TEST LABEL [TIMEOUT seconds] [SERIAL]): for a test made with plain add_test.
# SERIAL is for tests that need the processors to themselves.
function(fastudp_test_properties test label)
  cmake_parse_arguments(PARSE_ARGV 2 arg "SERIAL" "TIMEOUT" "")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set_tests_properties(${test} PROPERTIES LABELS ${label} TIMEOUT ${arg_TIMEOUT} RUN_SERIAL ${arg_SERIAL}
                                          ENVIRONMENT "${fastudp_test_environment}")
endfunction()

# fastudp_gtest(NAME LABEL SOURCES file... [LIBS target...] [TIMEOUT seconds] [SERIAL])
# One ctest per binary: a start costs more than most of these tests.
function(fastudp_gtest name label)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "SOURCES;LIBS")
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE fastudp_warnings fastudp_gtest_main ${arg_LIBS})
  add_test(NAME ${label}.${name} COMMAND ${name} --gtest_brief=1)
  fastudp_test_properties(${label}.${name} ${label} ${arg_UNPARSED_ARGUMENTS})
endfunction()

# fastudp_unit_test(NAME SOURCES file... [LIBS target...] [TIMEOUT seconds] [SERIAL])
function(fastudp_unit_test name)
  fastudp_gtest(${name} unit ${ARGN})
endfunction()

# fastudp_c_test(NAME file...): pure C on libfastudp.so alone, as a user would write it.
function(fastudp_c_test name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE fastudp_warnings fastudp::fastudp cmocka Threads::Threads)
  add_test(NAME abi.${name} COMMAND ${name})
  fastudp_test_properties(abi.${name} abi)
endfunction()

# fastudp_python_test(NAME FILE LABEL [TIMEOUT seconds] [SERIAL]): pytest with the built module and library.
function(fastudp_python_test name file label)
  if(NOT FASTUDP_PYTHON)
    return()
  endif()
  cmake_path(ABSOLUTE_PATH file)
  add_test(NAME ${label}.${name} COMMAND ${FASTUDP_PYTHON3} -m pytest -q ${file})
  fastudp_test_properties(${label}.${name} ${label} ${ARGN})
endfunction()
