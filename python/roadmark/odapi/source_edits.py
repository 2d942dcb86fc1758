"""Small edits to the OD API's sources as they are imported; TensorFlow and NumPy stay whole.

The OD API was written for TensorFlow 2.8, NumPy 1 and Pillow 9. What has been renamed or removed
since is put right here in the text of the modules that use it, and nowhere else: other code in the
process sees the libraries as they are. Files on disk are not changed. Edits keep the number of
lines, so that tracebacks point at the right ones.
"""

import dataclasses
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType

_STAND_INS = "roadmark.odapi.stand_ins"


@dataclasses.dataclass(frozen=True)
class Edit:
    """A replacement in the sources of some modules.

    Attributes:
        modules: Pattern that the whole module name matches.
        old: Pattern of the text to replace.
        new: Replacement, as for `re.sub`.
        why: What changed in which library.
    """

    modules: re.Pattern[str]
    old: re.Pattern[str]
    new: str
    why: str


def _edit(modules: str, old: str, new: str, why: str) -> Edit:
    return Edit(re.compile(modules), re.compile(old, re.MULTILINE), new, why)


# The protos have a hook of their own.
_OD_API = r"object_detection\.(?!protos\.).*"

EDITS = (
    _edit(
        r"tf_slim\..*",
        r"^from tensorflow\.python\.ops import control_flow_ops$",
        f"from {_STAND_INS} import control_flow_ops",
        "TensorFlow 2.13 moved case, cond and while_loop elsewhere",
    ),
    _edit(
        _OD_API,
        r"^from tensorflow\.compat\.v1 import estimator as tf_estimator$",
        f"from {_STAND_INS} import estimator as tf_estimator",
        "TensorFlow 2.16 removed tf.estimator",
    ),
    _edit(
        _OD_API,
        r"^( *)import tensorflow_io as tfio\b",
        rf"\1from {_STAND_INS} import tensorflow_io as tfio",
        "tensorflow_io has no release for today's TensorFlow",
    ),
    _edit(
        r"object_detection\.utils\.autoaugment_utils",
        r"^( *)from tensorflow\.contrib import (image|training) as contrib_",
        rf"\1from {_STAND_INS} import contrib_\2 as contrib_",
        "TensorFlow 2 has no tf.contrib",
    ),
    _edit(
        r"object_detection\.models\.keras_models\.resnet_v1",
        r"^( *)from keras\.applications import resnet\b",
        r"\1from tf_keras.src.applications import resnet",
        "`keras` is Keras 3 now, whose layers do not fit the models built with tf_keras",
    ),
    _edit(
        _OD_API,
        r"^from nets\b",
        "from object_detection.nets",
        "the package keeps TF-Slim's `nets` inside, where the TF1 feature extractors do not look",
    ),
    _edit(rf"{_OD_API}|lvis\..*", r"\bnp\.float\b", "float", "NumPy 1.24 removed np.float"),
    _edit(_OD_API, r"\bnp\.int\b", "int", "NumPy 1.24 removed np.int"),
    _edit(_OD_API, r"\bnp\.NAN\b", "np.nan", "NumPy 2 removed np.NAN"),
    _edit(_OD_API, r"\bnp\.string_", "np.bytes_", "NumPy 2 removed np.string_"),
    _edit(
        _OD_API,
        r"\bnp\.fromstring\(",
        "np.frombuffer(",
        "NumPy 2.3 removed the binary mode of np.fromstring",
    ),
    _edit(
        r"object_detection\.utils\.visualization_utils",
        r"\bfont\.getsize\((\w+)\)",
        r"font.getbbox(\1)[2:]",
        "Pillow 10 removed getsize, which gave the far corner of the box that getbbox gives",
    ),
    _edit(
        r"object_detection\.utils\.visualization_utils",
        r"\bfig\.canvas\.tostring_rgb\(\)",
        "np.asarray(fig.canvas.buffer_rgba())[..., :3].tobytes()",
        "Matplotlib 3.10 removed tostring_rgb",
    ),
)


def install() -> None:
    """Edits the modules that are imported from now on; calling it again changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def apply(module: str, source: str) -> str:
    """The source text of `module` with the edits that concern it."""
    for edit in EDITS:
        if edit.modules.fullmatch(module):
            source = edit.old.sub(edit.new, source)
    return source


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if not any(edit.modules.fullmatch(fullname) for edit in EDITS):
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is None or type(found.loader) is not importlib.machinery.SourceFileLoader:
            return None
        source = found.loader.get_source(fullname)
        if apply(fullname, source) == source:
            return found
        loader = _Loader(fullname, found.origin)
        return importlib.util.spec_from_file_location(
            fullname,
            found.origin,
            loader=loader,
            submodule_search_locations=found.submodule_search_locations,
        )


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the edited source; neither reads nor writes the module's cached bytecode."""

    def get_source(self, fullname: str) -> str:
        return apply(fullname, super().get_source(fullname))

    def get_code(self, fullname: str) -> CodeType:
        # AutoGraph compiles functions once more, from the source that `linecache` gives. It asks
        # this loader for that only if there is no file of the name that the code goes by.
        return compile(
            self.get_source(fullname), f"{self.path} (edited)", "exec", dont_inherit=True
        )
