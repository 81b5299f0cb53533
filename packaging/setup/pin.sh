#!/bin/sh
# Writes the pinned requirements anew. Needs uv; nothing else in the project does.
set -eu

cd "$(dirname "$0")/../.."

pin() {
    output=$1
    shift
    # No address of any registry is written: the hashes say what a file must be, wherever it is from.
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --upgrade \
        --output-file "packaging/requirements/$output" "$@"
}

# test.txt is the widest set; the narrower ones are held to its versions.
pin test.txt --extra all --extra test pyproject.toml packaging/requirements/build.in
pin all.txt --constraint packaging/requirements/test.txt --extra all pyproject.toml
pin device.txt --constraint packaging/requirements/test.txt pyproject.toml
# What the benchmarks run beside Baton has nothing to do with the other pins.
pin ../../tests/bench/peers/requirements.txt tests/bench/peers/requirements.in
pin build.txt --constraint packaging/requirements/test.txt packaging/requirements/build.in
version=$(sed -n 's/^opencv-python==\([^ ]*\).*/\1/p' packaging/requirements/all.txt)
echo "opencv-python-headless==$version" |
    pin headless.txt --constraint packaging/requirements/test.txt -
