"""Libraries of TensorFlow ops."""

def tensorflow_op_library(name, deps, visibility = None):
    """The file `name.so` for `tf.load_op_library`; depend on `:name` as on a py_library.

    Args:
      name: of the library.
      deps: cc_library targets; those that register ops and kernels have `alwayslink`.
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
        data = [":%s.so" % name],
        visibility = visibility,
        deps = ["@pypi//:tensorflow"],
    )
