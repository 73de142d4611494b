#!/usr/bin/env bash
# Shows what conversions promise: bash tests/faults/trust.sh [--smoke]
#
# 1. Conversions of the shared data that are killed at random moments and given again:
#    all have to end with the same SHA-256, and none may show a partial file.
# 2. The memory of planning and of workers, from 1,000 slices on.
# 3. The SHA-256 of Apache Beam's data sets beside the local one.
# 4. The search for identifying values, in planted leaks and in real output.
#
# Needs the environment that tools/test.sh makes (or a PYTHON of your own), and the time
# for a walk; --smoke takes minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PYTHON="${PYTHON:-$(echo .venv/tf221-*/bin/python)}"

CONVERSIONS=50 SLICES=1000,10000,100000 FILES=6300
[[ "${1:-}" != --smoke ]] || CONVERSIONS=2 SLICES=500,1000 FILES=100

say() { printf '\n== %s\n' "$*"; }

say "killed conversions"
"$PYTHON" -m tests.faults.killed_conversions "$CONVERSIONS"
say "memory and time"
"$PYTHON" benchmarks/scale.py --slices="$SLICES"
say "Apache Beam beside local processes"
"$PYTHON" benchmarks/beam.py --files="$FILES"
say "identifying values"
"$PYTHON" -m tests.faults.planted_people 2>/dev/null
