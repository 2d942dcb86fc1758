"""C++ rules: the native ones with this project's flags."""

COPTS = [
    "-O3",
    "-Wall",
    "-Wextra",
    "-Werror=return-type",
    # The same bits on every CPU: a fused multiply-add rounds once where two instructions round
    # twice, and only some CPUs have it.
    "-ffp-contract=off",
    # Neither changes a result; both stand in the way of vectorising a conditional.
    "-fno-math-errno",
    "-fno-trapping-math",
]

def cc_library(name, copts = [], **kwargs):
    native.cc_library(name = name, copts = COPTS + copts, **kwargs)

def cc_test(name, size = "small", copts = [], deps = [], **kwargs):
    """A GoogleTest; see py_test in //tools/python:defs.bzl about `size` and `timeout`."""
    native.cc_test(
        name = name,
        size = size,
        timeout = "short",
        copts = COPTS + copts,
        deps = deps + ["@googletest//:gtest_main"],
        **kwargs
    )

def cc_benchmark(name, copts = [], deps = [], **kwargs):
    """A Google Benchmark: `bazel run //cc/nms:nms_benchmark`."""
    native.cc_binary(
        name = name,
        testonly = True,
        copts = COPTS + copts,
        deps = deps + ["@benchmark//:benchmark_main"],
        **kwargs
    )
