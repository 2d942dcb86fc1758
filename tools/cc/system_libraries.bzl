"""GoogleTest, Google Benchmark and clang from the system's packages.

Where one is missing, what needs it is skipped by name. After installing it, `bazel shutdown` makes
the next build look again.
"""

_GOOGLETEST_BUILD = """\
package(default_visibility = ["//visibility:public"])

cc_library(
    name = "gtest_main",
    srcs = [
        "source/googletest/src/gtest-all.cc",
        "source/googletest/src/gtest_main.cc",
    ],
    hdrs = glob(["source/googletest/include/**/*.h"]),
    copts = [
        "-O0",
        "-w",
    ],
    includes = [
        "source/googletest",
        "source/googletest/include",
    ],
    linkopts = ["-pthread"],
    textual_hdrs = glob([
        "source/googletest/src/*.cc",
        "source/googletest/src/*.h",
    ]),
)
"""

_BENCHMARK_BUILD = """\
package(default_visibility = ["//visibility:public"])

cc_library(
    name = "benchmark",
    hdrs = glob(["include/benchmark/*.h"]),
    includes = ["include"],
    linkopts = [
        "-lbenchmark",
        "-pthread",
    ],
)

cc_library(
    name = "benchmark_main",
    linkopts = ["-lbenchmark_main"],
    deps = [":benchmark"],
)
"""

_MISSING_BUILD = """\
cc_library(
    name = "{name}",
    target_compatible_with = ["@roadmark//tools/cc:not_installed"],
    visibility = ["//visibility:public"],
)
"""

def _missing(names):
    return "\n".join([_MISSING_BUILD.format(name = name) for name in names])

def _system_googletest_impl(rctx):
    source = rctx.path("/usr/src/googletest")
    if not source.get_child("googletest").exists:
        rctx.file("BUILD.bazel", _missing(["gtest_main"]), executable = False)
        return
    rctx.symlink(source, "source")
    rctx.file("BUILD.bazel", _GOOGLETEST_BUILD, executable = False)

# The sources that Debian's package `googletest` installs: an archive built with other flags is
# what GoogleTest's authors warn of.
system_googletest = repository_rule(implementation = _system_googletest_impl, local = True)

def _system_benchmark_impl(rctx):
    headers = rctx.path("/usr/include/benchmark")
    if not headers.exists:
        rctx.file("BUILD.bazel", _missing(["benchmark", "benchmark_main"]), executable = False)
        return
    rctx.symlink(headers, "include/benchmark")
    rctx.file("BUILD.bazel", _BENCHMARK_BUILD, executable = False)

# Debian's package `libbenchmark-dev`.
system_benchmark = repository_rule(implementation = _system_benchmark_impl, local = True)

_FUZZER = """\
extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }
"""

# Links to the system's compiler: its own folder has its headers.
_CLANG_BUILD = """\
exports_files(["clang"], visibility = ["//visibility:public"])
"""

def _system_clang_impl(rctx):
    clang = rctx.which("clang++")
    rctx.file("probe.cc", _FUZZER, executable = False)
    if not clang or rctx.execute([clang, "-fsanitize=fuzzer,address", "probe.cc", "-o", "probe"]).return_code != 0:
        rctx.file("BUILD.bazel", _missing(["clang"]), executable = False)
        return
    rctx.file("clang", "#!/bin/sh\nexec %s \"$@\"\n" % clang)
    rctx.file("BUILD.bazel", _CLANG_BUILD, executable = False)

# Debian's package `clang`, with libFuzzer.
system_clang = repository_rule(implementation = _system_clang_impl, local = True)
