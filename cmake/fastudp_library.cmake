# How the folders of core/ become targets.

# Warnings for code of ours; tests and examples take these alone.
add_library(fastudp_warnings INTERFACE)
target_compile_options(fastudp_warnings INTERFACE -Wall -Wextra -Wshadow $<$<BOOL:${FASTUDP_WERROR}>:-Werror>)

# What makes core/ and abi/ fit for a library that needs libc alone: no exceptions, no RTTI, nothing visible unless
# said so, and thread-local storage that needs no call (initial-exec).
add_library(fastudp_library_flags INTERFACE)
target_link_libraries(fastudp_library_flags INTERFACE fastudp_warnings)
target_compile_options(
  fastudp_library_flags
  INTERFACE -Wconversion
            -fno-exceptions
            -fno-rtti
            -fvisibility=hidden
            -fvisibility-inlines-hidden
            -ffunction-sections
            -fdata-sections
            -ftls-model=initial-exec)

# fastudp_core_library(NAME [SOURCES file...] [LIBS target...])
# The *.cpp of this folder unless named, linked privately to the targets that the arrows allow. A folder of headers
# alone becomes an interface target.
function(fastudp_core_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBS")
  if(NOT DEFINED arg_SOURCES)
    file(GLOB arg_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  endif()
  if(NOT arg_SOURCES)
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR}/core)
    target_link_libraries(${name} INTERFACE ${arg_LIBS})
    return()
  endif()
  add_library(${name} STATIC ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/core)
  target_link_libraries(${name} PRIVATE fastudp_library_flags ${arg_LIBS})
endfunction()

# The first version of glibc's symbols on this processor, which every later glibc has as well.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(fastudp_first_glibc GLIBC_2.2.5)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set(fastudp_first_glibc GLIBC_2.17)
else()
  message(FATAL_ERROR "Which version of glibc was the first on ${CMAKE_SYSTEM_PROCESSOR}?")
endif()

# fastudp_link_to_libc_alone(TARGET): of all system libraries it needs libc; a sanitizer brings a runtime of its own. A
# macro, since the variable is its caller's folder's.
macro(fastudp_link_to_libc_alone target)
  target_compile_definitions(${target} PRIVATE FASTUDP_FIRST_GLIBC="${fastudp_first_glibc}")
  if(NOT fastudp_instrumented)
    target_link_options(${target} PRIVATE -nodefaultlibs -Wl,-z,defs)
    set(CMAKE_CXX_STANDARD_LIBRARIES "-lc -lgcc") # comes last, after all static parts
  endif()
endmacro()
