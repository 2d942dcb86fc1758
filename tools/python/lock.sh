#!/usr/bin/env bash
# Refreshes the lock files from the .in files:  ./bazelw run //tools/python:lock
# Pins stay as they are unless an .in file asks for something else; `-- --upgrade` takes the newest.
set -euo pipefail
uv="$(realpath "$1")"
shift
cd "${BUILD_WORKSPACE_DIRECTORY:?use: ./bazelw run //tools/python:lock}/tools/python/requirements"

# Wheels that only this machine has must not end up in a lock.
unset UV_FIND_LINKS

# cpu first: the others are constrained by it.
for name in uv cpu cuda peers; do
  echo "$name.in -> $name.lock"
  "$uv" pip compile "$name.in" --output-file "$name.lock" --config-file uv.toml --quiet \
    --generate-hashes --no-emit-index-url --python-version 3.11 \
    --python-platform x86_64-manylinux_2_31 \
    --custom-compile-command "./bazelw run //tools/python:lock" "$@"
done
