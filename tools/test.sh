#!/usr/bin/env bash
# Tests everything: bash tools/test.sh
#
# Needs Python 3.11 and a network or a mirror for pip. It makes two virtual environments
# under .venv/ (kept for the next run), then runs the linter, the type checker and
# - all tests under the newest TensorFlow; those of the pages in a browser want chromium,
#   which is installed first where apt may do that;
# - under TensorFlow 2.15.1, the last with Estimators, the tests whose imports lead to
#   TensorFlow (tools/build_files.py knows them), without slow ones other than those
#   marked estimator;
# - `bazel test //...`, each test file with only what it imports; bazel-bootstrap is
#   installed first where apt may do that.
# The table at the end says what passed, failed or was left out, and why.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$ROOT"
exec </dev/null

LOGS="$(mktemp -d)"
trap 'rm -rf "$LOGS"' EXIT
TABLE=()
CLOSING_LINES=()
FAILED=0

report() { # STAGE RESULT SECONDS
  TABLE+=("$(printf '%-34s %7s s  %s' "$1" "$3" "$2")")
}

# stage NAME COMMAND...: runs a command, times it, and goes on whatever comes of it.
stage() {
  local name="$1" start=$SECONDS result=passed
  shift
  say "$name"
  "$@" || { result=FAILED && FAILED=1; }
  report "$name" "$result" $((SECONDS - start))
  [[ "$result" == passed ]]
}

left_out() { # STAGE REASON
  say "$1: left out, $2"
  report "$1" "left out: $2" 0
}

# run_pytest PYTEST_ARGUMENT...: one process for each processor, a file in one of them
# (its fixtures are made once); keeps pytest's last line for the end of the output.
run_pytest() {
  local status=0
  "$ENVIRONMENT/bin/python" -m pytest -n auto --dist loadfile "$@" 2>&1 | tee "$LOGS/pytest" || status=$?
  CLOSING_LINES+=("$(grep '^screenshots: ' "$LOGS/pytest"; tail -n 1 "$LOGS/pytest")")
  return $status
}

estimator_tests() {
  local files
  files="$("$ENVIRONMENT/bin/python" tools/build_files.py --tests_of=tensorflow)"
  [[ -n "$files" ]] || { echo "no test imports TensorFlow"; return 1; }
  # shellcheck disable=SC2086  # One word for each file.
  run_pytest -m "estimator or not slow" $files
}

bazel_tests() {
  local status=0
  local bazel=(bazel --output_user_root="$ROOT/.cache/bazel")
  TFDICOM_PYTHON="$ENVIRONMENT/bin/python" "${bazel[@]}" test //... || status=$?
  "${bazel[@]}" shutdown || true
  return $status
}

has_browser() {
  command -v chromium || command -v chromium-browser || command -v google-chrome
}

newest_tensorflow() {
  local bin="$ENVIRONMENT/bin"
  has_browser >/dev/null || install_with_apt chromium >/dev/null ||
    left_out "tests in a browser" "no chromium, and no right to apt-get install it"
  stage "ruff check" "$bin/ruff" check . || true
  stage "ruff format --check" "$bin/ruff" format --check . || true
  stage "mypy" "$bin/mypy" || true
  stage "BUILD files" "$bin/python" tools/build_files.py --check || true
  stage "pytest, TensorFlow 2.21" run_pytest -m "not estimator" || true
  if command -v bazel >/dev/null || install_with_apt bazel-bootstrap; then
    stage "bazel test //..." bazel_tests || true
  else
    left_out "bazel test //..." "no bazel, and no right to apt-get install it"
  fi
}

PYTHON="$(find_python python3.11 python3.12 python3.13 python3 python)" ||
  PYTHON="$(install_with_apt python3-venv >&2 && find_python python3.11 python3)" ||
  { echo "Needs Python 3.11 or later, with venv (Debian: python3-venv)." >&2; exit 1; }

if stage "environment, TensorFlow 2.21" make_environment tf221 "$PYTHON"; then
  newest_tensorflow
fi
if [[ "$("$PYTHON" --version)" != "Python 3.11."* ]]; then
  left_out "pytest, TensorFlow 2.15" "it needs Python 3.11, and there is none"
elif stage "environment, TensorFlow 2.15" make_environment tf215 "$PYTHON"; then
  stage "pytest, TensorFlow 2.15" estimator_tests || true
fi

say "summary"
printf '%s\n' "${TABLE[@]}" "${CLOSING_LINES[@]}"
exit "$FAILED"
