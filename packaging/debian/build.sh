#!/usr/bin/env bash
# Makes a Debian package from the wheel: a virtual environment under /opt/baton with the pinned
# requirements, units, users, folders and examples.
#
#     build.sh DIST [--requirements FILE] [--without-dependencies]
#
# DIST holds the wheel and receives the package. FILE is one of packaging/requirements/: all.txt (default) or
# device.txt, which leaves the vision libraries out. Without dependencies the package shows its
# layout and cannot run; tests look at that.
set -euo pipefail
umask 022

cd "$(dirname "$0")/../.."
dist=$1
shift
requirements=all.txt
while [ $# -gt 0 ]; do
    case $1 in
        --requirements) requirements=$2; shift ;;
        --without-dependencies) requirements= ;;
        *) echo "build.sh does not know $1" >&2; exit 2 ;;
    esac
    shift
done

python=${PYTHON:-.venv/bin/python}
wheels=("$dist"/baton-*.whl)
if [ ${#wheels[@]} -ne 1 ] || [ ! -f "${wheels[0]}" ]; then
    echo "Expected one wheel in $dist, found: ${wheels[*]}. Empty it, then run make package." >&2
    exit 1
fi
wheel=${wheels[0]}
version=$(basename "$wheel" | cut -d - -f 2)
architecture=$(dpkg --print-architecture)
series=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
next=$("$python" -c 'import sys; print("%d.%d" % (sys.version_info[0], sys.version_info[1] + 1))')

# A short path: the scripts of the environment begin with it until they are rewritten.
root=$(mktemp -d /tmp/deb.XXXXXX)
trap 'rm -rf "$root"' EXIT
home=$root/opt/baton
mkdir -p "$home"

install_into() {
    "$python" -m pip --disable-pip-version-check --no-input --python "$home/bin/python" \
        install --quiet --no-deps --no-compile "$@"
}

"$python" -m venv --without-pip --symlinks "$home"
if [ -n "$requirements" ]; then
    # Windows are not opened on a device: the build without them needs no library of the system.
    grep -q '^opencv-python==' "packaging/requirements/$requirements" &&
        install_into --require-hashes --requirement packaging/requirements/headless.txt
    "$python" packaging/debian/without.py opencv-python "packaging/requirements/$requirements" \
        >"$root/requirements.txt"
    install_into --require-hashes --requirement "$root/requirements.txt"
    rm "$root/requirements.txt"
fi
install_into "$wheel"

# The environment was made here and will live there, with the interpreter of the distribution.
packages=$home/lib/python$series/site-packages
find "$home/bin" -mindepth 1 ! -name baton -delete
ln -s "/usr/bin/python$series" "$home/bin/python3"
ln -s python3 "$home/bin/python"
sed -i '1s|^#!.*|#!/opt/baton/bin/python3|' "$home/bin/baton"
printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = %s\n' "$series" \
    >"$home/pyvenv.cfg"
# Where the wheel lay on this machine is nobody's business.
rm -f "$packages"/baton-*.dist-info/direct_url.json
# The daemon cannot write there, so what Python would keep for its next start is made now.
"$python" -m compileall -q -s "$root" -p / --invalidation-mode unchecked-hash "$packages" || {
    echo "Some files of the libraries are no Python $series; they are not compiled." >&2
}

install -D -m 644 -t "$root/usr/lib/systemd/system" packaging/systemd/*.service
install -D -m 644 packaging/systemd/baton.sysusers "$root/usr/lib/sysusers.d/baton.conf"
install -D -m 644 packaging/systemd/baton.tmpfiles "$root/usr/lib/tmpfiles.d/baton.conf"
install -D -m 640 -t "$root/etc/baton" packaging/config/*.toml
install -D -m 644 -t "$home/share/doc/baton" docs/*.md LICENSE
mkdir -p "$root/usr/bin"
ln -s /opt/baton/bin/baton "$root/usr/bin/baton"

mkdir "$root/DEBIAN"
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" \
    -e "s|@PYTHON@|python3 (>= $series), python3 (<< $next)|" \
    packaging/debian/control.in >"$root/DEBIAN/control"
(cd "$root" && printf '/%s\n' etc/baton/*.toml) >"$root/DEBIAN/conffiles"
install -m 755 -t "$root/DEBIAN" packaging/debian/postinst packaging/debian/prerm \
    packaging/debian/postrm

package=$dist/baton_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zzstd -z6 --build "$root" "$package" >/dev/null
echo "$package ($(du -h "$package" | cut -f 1))"
