"""C++ libraries with code for the GPU, compiled by nvcc; skipped by name where it is missing."""

load("@cuda//:installation.bzl", "ARCHITECTURES", "NVCC")

# tools/gpu_check.py has the same: nvcc's own defaults for division, square root and denormals are
# already exact.
COPTS = [
    "-std=c++17",
    "-O3",
    # The same bits as on the CPU: no fused multiply-add there either.
    "-fmad=false",
    # cc/math.h and the standard library's constants, on the GPU.
    "--expt-relaxed-constexpr",
    "-Xcompiler=-Wall,-Wextra,-ffp-contract=off,-fPIC,-fvisibility=hidden",
]

def _cuda_objects_impl(ctx):
    context = cc_common.merge_cc_infos(
        cc_infos = [dep[CcInfo] for dep in ctx.attr.deps],
    ).compilation_context
    arguments = ctx.actions.args()
    arguments.add_all(COPTS)
    for architecture in ARCHITECTURES:
        arguments.add("-gencode=arch=compute_%s,code=sm_%s" % (architecture, architecture))
    if ARCHITECTURES:
        arguments.add("-gencode=arch=compute_{0},code=compute_{0}".format(ARCHITECTURES[-1]))
    folders = depset(
        transitive = [context.includes, context.quote_includes, context.system_includes],
    )
    arguments.add_all(folders, before_each = "-I")
    objects = []
    for source in ctx.files.srcs:
        compiled = ctx.actions.declare_file(
            "%s/%s.pic.o" % (ctx.label.name, source.basename.replace(".", "_")),
        )
        own = ctx.actions.args()
        own.add("-c", source)
        own.add("-o", compiled)
        ctx.actions.run(
            executable = NVCC,
            arguments = [arguments, own],
            inputs = depset(ctx.files.srcs + ctx.files.hdrs, transitive = [context.headers]),
            outputs = [compiled],
            mnemonic = "CudaCompile",
            progress_message = "Compiling %s for GPUs" % source.short_path,
            use_default_shell_env = True,
        )
        objects.append(compiled)
    return [DefaultInfo(files = depset(objects))]

_cuda_objects = rule(
    implementation = _cuda_objects_impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),
        "hdrs": attr.label_list(allow_files = [".h"]),
        "srcs": attr.label_list(allow_files = [".cc", ".cu"]),
    },
)

def cuda_library(name, srcs, hdrs = [], deps = [], visibility = None, **kwargs):
    """As cc_library, whose sources nvcc compiles.

    Args:
      name: of the library.
      srcs: `.cu` files, and `.cc` files that include CUDA's headers.
      hdrs: their headers, for other cuda_library targets.
      deps: libraries, with or without code for the GPU.
      visibility: of the library.
      **kwargs: of cc_library.
    """
    compatible = [] if NVCC else ["//tools/cc:not_installed"]
    _cuda_objects(
        name = name + "_objects",
        srcs = srcs,
        hdrs = hdrs,
        target_compatible_with = compatible,
        visibility = ["//visibility:private"],
        deps = deps,
    )
    native.cc_library(
        name = name,
        srcs = [":%s_objects" % name],
        hdrs = hdrs,
        features = ["-parse_headers"],
        target_compatible_with = compatible,
        visibility = visibility,
        deps = deps + ["@cuda//:cudart"],
        **kwargs
    )
