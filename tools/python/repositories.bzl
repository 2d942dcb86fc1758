"""The locked Python environments as Bazel repositories.

  @uv            the locked installer, and the interpreter that all environments share
  @python_cpu    what everything runs on
  @python_cuda   the same with CUDA TensorFlow; taken with --config=cuda
  @python_peers  the libraries that the benchmark compares with
  @pypi          the names that BUILD files use; reads the lock files, installs nothing

Each environment is fetched when a build first needs it, so none costs anything to who never uses
it, and switching between them neither fetches nor removes anything.
"""

load(":interpreter.bzl", "find_python")
load(":lock_file.bzl", "read_pins")

_PYTHON_VERSION = "3.11"

# Source distributions; they are built here, so what builds them is there first.
_BUILT_FROM_SOURCE = ["tf-models-research-object-detection"]
_BUILD_BACKEND = "setuptools"

def _run(rctx, what, arguments, **kwargs):
    rctx.report_progress(what)
    result = rctx.execute(arguments, timeout = 3600, **kwargs)
    if result.return_code != 0:
        lines = (result.stdout + result.stderr).strip().split("\n")[-15:]
        fail("\n\n%s failed:\n\n%s\n" % (what, "\n".join(["  " + line for line in lines])))

def _uv_impl(rctx):
    lock = rctx.path(rctx.attr.lock)
    python = find_python(rctx, _PYTHON_VERSION)
    _run(rctx, "creating a virtualenv", [python["executable"], "-I", "-m", "venv", "venv"])
    _run(rctx, "installing uv", [
        "venv/bin/python",
        "-I",
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-input",
        "--only-binary=:all:",
        "--progress-bar=off",
        "--require-hashes",
        "--requirement=" + str(lock),
    ])
    rctx.symlink("venv/bin/uv", "uv")
    rctx.file("python.json", json.encode(python), executable = False)
    rctx.file(
        "BUILD.bazel",
        'exports_files(["uv"], visibility = ["//visibility:public"])\n',
        executable = False,
    )

_uv = repository_rule(
    implementation = _uv_impl,
    attrs = {"lock": attr.label(mandatory = True)},
    environ = ["ROADMARK_PYTHON"],
)

_ENVIRONMENT_BUILD = """\
package(default_visibility = ["//visibility:public"])

exports_files(["python"])

# The toolchain's interpreter is the environment's own, by absolute path: programs see its
# site-packages, and Bazel need not link 30,000 files into every sandbox.
py_runtime(
    name = "runtime",
    interpreter_path = "{launcher}",
    python_version = "PY3",
    stub_shebang = "#!{interpreter}",
)
"""

# For extension modules in C++.
_HEADERS_BUILD = """
cc_library(
    name = "python_headers",
    hdrs = glob(["python_include/**/*.h"]),
    includes = ["python_include"],
)

cc_library(
    name = "pybind11_headers",
    hdrs = glob(["pybind11_include/**/*.h"]),
    includes = ["pybind11_include"],
    deps = [":python_headers"],
)
"""

# For TensorFlow ops in C++. What they link with is loaded already when TensorFlow loads them.
_TENSORFLOW_BUILD = """
cc_library(
    name = "tensorflow_headers",
    srcs = ["libtensorflow_framework.so.2"],
    hdrs = glob(["tensorflow_include/**"]),
    defines = [
        "EIGEN_MAX_ALIGN_BYTES=64",
        "ROADMARK_TENSORFLOW_VERSION={version}",
        "_GLIBCXX_USE_CXX11_ABI=1",
    ],
    includes = ["tensorflow_include"],
)
"""

# The files themselves are no inputs (see above); the stamp is. So a test runs again when a pin that
# it depends on changes, and only then.
_DISTRIBUTION_BUILD = """
py_library(
    name = "{target}",
    data = [
        "stamps/python",
        "stamps/{target}",
    ],
)
"""

# Packages' own tests, and large parts that nothing here imports: a quarter of the bytes.
_NOT_COMPILED = "|".join([
    "/tests?/",
    "/ray/(dashboard|llm|rllib|serve)/",
    "/official/(nlp|projects|recommendation)/",
    "/moto/(?!core/|s3/|moto_server/|utilities/)[a-z0-9_]+/",
])

def _locked_python_impl(rctx):
    lock = rctx.path(rctx.attr.lock)
    uv = str(rctx.path(Label("@uv//:uv")))
    python = json.decode(rctx.read(rctx.path(Label("@uv//:python.json"))))
    pins = read_pins(rctx.read(lock))
    names = [pin.name for pin in pins]

    _run(rctx, "creating a virtualenv", [uv, "venv", "--quiet", "--python=" + python["executable"], "venv"])
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python=venv/bin/python"]
    sources = [name for name in _BUILT_FROM_SOURCE if name in names]
    if sources:
        rctx.file("build_backend.txt", "\n".join([p.entry for p in pins if p.name == _BUILD_BACKEND]))
        _run(rctx, "installing the build backend", install + ["--requirement=build_backend.txt"])
    _run(
        rctx,
        "installing %d locked packages" % len(pins),
        install + ["--no-build-isolation", "--only-binary=:all:"] +
        ["--no-binary=" + name for name in sources] + ["--requirement=" + str(lock)],
    )

    # The sandbox is read-only: what is not compiled now is compiled by every single test. A package
    # may hold files for a newer Python (torch does), which do not compile; nothing imports them.
    rctx.report_progress("compiling")
    rctx.execute(
        ["venv/bin/python", "-I", "-m", "compileall", "-q", "-j0", "-x", _NOT_COMPILED, "venv/lib"],
        timeout = 3600,
    )

    interpreter = str(rctx.path("venv/bin/python"))
    has_headers = "pybind11" in names
    if has_headers:
        rctx.symlink(python["include"], "python_include")
        rctx.symlink("venv/lib/python%s/site-packages/pybind11/include" % _PYTHON_VERSION, "pybind11_include")

    tensorflow = [pin for pin in pins if pin.name in ["tensorflow", "tensorflow-cpu"]]
    if tensorflow:
        package = "venv/lib/python%s/site-packages/tensorflow/" % _PYTHON_VERSION
        rctx.symlink(package + "include", "tensorflow_include")
        rctx.symlink(package + "libtensorflow_framework.so.2", "libtensorflow_framework.so.2")

    # -P: Python would search the folder that a program's link points to first, and so take the
    # checkout's sources for the program's own, generated files missing.
    rctx.file("python", '#!/bin/sh\nexec "%s" -P "$@"\n' % interpreter)
    rctx.file("stamps/python", "%s %s\n" % (python["full_version"], python["executable"]), executable = False)
    for pin in pins:
        rctx.file("stamps/" + pin.target, pin.entry + "\n", executable = False)
    rctx.file(
        "BUILD.bazel",
        _ENVIRONMENT_BUILD.format(interpreter = interpreter, launcher = rctx.path("python")) +
        (_HEADERS_BUILD if has_headers else "") +
        "".join([_TENSORFLOW_BUILD.format(version = pin.version) for pin in tensorflow]) +
        "".join([_DISTRIBUTION_BUILD.format(target = pin.target) for pin in pins]),
        executable = False,
    )

_locked_python = repository_rule(
    implementation = _locked_python_impl,
    attrs = {"lock": attr.label(mandatory = True)},
)

_HUB_BUILD = """\
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = select({
        "@roadmark//tools/python:cuda": "@python_cuda//:runtime",
        "//conditions:default": "@python_cpu//:runtime",
    }),
)

toolchain(
    name = "toolchain",
    toolchain = ":runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
"""

_HUB_ALIAS = """
alias(
    name = "{name}",
    actual = select({{
        "@roadmark//tools/python:cuda": "@python_cuda//:{cuda}",
        "//conditions:default": "@python_cpu//:{cpu}",
    }}),
)
"""

def _hub_impl(rctx):
    cpu = [pin.target for pin in read_pins(rctx.read(rctx.path(rctx.attr.cpu_lock)))]
    cuda = [pin.target for pin in read_pins(rctx.read(rctx.path(rctx.attr.cuda_lock)))]
    aliases = [_HUB_ALIAS.format(name = name, cpu = name, cuda = name) for name in cpu if name in cuda]

    for name in ["pybind11_headers", "python_headers", "tensorflow_headers"]:
        aliases.append(_HUB_ALIAS.format(name = name, cpu = name, cuda = name))

    # The one package whose name depends on the accelerator.
    aliases.append(_HUB_ALIAS.format(name = "tensorflow", cpu = "tensorflow_cpu", cuda = "tensorflow"))
    rctx.file("BUILD.bazel", _HUB_BUILD + "".join(aliases), executable = False)

_hub = repository_rule(
    implementation = _hub_impl,
    attrs = {
        "cpu_lock": attr.label(mandatory = True),
        "cuda_lock": attr.label(mandatory = True),
    },
)

def python_repositories():
    locks = "//tools/python/requirements:"
    _uv(name = "uv", lock = locks + "uv.lock")
    _locked_python(name = "python_cpu", lock = locks + "cpu.lock")
    _locked_python(name = "python_cuda", lock = locks + "cuda.lock")
    _locked_python(name = "python_peers", lock = locks + "peers.lock")
    _hub(name = "pypi", cpu_lock = locks + "cpu.lock", cuda_lock = locks + "cuda.lock")
