#!/bin/sh
# Prints the Python to build the virtual environment with: $PYTHON if it is set, else the first of
# the usual names that is 3.11 or newer. A name that exists may still not run (shims of version
# switchers do not), so each is asked.
set -eu

for name in "${PYTHON:-python3}" python3.11 python3.12 python3.13 python3.14 /usr/bin/python3; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        command -v "$name"
        exit 0
    fi
    if [ -n "${PYTHON:-}" ]; then
        echo "PYTHON=$PYTHON is not a Python of version 3.11 or newer." >&2
        exit 1
    fi
done

echo "Python 3.11 or newer is needed. On Debian 12 type:" >&2
echo "    sudo apt-get install python3 python3-venv" >&2
exit 1
