#!/bin/sh
# Installs what tests need and pip cannot bring: a broker, FFmpeg, a browser and the library that
# its driver wants, a reader of shell scripts, Node with npm for the SDK of JavaScript, and what makes
# calls fail, clocks jump and disks break, and a database server.
# Where that is not allowed it says what to type and goes on: the tests that need a program say so.
set -eu

PATH=$PATH:/usr/sbin:/sbin

packages=
for pair in mosquitto:mosquitto ffmpeg:ffmpeg chromium:chromium shellcheck:shellcheck \
    node:nodejs npm:npm fiu-run:fiu-utils gcc:gcc mkfs.ext4:e2fsprogs; do
    if ! command -v "${pair%%:*}" >/dev/null; then
        packages="$packages ${pair##*:}"
    fi
done
if ! ldconfig -p | grep -q 'libatomic\.so\.1'; then
    packages="$packages libatomic1"
fi
# Debian keeps the programs of PostgreSQL out of PATH.
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && ! command -v initdb >/dev/null; then
    packages="$packages postgresql"
fi
if [ -z "$packages" ]; then
    exit 0
fi
# shellcheck disable=SC2086  # the words of $packages are package names
"$(dirname "$0")/debian-packages.sh" "the tests" $packages ||
    echo "Going on without:$packages. Tests that need them will not pass." >&2
