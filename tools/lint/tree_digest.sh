#!/usr/bin/env bash
# Bazel's workspace status (.bazelrc): a line that changes whenever a source file of this checkout
# does. Tests that read the whole tree depend on it through //tools/lint:tree_digest; so they run
# again after every change, also of a file that no target owns, and only then.
set -euo pipefail
{
  find . -mindepth 1 \
    \( -name '.?*' -not -name .clang-format -o -name 'bazel-*' -o -path ./data -o -path ./node_modules -o -path ./runs \) -prune -o \
    -type f \( -name '*.py' -o -name '*.toml' -o -name '*.bzl' -o -name BUILD -o -name WORKSPACE \
    -o -name '*.cc' -o -name '*.cu' -o -name '*.h' -o -name .clang-format \) \
    -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  # A linter that was missing may have been installed.
  command -v buildifier || true
  ls node_modules/@bazel/buildifier 2>/dev/null || true
} | sha256sum | sed 's/^/STABLE_TREE_DIGEST /'
