#!/usr/bin/env bash
# What must hold of the code before it is tested. CI runs exactly this.
set -u
cd "$(dirname "$0")/.."
failed=()
run() {
  local name=$1
  shift
  if "$@" >&2; then echo "ok   $name" >&2; else echo "FAIL $name" >&2; failed+=("$name"); fi
}
run format .venv/bin/ruff format --check --quiet .
run lint .venv/bin/ruff check --quiet .
run types .venv/bin/mypy
run layers env PYTHONPATH=scripts .venv/bin/lint-imports --no-logo
run dependencies .venv/bin/deptry src
if [ "${#failed[@]}" -gt 0 ]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
