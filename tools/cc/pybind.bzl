"""pybind11 extension modules."""

load(":defs.bzl", "COPTS")

def pybind_extension(name, srcs, deps = [], data = [], imports = [], visibility = None):
    """The Python extension module `name`; depend on `:name` as on a py_library.

    The file is called `name.so`: CPython accepts the bare suffix, so no ABI tag has to be known
    while BUILD files are read.
    """
    native.cc_binary(
        name = name + ".so",
        srcs = srcs,
        copts = COPTS + [
            "-fexceptions",
            "-fvisibility=hidden",
        ],
        linkopts = ["-Wl,--gc-sections"],
        linkshared = True,
        linkstatic = True,
        deps = deps + ["@pypi//:pybind11_headers"],
    )
    native.py_library(
        name = name,
        data = data + [":%s.so" % name],
        imports = imports,
        visibility = visibility,
        deps = ["@pypi//:pybind11"],
    )
