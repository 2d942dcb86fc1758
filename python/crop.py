"""Cuts the background of a class set away before a classifier is trained on it.

    bazel run //python:crop -- --data=data/cars --detector=runs/demo/export --out=data/cars_cropped
    bazel run //python:crop -- --data=data/cars --use_annotations --out=data/cars_cropped

Each picture's main car is found by an exported detector (or taken from the set's own boxes) and
cut out with a margin, or everything else is greyed out with --mode=mask. A picture without a car,
or with one of a low score, goes on whole; crops.csv lists every picture with box, score and
outcome, the counts are printed, and samples.jpg shows a few before and after. docs/classify.md
tells the rest.
"""

from pathlib import Path

from absl import flags

from roadmark import app, atomic, locations, manifest, progress
from roadmark.classification import class_set, crop_samples, cropping
from roadmark.errors import UserError
from roadmark.storage import path_flags

_DATA = path_flags.define_run("data", str(locations.CLASS_SET), "The class set.")
_OUT = path_flags.define_output(
    "out", None, "Folder to write; the set's name with _cropped.", replaces=True
)
_DETECTOR = path_flags.define_input("detector", None, "Exported detector; the newest under runs/.")
_ANNOTATIONS = flags.DEFINE_bool("use_annotations", False, "Take the boxes of the set instead.")
_MARGIN = flags.DEFINE_float("margin", 0.1, "Share of the box's sides to keep around it.", 0, 2)
_MODE = flags.DEFINE_enum("mode", cropping.CUT, list(cropping.MODES), "Cut, or grey out the rest.")
_SCORE_THRESHOLD = flags.DEFINE_float(
    "score_threshold", 0.3, "Do not trust cars with this score or less.", 0.0, 1.0
)
_CLASSES = flags.DEFINE_list("classes", [], "Detector's classes that are cars; vehicles if empty.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Pictures per run of the detector.", 1)
_ENGINE = flags.DEFINE_string("engine", "auto", "As of infer.")
_DEVICE = flags.DEFINE_string("device", "auto", "As of infer.")
_TRUST = flags.DEFINE_bool("trust", False, "As of infer.")
_THREADS = flags.DEFINE_integer("threads", 0, "Processor threads of the detector; 0 for all.", 0)
_BATCHES_IN_FLIGHT = 5


def main() -> int:
    """Runs the command; see the module's text."""
    source = class_set.load(_DATA.value)
    out = Path(_OUT.value or f"{_DATA.value.rstrip('/')}_cropped")
    if out.resolve() == source.folder.resolve():
        raise UserError("--out", "found the class set itself", "give another folder")
    if _ANNOTATIONS.value and _DETECTOR.value:
        raise UserError("--detector", "found beside --use_annotations", "give one of the two")
    detector, about = (None, {}) if _ANNOTATIONS.value else _load_detector()
    options = cropping.Options(
        _MARGIN.value, _MODE.value, _SCORE_THRESHOLD.value, tuple(_CLASSES.value)
    )
    # The stages of videos, so that decoding, the network and encoding overlap.
    from roadmark.video.pipeline import Pipeline, Stage

    with atomic.atomic_folder(out) as folder:
        with progress.track("cropping", len(source.entries), "pictures") as meter:
            cropper = cropping.Cropper(source, folder, options, detector, meter)
            stages = [Stage(name, work) for name, work in cropper.stages()]
            batches = cropper.batches(_BATCH_SIZE.value)
            speed = Pipeline("list", stages, _BATCHES_IN_FLIGHT).run(batches)
        text = cropper.finish(about)
    print(text, end="")
    print(f"{speed.fps:.1f} pictures/s; bottleneck: {speed.bottleneck}")
    print(f"wrote {out}; what became of each picture: {out / cropping.LOG}")
    print(f"look at {out / crop_samples.FILE}")
    return 0


def _load_detector() -> tuple:
    folder = Path(_DETECTOR.value) if _DETECTOR.value else locations.newest_export()
    description = manifest.load(folder, _TRUST.value)
    from roadmark.inference.detector import Detector

    found = Detector.load(
        folder,
        _ENGINE.value,
        _DEVICE.value,
        threads=_THREADS.value,
        description=description,
    )
    print(f"detector: {folder} ({found.engine})", flush=True)
    return found, {"detector": description.model, "detector_weights": description.weights_sha256}


if __name__ == "__main__":
    app.run(main)
