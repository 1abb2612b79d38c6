#!/usr/bin/env bash
# Resolve pyproject.toml into the two lock files. They name no index, so a mirror works (docs/adr/0002).
set -eu
cd "$(dirname "$0")/.."
compile() { .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"; }
compile pyproject.toml -o requirements.lock "${@}"
compile pyproject.toml --group dev -o requirements-dev.lock "${@}"
