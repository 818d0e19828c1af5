# Compiler and linker flags: warnings, sanitizers, hardening.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(SLUICE_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them (address,undefined | thread)")
option(SLUICE_WERROR "Treat warnings as errors" ON)
option(SLUICE_BENCH "Build tests/bench" OFF)
option(SLUICE_FUZZ "Build tests/fuzz with libFuzzer (needs clang)" OFF)
option(BUILD_TESTING "Build the tests" ON)
enable_testing()

# -D_GNU_SOURCE: accept4, pipe2, recvmsg time stamps. Warnings apply to our code only:
# libraries come in as SYSTEM.
add_compile_definitions(_GNU_SOURCE SLUICE_VERSION="${PROJECT_VERSION}")
set(SLUICE_WARNINGS -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wimplicit-fallthrough
    -Wnull-dereference -Wdouble-promotion)
if(SLUICE_WERROR)
    list(APPEND SLUICE_WARNINGS -Werror)
endif()

if(SLUICE_SANITIZE)
    add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${SLUICE_SANITIZE})
    add_compile_definitions(SLUICE_SANITIZED=1)
endif()

# Fault points (base/fault.h) exist only in builds that are not for production.
if(NOT CMAKE_BUILD_TYPE STREQUAL "Release")
    add_compile_definitions(SLUICE_FAULTS=1)
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Release")
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
    add_compile_options(-D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection
        -fcf-protection=full)
    add_link_options(-pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
endif()
