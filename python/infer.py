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

    bazel run //python:infer -- --cluster=auto --video='drives/*.mp4' --out=annotated

does many videos, or folders of pictures, on the machines of a Ray cluster; see docs/cluster.md.
"""

import functools

from absl import flags

from roadmark import app
from roadmark.classification import vehicle_labels
from roadmark.cluster import flags as cluster_flags
from roadmark.storage import path_flags
from roadmark.video import codecs, request, timecode
from roadmark.video.annotate_many import annotate_many
from roadmark.video.annotator import Annotator, Settings

_CLUSTER = cluster_flags.define("videos, or folders of pictures,")
_VIDEO = path_flags.define_input(
    "video",
    None,
    "Video: a file, URL, camera, folder of pictures, or a pattern as in/%05d.jpg.",
    unless="cluster",
)
_FPS = flags.DEFINE_float("fps", None, "Frames a second of a video made of pictures; 25.", 0.01)
_IMAGES = path_flags.define_input(
    "images", None, "Picture, or folder of pictures, to annotate.", unless="cluster"
)
_MODEL = path_flags.define_input("model", None, "Exported model folder; the newest under runs/.")
_OUT = path_flags.define_output(
    "out", None, "File or folder to write; else NAME.annotated here.", unless="cluster"
)
_SCORE_THRESHOLD = flags.DEFINE_float(
    "score_threshold", 0.4, "Leave out objects with this score or less.", 0.0, 1.0
)
_CLASSES = flags.DEFINE_list("classes", [], "Only these class names, with commas between them.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Pictures per run of the model.", 1)
_ENGINE = flags.DEFINE_string("engine", "auto", "Or tensorflow, onnxruntime, openvino, tensorrt.")
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


def main() -> int:
    """Runs the command; see the module's text."""
    settings, sources = _settings(), (_VIDEO.value, _IMAGES.value)
    if _CLUSTER.value:
        models = (_MODEL, _CLASSIFY, _SIDE_BY_SIDE)
        given = {flag.name: path_flags.as_given(flag) for flag in models}
        out, choice = _OUT.value or "annotated", cluster_flags.choice()
        return cluster_flags.end(annotate_many(settings, *sources, out, choice, given))
    wanted = settings.request(*sources, _OUT.value)
    wanted.check()
    annotator = Annotator(settings, lambda line: print(line, flush=True))
    annotator.annotate(wanted).print_to_terminal()
    return 0


def _settings() -> Settings:
    return Settings(
        model=_MODEL.value,
        engine=_ENGINE.value,
        device=_DEVICE.value,
        precision=_PRECISION.value,
        threads=_THREADS.value,
        trust=_TRUST.value,
        classes=tuple(_CLASSES.value),
        score_threshold=_SCORE_THRESHOLD.value,
        label=functools.partial(vehicle_labels.labelled, threads=_THREADS.value),
        classify=_CLASSIFY.value,
        side_by_side=_SIDE_BY_SIDE.value,
        batch_size=_BATCH_SIZE.value,
        stride=_STRIDE.value,
        span=timecode.span(_START.value, _END.value, _MAX_FPS.value),
        codec=_CODEC.value,
        fps=_FPS.value,
        show_fps=_SHOW_FPS.value,
        resume=_RESUME.value,
        gif=_GIF.value,
        crops=_CROPS.value,
        track=_TRACK.value,
        count_line=_COUNT_LINE.value,
        count_zone=_COUNT_ZONE.value,
        detections=_DETECTIONS.value,
    )


if __name__ == "__main__":
    app.run(main)
