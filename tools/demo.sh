#!/usr/bin/env bash
# Shows tfdicom at work: bash tools/demo.sh [ARGUMENT OF examples/demo.py]...
#
# Needs Python 3.11 and a network or a mirror for pip; the virtual environment that it
# makes under .venv/ is kept for the next run.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

PYTHON="$(find_python python3.11 python3.12 python3.13 python3 python)" ||
  { echo "Needs Python 3.11 or later, with venv (Debian: python3-venv)." >&2; exit 1; }
make_environment tf221 "$PYTHON"
PATH="$ENVIRONMENT/bin:$PATH" exec "$ENVIRONMENT/bin/python" "$ROOT/examples/demo.py" "$@"
