"""CUDA's compiler from the system.

Looked for in $CUDA_HOME, on the PATH and in /usr/local/cuda. Where it is missing, what needs it is
skipped by name. After installing it, `bazel shutdown` makes the next build look again.
"""

# Machine code for each of these, and PTX of the last for later ones.
_ARCHITECTURES = ["75", "80", "86", "89", "90"]

_BUILD = """\
cc_library(
    name = "cudart",
    srcs = ["libcudart_static.a"],
    linkopts = ["-ldl", "-lpthread", "-lrt"],
    visibility = ["//visibility:public"],
)
"""

_MISSING_BUILD = """\
cc_library(
    name = "cudart",
    target_compatible_with = ["@roadmark//tools/cc:not_installed"],
    visibility = ["//visibility:public"],
)
"""

def _compiler(rctx):
    home = rctx.os.environ.get("CUDA_HOME")
    for folder in ([home] if home else []):
        if rctx.path(folder + "/bin/nvcc").exists:
            return rctx.path(folder + "/bin/nvcc")
    found = rctx.which("nvcc")
    if found:
        return found
    usual = rctx.path("/usr/local/cuda/bin/nvcc")
    return usual if usual.exists else None

def _toolkit(rctx, nvcc):
    """The folder that nvcc itself takes for the toolkit, which may be a script elsewhere."""
    told = rctx.execute([nvcc, "--dryrun", "-x", "cu", "-c", "/dev/null", "-o", "/dev/null"])
    for line in told.stderr.splitlines():
        if line.startswith("#$ TOP="):
            return line[len("#$ TOP="):].strip()
    return None

def _runtime(rctx, toolkit):
    for folder in ["targets/x86_64-linux/lib", "lib64", "lib"]:
        library = rctx.path(toolkit + "/" + folder + "/libcudart_static.a")
        if library.exists:
            return library
    return None

def _missing(rctx):
    rctx.file("BUILD.bazel", _MISSING_BUILD, executable = False)
    rctx.file("installation.bzl", 'NVCC = ""\nARCHITECTURES = []\n', executable = False)

def _system_cuda_impl(rctx):
    nvcc = _compiler(rctx)
    if not nvcc:
        return _missing(rctx)
    known = rctx.execute([nvcc, "--list-gpu-code"]).stdout.split("\n")
    toolkit = _toolkit(rctx, nvcc)
    runtime = _runtime(rctx, toolkit) if toolkit else None
    if not runtime or [a for a in _ARCHITECTURES if "sm_" + a not in known]:
        # buildifier: disable=print
        print("CUDA is left out: %s lacks libcudart_static.a or one of sm_%s" %
              (nvcc, ", sm_".join(_ARCHITECTURES)))
        return _missing(rctx)
    rctx.symlink(runtime, "libcudart_static.a")
    rctx.file("BUILD.bazel", _BUILD, executable = False)
    rctx.file(
        "installation.bzl",
        "NVCC = %r\nARCHITECTURES = %r\n" % (str(nvcc), _ARCHITECTURES),
        executable = False,
    )
    return None

system_cuda = repository_rule(
    implementation = _system_cuda_impl,
    environ = ["CUDA_HOME", "PATH"],
    local = True,
)
