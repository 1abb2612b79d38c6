#!/usr/bin/env bash
# Make the virtual environment: a Python of at least 3.11, and uv inside it.
set -eu
venv=$1
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Carillon needs Python 3.11 or newer; '$PYTHON' is not. Name another: make PYTHON=python3.12 …" >&2
  exit 1
fi
if ! "$PYTHON" -m venv "$venv"; then
  echo "Python's venv module does not work; on Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 1
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
