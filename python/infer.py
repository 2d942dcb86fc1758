"""Finds objects in a video or in pictures and draws them.

    bazel run //python:infer -- --video test.mp4
    bazel run //python:infer -- --video=rtsp://CAMERA --end=1:00 --codec=hevc --show_fps
    bazel run //python:infer -- --images=FOLDER_OR_PICTURE --model=runs/demo/export

It writes NAME.annotated.mp4 (or a folder NAME.annotated, or one picture) into the current folder
and, beside or in it, what was found as COCO-style JSON, or as CSV with --detections=csv. --out
names another place; its suffix chooses .mp4, .mov, .mkv, .webm, .avi or .gif. NAME.annotated.html
tells what was seen when and where, and what took how long.

The model is an exported folder, by default the newest under runs/. Times, frame rate, pixel shape,
colours and sound of a video stay as they are. A video that ends too early, or Ctrl-C, leaves a
playable NAME.annotated.partial.mp4; --resume goes on from there. docs/infer.md tells the rest.
"""

import dataclasses
from pathlib import Path

from absl import flags

from roadmark import app, locations, manifest
from roadmark.classification import vehicle_labels
from roadmark.inference.detector import Detector
from roadmark.storage import path_flags
from roadmark.video import (
    ByModel,
    VideoOptions,
    annotate_images,
    annotate_video,
    codecs,
    counting,
    frame_detector,
    request,
    side_by_side,
    timecode,
    tracking,
)

_VIDEO = path_flags.define_input(
    "video", None, "Video: a file, URL, camera, folder of pictures, or a pattern as in/%05d.jpg."
)
_FPS = flags.DEFINE_float("fps", None, "Frames a second of a video made of pictures; 25.", 0.01)
_IMAGES = path_flags.define_input("images", None, "Picture, or folder of pictures, to annotate.")
_MODEL = path_flags.define_input("model", None, "Exported model folder; the newest under runs/.")
_OUT = path_flags.define_output("out", None, "File or folder to write; else NAME.annotated here.")
_SCORE_THRESHOLD = flags.DEFINE_float(
    "score_threshold", 0.4, "Leave out objects with this score or less.", 0.0, 1.0
)
_CLASSES = flags.DEFINE_list("classes", [], "Only these class names, with commas between them.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Pictures per run of the model.", 1)
_ENGINE = flags.DEFINE_string("engine", "auto", "tensorflow, onnxruntime, openvino, or auto.")
_DEVICE = flags.DEFINE_string("device", "auto", "cpu, gpu, or auto for a GPU where there is one.")
_PRECISION = flags.DEFINE_string("precision", "auto", "fp32, bf16, int8, exported; auto: fastest.")
_TRUST = flags.DEFINE_bool("trust", False, "Run TensorRT engines that the export does not list.")
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
_COUNT_LINE = flags.DEFINE_string("count_line", None, "Count over x1,y1,x2,y2, pixels or shares.")
_COUNT_ZONE = flags.DEFINE_string("count_zone", None, "Count into the zone x1,y1,x2,y2,x3,y3...")
_SIDE_BY_SIDE = path_flags.define_input(
    "side_by_side", None, "Another exported model, whose picture is shown beside the first's."
)
_CLASSIFY = path_flags.define_input("classify", None, "Exported classifier that names vehicles.")
_RESUME = flags.DEFINE_bool("resume", False, "Go on with the interrupted run of this command.")
_OF_ONE_MODEL = (_TRACK, _COUNT_LINE, _COUNT_ZONE, _RESUME)


def main() -> int:
    """Runs the command; see the module's text."""
    options = _options()
    is_tracked = options.tracker is not None
    files = (_VIDEO.value, _IMAGES.value, _OUT.value)
    how = (_DETECTIONS.value, _CODEC.value, options.span, is_tracked, options.fps)
    of_one_model = [flag.name for flag in _OF_ONE_MODEL if flag.value]
    wanted = request.Request(*files, *how, _SIDE_BY_SIDE.value, of_one_model)
    wanted.check()
    folder = Path(_MODEL.value) if _MODEL.value else locations.newest_export()
    description = manifest.load(folder, _TRUST.value)
    classes = frame_detector.class_ids(description.names(), _CLASSES.value)
    model, classes = vehicle_labels.labelled(_load(folder, description), classes, _CLASSIFY.value)
    threshold, out, listing = _SCORE_THRESHOLD.value, wanted.output, wanted.listing
    if wanted.video:
        # A tracker goes on with objects that are hardly seen.
        weakest = min(tracking.WEAK, threshold) if is_tracked else threshold
        look = ByModel(model, weakest, classes)
        options = dataclasses.replace(
            options,
            crops=out.with_suffix(".crops") if _CROPS.value else None,
            gif=out.with_suffix(".gif") if _GIF.value else None,
            page=out.with_suffix(".html"),
            side_by_side=_second_model(folder),
            model=f"{look.identity}, {threshold}",
            about=f"{folder} ({model.engine}), scores above {threshold:g}",
        )
        result = annotate_video(wanted.video, out, look, model.label_map, listing, options)
        result.print_to_terminal(out, options.page)
        if _SIDE_BY_SIDE.value:
            print(f"{_SIDE_BY_SIDE.value}: {request.summary(result.objects_beside, threshold)}")
    else:
        detect = ByModel(model, threshold, classes).detect
        names, size = model.label_map, _BATCH_SIZE.value
        result = annotate_images(wanted.images, out, detect, names, listing, size)
        print(f"{out}: {result.images} pictures")
    print(f"{listing}: {request.summary(result.objects, threshold)}")
    return 0


def _second_model(first: Path) -> side_by_side.SideBySide | None:
    if not _SIDE_BY_SIDE.value:
        return None
    folder = Path(_SIDE_BY_SIDE.value)
    model = _load(folder, manifest.load(folder, _TRUST.value))
    titles = side_by_side.titles(first, folder)
    return side_by_side.of_model(model, _SCORE_THRESHOLD.value, _CLASSES.value, titles)


def _load(folder: Path, description: manifest.Manifest) -> Detector:
    choices = (_ENGINE.value, _DEVICE.value, _PRECISION.value, _THREADS.value)
    model = Detector.load(folder, *choices, description)
    print(f"model: {folder} ({model.engine.explained()})", flush=True)
    return model


def _options() -> VideoOptions:
    counters = counting.parse(_COUNT_LINE.value, _COUNT_ZONE.value)
    is_tracked = _TRACK.value or bool(counters)
    return VideoOptions(
        batch_size=_BATCH_SIZE.value,
        stride=_STRIDE.value,
        span=timecode.span(_START.value, _END.value, _MAX_FPS.value),
        codec=_CODEC.value,
        show_fps=_SHOW_FPS.value,
        tracker=tracking.Tracker(_SCORE_THRESHOLD.value) if is_tracked else None,
        counters=counters,
        resume=_RESUME.value,
        fps=_FPS.value,
    )


if __name__ == "__main__":
    app.run(main)
