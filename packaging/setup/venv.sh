#!/bin/sh
# Makes .venv with the pinned requirements and the project itself, editable. Run again it repairs
# and renews what is there. Called by `make setup`, which knows when nothing has changed.
set -eu

cd "$(dirname "$0")/../.."
setup=packaging/setup
venv=.venv

pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"
}

install_pinned() {
    # The files hold the whole closure: nothing is resolved, and nothing unpinned slips in.
    pip install --quiet --no-deps --require-hashes --requirement "packaging/requirements/$1"
}

is_usable() {
    "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
        pip --version >/dev/null 2>&1
}

if ! is_usable; then
    python=$($setup/find-python.sh)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian ships them apart from Python itself, named by its version.
        version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        $setup/debian-packages.sh "a virtual environment" "$version-venv"
    fi
    echo "Making $venv with $("$python" --version) ($python)."
    "$python" -m venv --clear "$venv"
fi

echo "Installing the pinned requirements."
install_pinned test.txt
# Editable, so that .venv/bin/baton runs this very tree. The build back end is pinned, too.
pip install --quiet --no-deps --no-build-isolation --editable .

# The windows of OpenCV want libGL and GLib, which a bare machine lacks. Nothing here opens a window.
if ! "$venv/bin/python" -c 'import cv2' 2>/dev/null &&
    ! { $setup/debian-packages.sh "OpenCV" libgl1 libglib2.0-0 &&
        "$venv/bin/python" -c 'import cv2'; }; then
    echo "Taking the build of OpenCV without windows instead, which needs no package of the system."
    pip uninstall --quiet --yes opencv-python
    install_pinned headless.txt
    "$venv/bin/python" -c 'import cv2'
fi

# As an installation leaves it; without, and with PYTHONDONTWRITEBYTECODE, each start compiles it all.
"$venv/bin/python" -m compileall -q edge sync devices workflows

echo "Ready: $venv/bin/baton"
