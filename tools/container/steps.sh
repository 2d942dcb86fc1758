#!/usr/bin/env bash
# The steps of the container images. The Dockerfiles run them, and so does tools/container/try.sh:
#   steps.sh build cpu|cuda   on Debian 12, as root, in a checkout: fills /opt/roadmark
#   steps.sh run              on Debian 12 with /opt/roadmark: what running it as a user needs
set -euo pipefail
target=/opt/roadmark

install_packages() {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
  rm -rf /var/lib/apt/lists/*
}

build() {
  local accelerator="$1" app apps
  install_packages bazel-bootstrap ca-certificates g++ git python3.11 python3.11-dev python3.11-venv
  cd "$(dirname "${BASH_SOURCE[0]}")/../.."
  # The benchmark's peers stay out.
  apps="$(./bazelw query 'kind("py_binary", //python:all) except //python:benchmark')"
  # shellcheck disable=SC2086 # A word for each app.
  ./bazelw build "--define=accelerator=$accelerator" $apps
  mkdir -p "$target/bin"
  cp -a "$(./bazelw info output_base)/external/python_$accelerator/venv" "$target/venv"
  for app in $apps; do
    app="${app#//python:}"
    # What is linked here are the program's sources, and what Bazel made for it.
    (cd "bazel-bin/python/$app.runfiles/roadmark" &&
      tar --create --dereference --exclude=./external --exclude="./python/$app" .) |
      tar --extract --directory="$target"
  done
  cp -r configs "$target/"
  install -m 755 tools/container/{roadmark,healthy,steps.sh,bill_of_materials.py} "$target/bin/"
  cp "tools/python/requirements/$accelerator.lock" "$target/requirements.lock"
}

run() {
  install_packages ca-certificates libgomp1 libstdc++6 python3.11
  ln -sf "$target/bin/roadmark" /usr/local/bin/roadmark
  "$target/bin/bill_of_materials.py" "$target/requirements.lock" >"$target/bill_of_materials.cdx.json"
  useradd --create-home --uid 10001 roadmark
  install -d -o roadmark -g roadmark /work
}

"$@"
