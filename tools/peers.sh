#!/usr/bin/env bash
# Installs what the benchmarks compare tfdicom with: bash tools/peers.sh
#
# Needs Python 3.11 and a network or a mirror for pip (3 GB). The environment, .venv/peers,
# is the peers' own: the tests never use it, and tfdicom is not in it. A peer that cannot
# be installed here is left out with a line. The Keras peers need none of this: they run
# beside tfdicom.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

PINS="$ROOT/requirements/peers.txt"
ENVIRONMENT="$ROOT/.venv/peers"
PYTHON="$(find_python python3.11)" || { echo "Needs Python 3.11 with venv." >&2; exit 1; }
[[ -x "$ENVIRONMENT/bin/python" ]] || "$PYTHON" -m venv "$ENVIRONMENT"

install() { # PACKAGE...
  "$ENVIRONMENT/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint "$PINS" "$@"
}

say "torch, OpenCV, NumPy"
install torch numpy opencv-python-headless
for peer in albumentations batchgeneratorsv2 itk monai nvidia-dali-cuda120 pydicom \
  torchio; do
  say "$peer"
  install "$peer" || echo "$peer cannot be installed here: left out"
done

say "python benchmarks/reader.py --peers_python=$ENVIRONMENT/bin/python"
say "python benchmarks/convert.py --peers_python=$ENVIRONMENT/bin/python"
