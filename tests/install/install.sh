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
  lib/cmake/fastudp/fastudp-config.cmake lib/cmake/fastudp/fastudp-config-version.cmake \
  bin/fastudp lib/libfastudp-preload.so lib/fastudp/fastudp-bpf.so share/man/man1/fastudp.1 share/man/man7/fastudp-sockets.7 \
  share/bash-completion/completions/fastudp share/doc/fastudp/systemd/fastudp.conf; do
  [ -e "$file" ] || { echo "missing: $file"; exit 1; }
done
! pkg-config --exists 'libdpdk >= 22.11' || [ -e lib/fastudp/fastudp-dpdk.so ] || { echo "missing: fastudp-dpdk.so"; exit 1; }
headers=$(find include -type f)
[ "$headers" = include/fastudp.h ] || { echo "installed headers: $headers"; exit 1; }
! grep -rlF "$stage" lib/cmake lib/pkgconfig include || { echo "the files above name the folder that they were built or installed in"; exit 1; }

grep -qx "Environment=LD_PRELOAD=$stage/installed/lib/libfastudp-preload.so" share/doc/fastudp/systemd/fastudp.conf ||
  { echo "the drop-in for systemd names another library"; exit 1; }

# The tool finds what it preloads, and that the library; the loader says so if not.
said=$(env -u LD_LIBRARY_PATH bin/fastudp run --link host: -- env 2>&1) || { echo "bin/fastudp run: $said"; exit 1; }
grep -q "^LD_PRELOAD=.*/lib/libfastudp-preload.so" <<<"$said" || { echo "nothing was preloaded: $said"; exit 1; }
! grep "^ERROR: ld.so" <<<"$said" || exit 1
