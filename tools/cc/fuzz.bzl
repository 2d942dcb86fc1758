"""libFuzzer targets: a short run as a test, long ones by hand.

    bazel test //cc/nms:nms_fuzz
    bazel run //cc/nms:nms_fuzz -- -max_total_time=600 "$PWD/corpus"

Where clang with libFuzzer is missing they are skipped by name.
"""

load(":defs.bzl", "COPTS")

_SANITIZERS = "fuzzer,address,undefined,float-cast-overflow"

# No length is worth more than what the operations' small inputs take.
_RUN = "-seed=1 -runs=4000 -max_total_time=8 -max_len=2048 -verbosity=0"

_SourcesInfo = provider(
    doc = "The C++ files of a library and of all that it depends on.",
    fields = {"compiled": "depset of .cc files", "read": "depset of headers"},
)

def _sources_impl(_target, ctx):
    deps = [dep[_SourcesInfo] for dep in getattr(ctx.rule.attr, "deps", []) if _SourcesInfo in dep]
    files = []
    for attribute in ["srcs", "hdrs"]:
        files.extend(getattr(ctx.rule.files, attribute, []))
    compiled = [file for file in files if file.extension == "cc"]
    read = [file for file in files if file.extension == "h"]
    return [_SourcesInfo(
        compiled = depset(compiled, transitive = [dep.compiled for dep in deps]),
        read = depset(read, transitive = [dep.read for dep in deps]),
    )]

_sources = aspect(
    implementation = _sources_impl,
    attr_aspects = ["deps"],
)

def _fuzz_test_impl(ctx):
    # Everything is compiled anew: the sanitizers have to see the libraries too.
    sources = [dep[_SourcesInfo] for dep in ctx.attr.deps]
    compiled = depset(ctx.files.srcs, transitive = [one.compiled for one in sources])
    fuzzer = ctx.actions.declare_file(ctx.label.name + "_binary")
    arguments = ctx.actions.args()
    arguments.add_all(COPTS)
    arguments.add_all([
        "-std=c++17",
        "-O1",
        "-g1",
        "-I.",
        "-pthread",
        "-fsanitize=" + _SANITIZERS,
        "-fno-sanitize-recover=all",
    ])
    arguments.add_all(compiled)
    arguments.add("-o", fuzzer)
    ctx.actions.run(
        executable = ctx.file.clang,
        arguments = [arguments],
        inputs = depset(transitive = [compiled] + [one.read for one in sources]),
        outputs = [fuzzer],
        mnemonic = "Fuzzer",
        progress_message = "Compiling %s for libFuzzer" % ctx.label,
        use_default_shell_env = True,
    )
    program = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(
        program,
        # What is given on the command line comes later and counts.
        '#!/bin/sh\nexec "$PWD/%s" %s "-artifact_prefix=${TEST_UNDECLARED_OUTPUTS_DIR:-/tmp}/" "$@"\n' %
        (fuzzer.short_path, _RUN),
        is_executable = True,
    )
    return [DefaultInfo(executable = program, runfiles = ctx.runfiles([fuzzer]))]

_fuzz_test = rule(
    implementation = _fuzz_test_impl,
    attrs = {
        "clang": attr.label(allow_single_file = True),
        "deps": attr.label_list(aspects = [_sources]),
        "srcs": attr.label_list(allow_files = [".cc"]),
    },
    test = True,
)

def cc_fuzz_test(name, srcs, deps):
    """A libFuzzer target, which a test runs for some seconds.

    Args:
      name: of the target.
      srcs: has LLVMFuzzerTestOneInput.
      deps: cc_library targets of this workspace.
    """
    _fuzz_test(
        name = name,
        size = "small",
        timeout = "short",
        srcs = srcs,
        clang = "@clang//:clang",
        deps = deps,
    )
