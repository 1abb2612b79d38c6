#!/usr/bin/env bash
# The tests: in parallel first, then those that run whole processes, one after the other.
set -eu
cd "$(dirname "$0")/.."
status=0
.venv/bin/python -m pytest -n "${CARILLON_TEST_PROCESSES:-2}" --dist loadfile -m "not acceptance" "$@" || status=$?
# 5: the selection in ARGS left nothing in this half.
[ "$status" -eq 0 ] || [ "$status" -eq 5 ] || exit "$status"
second=0
.venv/bin/python -m pytest -n 0 -m acceptance "$@" || second=$?
if [ "$status" -eq 5 ] && [ "$second" -eq 5 ]; then
  echo "No test matches: $*" >&2
  exit 5
fi
[ "$second" -eq 0 ] || [ "$second" -eq 5 ] || exit "$second"
