#!/bin/sh
# Puts the stock JavaScript SDK, pinned by its checksum, into .venv/js for the acceptance tests.
# Without npm or without the network it says so and goes on: the tests that need it do not pass.
set -eu

cd "$(dirname "$0")/../.."
pins=packaging/requirements/js
folder=.venv/js

if cmp -s "$pins/package-lock.json" "$folder/.complete"; then
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "Going on without the JavaScript SDK: there is no npm. Type:" >&2
    echo "    sudo apt-get install nodejs npm" >&2
    exit 0
fi

echo "Installing the pinned JavaScript SDK."
mkdir -p "$folder"
cp "$pins/package.json" "$pins/package-lock.json" "$folder/"
# Its optional peers (language models) are not wanted, and pull one another into conflicts.
if npm ci --prefix "$folder" --legacy-peer-deps --ignore-scripts --no-audit --no-fund >&2; then
    cp "$pins/package-lock.json" "$folder/.complete"
else
    echo "Going on without the JavaScript SDK. Tests that need it will not pass." >&2
fi
