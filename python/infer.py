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

import dataclasses
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
    request,
    timecode,
    tracking,
)

_VIDEO = flags.DEFINE_string("video", None, "Video to annotate: a file, URL or camera device.")
_IMAGES = flags.DEFINE_string("images", None, "Picture, or folder of pictures, to annotate.")
_MODEL = flags.DEFINE_string("model", None, "Exported model folder; the newest under runs/.")
_OUT = flags.DEFINE_string("out", None, "File or folder to write; NAME.annotated here by default.")
_SCORE_THRESHOLD = flags.DEFINE_float(
    "score_threshold", 0.4, "Leave out objects with this score or less.", 0.0, 1.0
)
_CLASSES = flags.DEFINE_list("classes", [], "Only these class names, with commas between them.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Pictures per run of the model.", 1)
_ENGINE = flags.DEFINE_string("engine", "auto", "tensorflow, onnxruntime, openvino, or auto.")
_DEVICE = flags.DEFINE_string("device", "auto", "cpu, gpu, or auto for a GPU where there is one.")
_PRECISION = flags.DEFINE_string("precision", "auto", "fp32, bf16, or auto for fp32.")
_THREADS = flags.DEFINE_integer("threads", 0, "Processor threads of the model; 0 for all.", 0)
_DETECTIONS = flags.DEFINE_enum("detections", "json", list(request.FORMATS), "Their format.")
_STRIDE = flags.DEFINE_integer("stride", 1, "Look at every such frame; others show the last.", 1)
_START = flags.DEFINE_string("start", "0", "Where to begin in the video: seconds, or 1:30.")
_END = flags.DEFINE_string("end", None, "Where to end in the video: seconds, or 1:30.")
_MAX_FPS = flags.DEFINE_float("max_fps", None, "Leave out frames beyond so many a second.", 0.1)
_CODEC = flags.DEFINE_enum("codec", "auto", ["auto", *codecs.ENCODERS], "Codec of the video.")
_SHOW_FPS = flags.DEFINE_bool("show_fps", False, "Show the speed of the work in the picture.")
_GIF = flags.DEFINE_bool("gif", False, "Also write a small looping NAME.gif of the result.")
_CROPS = flags.DEFINE_bool("save_crops", False, "Also write each object's picture: NAME.crops.")
_TRACK = flags.DEFINE_bool("track", False, "Follow objects: ids that stay, and trails.")
_COUNT_LINE = flags.DEFINE_string(
    "count_line", None, "Count what crosses the line from x1,y1 to x2,y2, in pixels; tracks too."
)
_RESUME = flags.DEFINE_bool("resume", False, "Go on with the interrupted run of this command.")


def main() -> int:
    """Runs the command; see the module's text."""
    options = _options()
    wanted = request.Request(
        _VIDEO.value,
        _IMAGES.value,
        _OUT.value,
        _DETECTIONS.value,
        _CODEC.value,
        options.span,
        is_tracked=options.tracker is not None,
    )
    wanted.check()
    folder = Path(_MODEL.value) if _MODEL.value else locations.newest_export()
    description = manifest.load(folder)
    names = description.names()
    classes = frame_detector.class_ids(names, _CLASSES.value)
    from roadmark.inference.detector import Detector

    model = Detector.load(
        folder, _ENGINE.value, _DEVICE.value, _PRECISION.value, _THREADS.value, description
    )
    print(f"model: {folder} ({model.engine.explained()})", flush=True)
    threshold, out, listing = _SCORE_THRESHOLD.value, wanted.output, wanted.listing
    if wanted.video:
        # A tracker goes on with objects that are hardly seen.
        weakest = threshold if options.tracker is None else min(tracking.WEAK, threshold)
        look = ByModel(model, weakest, classes)
        options = dataclasses.replace(
            options,
            crops=out.with_suffix(".crops") if _CROPS.value else None,
            gif=out.with_suffix(".gif") if _GIF.value else None,
            model=f"{look.identity}, {threshold}",
        )
        result = annotate_video(wanted.video, out, look, names, listing, options)
        result.print_to_terminal(out)
    else:
        look = ByModel(model, threshold, classes)
        result = annotate_images(wanted.images, out, look.detect, names, listing, _BATCH_SIZE.value)
        print(f"{out}: {result.images} pictures")
    print(f"{listing}: {request.summary(result.objects, threshold)}")
    return 0


def _options() -> VideoOptions:
    end = None if _END.value is None else timecode.seconds("--end", _END.value)
    span = Span(timecode.seconds("--start", _START.value), end, _MAX_FPS.value)
    if end is not None and end <= span.start_s:
        raise UserError("--end", f"found {_END.value}, which is not after --start", "end later")
    line = tracking.CountLine.parse(_COUNT_LINE.value) if _COUNT_LINE.value else None
    is_tracked = _TRACK.value or line is not None
    return VideoOptions(
        batch_size=_BATCH_SIZE.value,
        stride=_STRIDE.value,
        span=span,
        codec=_CODEC.value,
        show_fps=_SHOW_FPS.value,
        tracker=tracking.Tracker(_SCORE_THRESHOLD.value) if is_tracked else None,
        count_line=line,
        resume=_RESUME.value,
    )


if __name__ == "__main__":
    app.run(main)
