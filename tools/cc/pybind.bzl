"""pybind11 extension modules."""

def pybind_extension(name, deps, data = [], visibility = None):
    """The Python extension module `name`; depend on `:name` as on a py_library.

    The file is called `name.so`: CPython accepts the bare suffix, so no ABI tag has to be known
    while BUILD files are read.

    Args:
      name: of the module.
      deps: cc_library targets; one has `PYBIND11_MODULE` and `alwayslink`.
      data: type stubs.
      visibility: of `:name`.
    """
    native.cc_binary(
        name = name + ".so",
        linkopts = ["-Wl,--gc-sections"],
        linkshared = True,
        linkstatic = True,
        deps = deps,
    )
    native.py_library(
        name = name,
        data = data + [":%s.so" % name],
        visibility = visibility,
        deps = ["@pypi//:pybind11"],
    )
