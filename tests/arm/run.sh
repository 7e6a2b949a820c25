#!/usr/bin/env bash
# Checks on an emulated aarch64 what must be the same bits on every processor: the tests whose name says "everywhere".
# Needs root and Debian's packages qemu-user-static and mmdebstrap. Everything is put into build/arm and kept there.
set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p build/arm
python=${PYTHON:-.venv/bin/python}
root=$PWD/build/arm/root
site=$PWD/build/arm/site

for tool in qemu-aarch64-static mmdebstrap; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: $tool is not installed (Debian packages qemu-user-static, mmdebstrap)"
        exit 0
    fi
done
if [ "$(id -u)" != 0 ]; then
    echo "skipped: a foreign root directory needs root"
    exit 0
fi

# Unpacked only: nothing of the foreign system runs before the tests do
if [ ! -e "$root/usr/bin/python3.11" ]; then
    mmdebstrap --quiet --variant=extract --arch=arm64 --include=python3,libgomp1,libstdc++6 bookworm "$root"
fi

# The newest torch whose aarch64 build runs under user-mode emulation, which is also a second release to agree with
if [ ! -e "$site/ready" ]; then
    # All by name and nothing by dependency: pip would take this machine's processor for the other one's
    sed '/^torch==/d' constraints.txt >build/arm/constraints.txt
    "$python" -m pip install --quiet --no-deps --target "$site" --only-binary=:all: --constraint build/arm/constraints.txt \
        --implementation cp --python-version 3.11 --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
        torch==2.7.1 filelock fsspec Jinja2 MarkupSafe mpmath networkx sympy typing_extensions \
        numpy bitarray protobuf pytest pytest-asyncio iniconfig packaging pluggy Pygments hypothesis sortedcontainers
    touch "$site/ready"
fi

# The directories of this machine are seen as they are; only the foreign loader and libraries come from the root
emulated() {
    PYTHONPATH="$site:$PWD/node:$PWD" PYTHONHOME="$root/usr" PYTHONDONTWRITEBYTECODE=1 \
        LD_LIBRARY_PATH="$root/usr/lib/aarch64-linux-gnu" qemu-aarch64-static -L "$root" \
        "$root/usr/bin/python3.11" "$@"
}
emulated -c 'import platform, torch, numpy; print(platform.machine(), "torch", torch.__version__, "numpy", numpy.__version__)'
# constriction has neither a build for aarch64 nor a source to make one from: what it is given is checked, not what it makes of it
mapfile -t tests < <(grep --files-with-matches --extended-regexp '^def test_\w+_everywhere' --recursive --include='test_*.py' --exclude-dir=deploy tests)
emulated -m pytest -p no:cacheprovider -rs -k everywhere "${tests[@]}"
