"""Python rules: the native ones on the locked interpreter, with pytest for tests."""

# The folder under which `import roadmark` is found.
_ROOT = "python"

# Keeps `roadmark` an ordinary package in every program that uses part of it.
_PACKAGE = "//python/roadmark:package"

def _import_path():
    """How to reach _ROOT from the calling package, as `imports` wants it."""
    parts = native.package_name().split("/")
    if parts[0] != _ROOT:
        return []
    return ["/".join([".."] * (len(parts) - 1)) or "."]

def _with_package(name, deps):
    if "//%s:%s" % (native.package_name(), name) == _PACKAGE:
        return deps
    return deps + ([] if _PACKAGE in deps else [_PACKAGE])

def py_library(name, deps = [], imports = [], **kwargs):
    native.py_library(
        name = name,
        deps = _with_package(name, deps),
        imports = _import_path() + imports,
        **kwargs
    )

def py_binary(name, deps = [], **kwargs):
    native.py_binary(
        name = name,
        deps = _with_package(name, deps),
        imports = _import_path(),
        python_version = "PY3",
        **kwargs
    )

def py_test(name, srcs, size = "small", timeout = "short", deps = [], args = [], **kwargs):
    """A test whose `srcs` are run by pytest; takes --test_filter and shard_count.

    `size` tells Bazel what the test uses, not how long it may take: .bazelrc gives every test ten
    minutes, so that a busy laptop fails none and Bazel does not lecture about fast ones. A manual
    test that needs longer says `timeout = "eternal"`.
    """
    native.py_test(
        name = name,
        size = size,
        timeout = timeout,
        srcs = srcs + ["//tools/python:pytest_main.py"],
        main = "//tools/python:pytest_main.py",
        args = ["$(rootpath %s)" % src for src in srcs] + args,
        deps = _with_package(name, deps) + ["@pypi//:pytest"],
        imports = _import_path(),
        python_version = "PY3",
        **kwargs
    )
