#!/usr/bin/env bash
# Install a lock file and Carillon itself; what is there already is not fetched again.
set -eu
venv=$1 lock=$2
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes --requirement "$lock"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable .
"$venv/bin/python" -m compileall -q src >/dev/null || true
