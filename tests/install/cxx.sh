#!/usr/bin/env bash
# cxx.sh SOURCE STAGE: builds and runs an outside C++ project by find_package.
set -eu
source=$1 stage=$2
unset LD_LIBRARY_PATH
rm -rf "$stage/outside-cxx"
cmake -G Ninja -S "$source/tests/install/cxx" -B "$stage/outside-cxx" -DCMAKE_PREFIX_PATH="$stage/prefix" >/dev/null
cmake --build "$stage/outside-cxx"
"$stage/outside-cxx/outside"
