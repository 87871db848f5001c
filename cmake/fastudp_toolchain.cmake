# What holds for every target: the language levels, ccache, sanitizers, coverage.

set(CMAKE_C_STANDARD 11)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

find_program(FASTUDP_CCACHE ccache)
if(FASTUDP_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${FASTUDP_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${FASTUDP_CCACHE})
endif()

find_package(Threads REQUIRED)

# Debian's own interpreter: its packages (pybind11, pytest, scapy) belong to it, not to another python3 on PATH.
set(FASTUDP_PYTHON3 /usr/bin/python3 CACHE FILEPATH "The Python interpreter to build for and to test with")

set(fastudp_instrumented OFF)  # then libfastudp.so can't be linked against libc alone
if(FASTUDP_SANITIZE)
  set(fastudp_instrumented ON)
  # core/ has no RTTI, which the check of virtual tables would need.
  add_compile_options(-fsanitize=${FASTUDP_SANITIZE} -fno-sanitize=vptr -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FASTUDP_SANITIZE})
endif()
if(FASTUDP_FUZZ)
  set(fastudp_instrumented ON)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(FASTUDP_COVERAGE)
  set(fastudp_instrumented ON)
  add_compile_options(--coverage -fprofile-update=atomic)
  add_link_options(--coverage)
endif()
