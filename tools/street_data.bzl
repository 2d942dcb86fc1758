"""@street_data: the optional folder with real recordings, as test inputs.

The folder is `../shared/data` beside this checkout, or $ROADMARK_DATA. Where it is absent every
target here is empty, and tests that find theirs empty are skipped by name.
"""

_BUILD = """\
package(default_visibility = ["//visibility:public"])
"""

_FOLDER = """
filegroup(
    name = "{name}",
    srcs = ["known/{name}"] + glob(["{name}/**"], allow_empty = True),
)
"""

# Tests name these; each has a target whether or not it is there.
_FOLDERS = [
    "coco",
    "csv",
    "kitti",
    "odapi_configs",
    "stanford_cars",
    "videos",
    "voc",
    "waymo",
    "yolo",
    "zoo_index",
]

def _street_data_impl(rctx):
    chosen = rctx.os.environ.get("ROADMARK_DATA")

    # Bazel may know the checkout through a link in its own folders.
    workspace = rctx.path(Label("@roadmark//:WORKSPACE")).realpath.dirname
    source = rctx.path(chosen or str(workspace) + "/../shared/data")
    for name in _FOLDERS:
        # Always there, so that a test can tell "absent" from "not listed in its data".
        rctx.file("known/" + name, executable = False)
        folder = source.get_child(name)
        if folder.exists:
            rctx.symlink(folder, name)
    rctx.file(
        "BUILD.bazel",
        _BUILD + "".join([_FOLDER.format(name = name) for name in _FOLDERS]),
        executable = False,
    )

street_data = repository_rule(
    implementation = _street_data_impl,
    environ = ["ROADMARK_DATA"],
    # Looked up again by every new Bazel server: the folder may have come or gone.
    local = True,
)
