"""Finds objects in a video or in pictures and draws them.

    bazel run //python:infer -- --video test.mp4
    bazel run //python:infer -- --images=FOLDER_OR_PICTURE --model=runs/demo/export

It writes NAME.annotated.mp4 (or a folder NAME.annotated, or one picture) into the current folder
and, beside or in it, what was found as COCO-style JSON, or as CSV with --detections=csv. --out
names another place; its suffix chooses .mp4, .mov, .mkv or .webm.

The model is an exported folder, by default the newest under runs/. Times, frame rate, pixel
shape, colours and sound of a video stay as they are. A damaged packet is skipped and counted. A
video that ends too early, or Ctrl-C, leaves a playable NAME.annotated.partial.mp4.

docs/infer.md tells the rest.
"""

from collections import Counter
from pathlib import Path

from absl import flags

from roadmark import app, locations, manifest
from roadmark.errors import UserError
from roadmark.video import ByModel, VideoResult, annotate_images, annotate_video
from roadmark.video.annotate_images import find_images
from roadmark.video.reader import VideoReader
from roadmark.video.writer import check_output

_VIDEO = flags.DEFINE_string("video", None, "Video to annotate, in any format FFmpeg reads.")
_IMAGES = flags.DEFINE_string("images", None, "Picture, or folder of pictures, to annotate.")
_MODEL = flags.DEFINE_string("model", None, "Exported model folder; the newest under runs/.")
_OUT = flags.DEFINE_string("out", None, "File or folder to write; NAME.annotated here by default.")
_SCORE_THRESHOLD = flags.DEFINE_float(
    "score_threshold", 0.4, "Leave out objects with this score or less.", 0.0, 1.0
)
_CLASSES = flags.DEFINE_list("classes", [], "Only these class names, with commas between them.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Pictures per run of the model.", 1)
_ENGINE = flags.DEFINE_string("engine", "auto", "openvino, tensorflow, or auto to go by device.")
_DEVICE = flags.DEFINE_string("device", "auto", "cpu, gpu, or auto for a GPU where there is one.")
_PRECISION = flags.DEFINE_string("precision", "auto", "fp32, bf16, or auto for fp32.")
_THREADS = flags.DEFINE_integer("threads", 0, "Processor threads of the model; 0 for all.", 0)
_DETECTIONS = flags.DEFINE_enum("detections", "json", ["json", "csv"], "Format of the detections.")


def main() -> int:
    """Runs the command; see the module's text."""
    source = _source()
    out = _check(source)
    folder = Path(_MODEL.value) if _MODEL.value else locations.newest_export()
    description = manifest.load(folder)
    names = description.names()
    wanted = _wanted_ids(names)
    from roadmark.inference.detector import Detector

    detector = Detector.load(
        folder, _ENGINE.value, _DEVICE.value, _PRECISION.value, _THREADS.value, description
    )
    print(f"model: {folder} ({detector.engine})", flush=True)

    listing = _listing(source, out)
    look = ByModel(detector, _SCORE_THRESHOLD.value, wanted)
    if _VIDEO.value:
        result = annotate_video(source, out, look, names, listing, _BATCH_SIZE.value)
        print(f"{out}: {result.frames} frames in {result.seconds:.1f} s{_damage(result)}")
        _print_speed(result)
    else:
        result = annotate_images(source, out, look.detect, names, listing, _BATCH_SIZE.value)
        print(f"{out}: {result.images} pictures")
    print(f"{listing}: {_summary(result.objects)}")
    return 0


def _source() -> Path:
    if bool(_VIDEO.value) == bool(_IMAGES.value):
        found = "both --video and --images" if _VIDEO.value else "neither --video nor --images"
        raise UserError("command line", f"found {found}", "give one of the two; see --help")
    source = Path(_VIDEO.value or _IMAGES.value)
    if source.name == "test.mp4" and not source.exists():
        raise UserError(
            source, "no such video", "make it, and a model, with: bazel run //python:demo"
        )
    return source


def _check(source: Path) -> Path:
    """Looks at the source and where the result will be, before a model is loaded."""
    out = Path(_OUT.value or _default_out(source.resolve()))
    if _VIDEO.value:
        check_output(out)
        VideoReader(source).close()
    else:
        find_images(source, out)
    return out


def _default_out(source: Path) -> str:
    if _VIDEO.value:
        return f"{source.stem}.annotated.mp4"
    if source.is_dir():
        return f"{source.name}.annotated"
    return f"{source.stem}.annotated{source.suffix}"


def _listing(source: Path, out: Path) -> Path:
    if source.is_dir():
        return out / f"detections.{_DETECTIONS.value}"
    return out.with_suffix(f".{_DETECTIONS.value}")


def _wanted_ids(names: dict[int, str]) -> list[int]:
    ids = {name: class_id for class_id, name in names.items()}
    for name in _CLASSES.value:
        if name not in ids:
            known = ", ".join(sorted(ids))
            raise UserError("--classes", f"found {name!r}", f"this model knows: {known}")
    return [ids[name] for name in _CLASSES.value]


def _print_speed(result: VideoResult) -> None:
    from rich.console import Console

    Console(highlight=False).print(result.speed.to_table())
    print(f"{result.speed.fps:.1f} frames/s; bottleneck: {result.speed.bottleneck}")


def _damage(result: VideoResult) -> str:
    counts = ((result.skipped, "damaged packets skipped"), (result.concealed, "frames patched up"))
    return "".join(f", {count} {what}" for count, what in counts if count)


def _summary(objects: Counter[str]) -> str:
    if not objects:
        return f"nothing scored above {_SCORE_THRESHOLD.value:g}; try a lower --score_threshold"
    parts = ", ".join(f"{count} {name}" for name, count in objects.most_common())
    return f"{objects.total()} detections ({parts})"


if __name__ == "__main__":
    app.run(main)
