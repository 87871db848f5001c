#!/usr/bin/env bash
# install.sh SOURCE STAGE: installs the released library into STAGE/prefix and says what is missing there. The tree was
# moved after it was installed, which must not matter to those who use it.
set -eu
source=$1 stage=$2
rm -rf "$stage/installed" "$stage/prefix"
"$source/scripts/install" "$stage/installed" "$stage/build"
mv "$stage/installed" "$stage/prefix"

cd "$stage/prefix"
for file in lib/libfastudp.so.0 lib/libfastudp.so include/fastudp.h lib/pkgconfig/fastudp.pc \
  lib/cmake/fastudp/fastudp-config.cmake lib/cmake/fastudp/fastudp-config-version.cmake; do
  [ -e "$file" ] || { echo "missing: $file"; exit 1; }
done
headers=$(find include -type f)
[ "$headers" = include/fastudp.h ] || { echo "installed headers: $headers"; exit 1; }
! grep -rlF "$stage" lib/cmake lib/pkgconfig include || { echo "the files above name the folder that they were built or installed in"; exit 1; }
