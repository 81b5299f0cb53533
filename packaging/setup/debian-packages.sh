#!/bin/sh
# Installs Debian packages that are missing: as root or with a sudo that asks for no password.
# Otherwise it says exactly what to type, and fails.
#
#     debian-packages.sh PURPOSE PACKAGE...
set -eu

purpose=$1
shift

missing=
for package in "$@"; do
    # Looked up one at a time: dpkg-query fails as a whole when it does not know one of them.
    if ! dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null |
        grep -qx installed; then
        missing="$missing $package"
    fi
done
if [ -z "$missing" ]; then
    exit 0
fi

say() {
    echo "$purpose needs packages that are not installed. Type:" >&2
    echo "    sudo apt-get install$missing" >&2
}

if ! command -v apt-get >/dev/null; then
    echo "$purpose needs, in the words of Debian:$missing. Install what your system calls them." >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    say
    exit 1
fi

echo "Installing$missing (for $purpose)." >&2
# Old lists may do: a machine without network may have the packages in its cache.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update --quiet --quiet >&2 ||
    echo "The package lists could not be renewed; trying with the old ones." >&2
# shellcheck disable=SC2086  # the words of $missing are package names
if ! $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install --quiet --quiet --yes --no-install-recommends $missing >&2; then
    say
    exit 1
fi
