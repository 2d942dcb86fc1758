"""Finds objects in a video or in pictures and draws them.

    bazel run //python:infer -- --video test.mp4
    bazel run //python:infer -- --video=rtsp://CAMERA --end=1:00 --codec=hevc --show_fps
    bazel run //python:infer -- --images=FOLDER_OR_PICTURE --model=runs/demo/export

It writes NAME.annotated.mp4 (or a folder NAME.annotated, or one picture) into the current folder
and, beside or in it, what was found as COCO-style JSON, or as CSV with --detections=csv. --out
names another place; its suffix chooses .mp4, .mov, .mkv or .webm.

The model is an exported folder, by default the newest under runs/. Times, frame rate, pixel
shape, colours and sound of a video stay as they are. A damaged packet is skipped and counted. A
video that ends too early, or Ctrl-C, leaves a playable NAME.annotated.partial.mp4.

An interrupted run goes on where it stopped when the same command is given with --resume.
docs/infer.md tells the rest.
"""

from collections import Counter
from pathlib import Path

from absl import flags

from roadmark import app, locations, manifest
from roadmark.errors import UserError
from roadmark.video import (
    ByModel,
    Span,
    VideoOptions,
    annotate_images,
    annotate_video,
    codecs,
    frame_detector,
    timecode,
)
from roadmark.video.annotate_images import find_images
from roadmark.video.reader import VideoReader
from roadmark.video.writer import check_output

_VIDEO = flags.DEFINE_string("video", None, "Video to annotate: a file, URL or camera device.")
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
_DETECTIONS = flags.DEFINE_enum("detections", "json", ["json", "jsonl", "csv"], "Their format.")
_STRIDE = flags.DEFINE_integer("stride", 1, "Look at every such frame; others show the last.", 1)
_START = flags.DEFINE_string("start", "0", "Where to begin in the video: seconds, or 1:30.")
_END = flags.DEFINE_string("end", None, "Where to end in the video: seconds, or 1:30.")
_MAX_FPS = flags.DEFINE_float("max_fps", None, "Leave out frames beyond so many a second.", 0.1)
_CODEC = flags.DEFINE_enum("codec", "auto", ["auto", *codecs.ENCODERS], "Codec of the video.")
_SHOW_FPS = flags.DEFINE_bool("show_fps", False, "Show the speed of the work in the picture.")
_GIF = flags.DEFINE_bool("gif", False, "Also write a small looping NAME.gif of the result.")
_CROPS = flags.DEFINE_bool("save_crops", False, "Also write each object's picture: NAME.crops.")
_RESUME = flags.DEFINE_bool("resume", False, "Go on with the interrupted run of this command.")


def main() -> int:
    """Runs the command; see the module's text."""
    source = _VIDEO.value or _IMAGES.value
    span = _span()
    out = _check(source, span)
    folder = Path(_MODEL.value) if _MODEL.value else locations.newest_export()
    description = manifest.load(folder)
    names = description.names()
    wanted = frame_detector.class_ids(names, _CLASSES.value)
    from roadmark.inference.detector import Detector

    model = Detector.load(
        folder, _ENGINE.value, _DEVICE.value, _PRECISION.value, _THREADS.value, description
    )
    print(f"model: {folder} ({model.engine})", flush=True)
    look = ByModel(model, _SCORE_THRESHOLD.value, wanted)
    listing = out.with_suffix(f".{_DETECTIONS.value}")
    if _VIDEO.value:
        result = annotate_video(source, out, look, names, listing, _options(out, span, look))
        result.print_to_terminal(out)
    else:
        if Path(source).is_dir():
            listing = out / f"detections.{_DETECTIONS.value}"
        result = annotate_images(source, out, look.detect, names, listing, _BATCH_SIZE.value)
        print(f"{out}: {result.images} pictures")
    print(f"{listing}: {_summary(result.objects)}")
    return 0


def _check(source: str | None, span: Span) -> Path:
    """Looks at the source and where the result will be, before a model is loaded."""
    if bool(_VIDEO.value) == bool(_IMAGES.value) or source is None:
        found = "both --video and --images" if _VIDEO.value else "neither --video nor --images"
        raise UserError("command line", f"found {found}", "give one of the two; see --help")
    path = Path(source)
    if path.name == "test.mp4" and not path.exists():
        cure = "make it, and a model, with: bazel run //python:demo"
        raise UserError(path, "no such video", cure)
    out = Path(_OUT.value or _default_out(path.resolve()))
    if _VIDEO.value:
        check_output(out, _CODEC.value)
        VideoReader(source, span=span).close()
    else:
        find_images(path, out)
    return out


def _default_out(source: Path) -> str:
    if _VIDEO.value:
        return f"{source.stem}.annotated.mp4"
    if source.is_dir():
        return f"{source.name}.annotated"
    return f"{source.stem}.annotated{source.suffix}"


def _span() -> Span:
    end = None if _END.value is None else timecode.seconds("--end", _END.value)
    span = Span(timecode.seconds("--start", _START.value), end, _MAX_FPS.value)
    if end is not None and end <= span.start_s:
        raise UserError("--end", f"found {_END.value}, which is not after --start", "end later")
    return span


def _options(out: Path, span: Span, look: ByModel) -> VideoOptions:
    return VideoOptions(
        batch_size=_BATCH_SIZE.value,
        stride=_STRIDE.value,
        span=span,
        codec=_CODEC.value,
        show_fps=_SHOW_FPS.value,
        crops=out.with_suffix(".crops") if _CROPS.value else None,
        gif=out.with_suffix(".gif") if _GIF.value else None,
        resume=_RESUME.value,
        model=look.identity,
    )


def _summary(objects: Counter[str]) -> str:
    if not objects:
        return f"nothing scored above {_SCORE_THRESHOLD.value:g}; try a lower --score_threshold"
    parts = ", ".join(f"{count} {name}" for name, count in objects.most_common())
    return f"{objects.total()} detections ({parts})"


if __name__ == "__main__":
    app.run(main)
