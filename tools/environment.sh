# Sourced by test.sh and demo.sh: the checkout's ROOT, and virtual environments made
# from the exact pins in requirements/.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# Tools keep caches under $HOME, which a bare machine may not set.
if [[ ! -d "${HOME:-}" ]]; then
  export HOME="$ROOT/.cache/home"
  mkdir -p "$HOME"
fi

say() { printf '\n== %s\n' "$*"; }

# install_with_apt PACKAGE...: fails where there is no apt or no right to use it.
install_with_apt() {
  local as_root=()
  command -v apt-get >/dev/null || return 1
  if [[ "$(id -u)" != 0 ]]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null || return 1
    as_root=(sudo -n)
  fi
  "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "$@"
}

# find_python NAME...: prints the first of these commands that is Python 3.11 or later
# and can make virtual environments (Debian splits that off).
find_python() {
  local name
  for name in "$@"; do
    if "$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
      2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

# make_environment PINS PYTHON: sets ENVIRONMENT to the folder of a virtual environment
# with requirements/PINS.txt and this checkout in it. One that was made whole from the
# same pins by the same Python is used again.
make_environment() {
  local pins="$ROOT/requirements/$1.txt" python="$2" key
  key="$({ cat "$pins" "$ROOT/setup.py"; echo "$ROOT"; "$python" -VV; } | sha256sum)"
  ENVIRONMENT="$ROOT/.venv/$1-${key:0:12}"
  [[ -e "$ENVIRONMENT/complete" ]] && return
  say "making $ENVIRONMENT with $("$python" --version) (minutes, the first time)"
  rm -rf "$ROOT/.venv/$1-"*
  "$python" -m venv "$ENVIRONMENT" &&
    "$ENVIRONMENT/bin/python" -m pip install --quiet --disable-pip-version-check \
      -r "$pins" &&
    "$ENVIRONMENT/bin/python" -m pip install --quiet --disable-pip-version-check \
      --no-deps --no-build-isolation --editable "$ROOT" &&
    touch "$ENVIRONMENT/complete"
}
