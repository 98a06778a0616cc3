#!/usr/bin/env bash
# Make the virtual environment of this checkout and install what is pinned. Called by make.
#
#   tools/install.sh run|dev VENV
#
# Instant when nothing changed: a stamp inside the environment holds a checksum of what was installed. An environment
# that was only half made (a kill, a full disk, a removed Python) is made again.
set -euo pipefail

UV_VERSION=0.13.9
kind=$1
venv=$2
cd "$(dirname "$0")/.."

case $kind in
  run) lock=requirements.txt ;;
  dev) lock=requirements-dev.txt ;;
  *) echo "usage: tools/install.sh run|dev VENV" >&2; exit 2 ;;
esac

say() { printf '%s\n' "$*" >&2; }

is_usable_python() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python; do
    if is_usable_python "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  say "Python 3.11, 3.12 or 3.13 (with its venv module) is needed and was not found on the PATH."
  say "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.12"
  return 1
}

# What a stamp must say: the lock, what pyproject.toml says about the package, and where the checkout is.
checksum() {
  { cat "$1"; sed -n '/^\[build-system\]/,/^\[tool\.ruff/p' pyproject.toml; pwd -P; } | cksum | tr ' ' '-'
}

is_ours() { [[ $(realpath -m "$venv") == "$(pwd -P)"/* ]]; }

is_installed() { [[ -f $venv/.installed-$1 && $(<"$venv/.installed-$1") == "$(checksum "$2")" ]]; }

if is_usable_python "$venv/bin/python"; then
  if ! is_ours || is_installed dev requirements-dev.txt; then
    exit 0 # the development lock is the same resolution with more packages in it
  elif [[ $kind == run ]] && is_installed run requirements.txt; then
    exit 0
  fi
fi

if ! is_ours; then
  say "There is no usable Python in $venv, and it lies outside this checkout: make it, or leave VENV out"
  exit 1
fi

if ! is_usable_python "$venv/bin/python" || ! "$venv/bin/uv" --version >/dev/null 2>&1; then
  python=$(find_python)
  say "Creating $venv with $("$python" --version) ..."
  "$python" -m venv --clear "$venv"
  say "Installing uv $UV_VERSION ..."
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
fi

say "Installing the packages pinned in $lock (half a minute; longer on a slow line) ..."
rm -f "$venv/.installed-run" "$venv/.installed-dev"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" -r "$lock"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps -e .
checksum "$lock" > "$venv/.installed-$kind"
