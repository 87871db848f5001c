#!/usr/bin/env bash
# c.sh SOURCE STAGE: builds and runs an outside C project by pkg-config.
set -eu
source=$1 stage=$2
export PKG_CONFIG_PATH=$stage/prefix/lib/pkgconfig LD_LIBRARY_PATH=$stage/prefix/lib
eval "flags=($(pkg-config --cflags --libs fastudp))"  # it escapes a space in a path as a shell does
cc -std=c99 -Wall -Wextra -Wpedantic -Werror -o "$stage/outside-c" "$source/tests/install/c/main.c" "${flags[@]}"
"$stage/outside-c"
