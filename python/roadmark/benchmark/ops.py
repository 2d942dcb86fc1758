"""The suite `ops`: the operations around a network, on the processor."""

import functools
from pathlib import Path

import numpy as np

from roadmark.benchmark import agreement, computer, inputs, suite
from roadmark.benchmark.contender import Contenders, contenders
from roadmark.benchmark.inputs import INPUT_SIZE, NUM_ANCHORS
from roadmark.benchmark.report import Report
from roadmark.benchmark.suite import Operation, Options, Rival
from roadmark.manifest import FIXED_SHAPE, KEEP_ASPECT_RATIO

_CONTENDERS = "roadmark.benchmark.contenders"
_NATIVE, _TENSORFLOW = f"{_CONTENDERS}.native", f"{_CONTENDERS}.tensorflow_image"
_OD_API, _NUMPY = f"{_CONTENDERS}.object_detection_api", f"{_CONTENDERS}.numpy_code"
_OPENCV, _TORCHVISION = f"{_CONTENDERS}.opencv", f"{_CONTENDERS}.torchvision"

_EFFICIENTDET = "effdet_d1.config"
_RESNET = "ssd_resnet50_fpn_640.config"

# ImageNet's, in pixel values.
_MEAN = [123.675, 116.28, 103.53]
_SCALE = [1 / 58.395, 1 / 57.12, 1 / 57.375]

_SAMPLING = "OpenCV samples at pixel centres, the OD API not"

_FLOAT = 4
_BOX = 4 * _FLOAT


def run(options: Options) -> Report:
    """Runs the suite.

    Args:
        options: The user's.

    Raises:
        UserError: The peers' environment is not there, or more threads than processors are asked
            for.
    """
    load = computer.load_average()
    with contenders(options.peers_python) as running:
        warning = computer.busy_warning(load)
        if warning:
            options.say(warning)
        threads = list(options.threads)
        bandwidth = computer.measure_bandwidth(running, threads)
        chosen = [one for one in operations(options.configs) if options.wants(one.name)]
        rows, failures = suite.run("ops", chosen, options, running, bandwidth)
        machine = computer.describe(load, _versions(running, options.threads[0]), bandwidth)
    return Report(machine, tuple(rows), tuple(failures))


def operations(configs: Path) -> list[Operation]:
    """What the suite times.

    Args:
        configs: The folder with the pipeline configs.
    """
    return [
        *(_postprocess(configs, classes, low) for classes in (90, 3) for low in (1e-8, 0.3)),
        _postprocess(configs, 90, 1e-8, trained=False),
        _postprocess(configs, 90, 0.3, pictures=4),
        *(_nms(count, classes) for count in (1000, 10000) for classes in (1, 80)),
        _nms(10000, 1, disjoint=True),
        _preprocess(KEEP_ASPECT_RATIO, [INPUT_SIZE * 720 // 1280, INPUT_SIZE]),
        _preprocess(FIXED_SHAPE, [INPUT_SIZE, INPUT_SIZE]),
        _assignment(configs, slots=100, real=100, target=35.0),
        _assignment(configs, slots=100, real=20, target=60.0),
        _assignment(configs, slots=20, real=20, target=20.0),
        _coding(configs, "box encode", "encoding", "encodings"),
        _coding(configs, "box decode", "decoding", "boxes"),
        _paste_masks(),
        _annotate(),
    ]


def _postprocess(
    configs: Path, classes: int, low: float, trained: bool = True, pictures: int = 1
) -> Operation:
    kind = "" if trained else ", untrained network"
    batch = "" if pictures == 1 else f"batch {pictures}, "
    targets = {90: 50.0, 3: 15.0}
    return Operation(
        name="post-process",
        size=f"{batch}{NUM_ANCHORS:,} x {classes}, threshold {low:g}{kind}",
        inputs=functools.partial(inputs.detector_outputs, classes, trained, pictures),
        ours=f"{_NATIVE}:postprocessing",
        options={
            "score_threshold": low,
            "iou_threshold": 0.5,
            "max_outputs": 100,
            "num_classes": classes,
            "input_size": INPUT_SIZE,
            "mean": _MEAN,
            "scale": _SCALE,
        },
        moved=pictures * NUM_ANCHORS * classes * _FLOAT,
        moved_what="all logits, once",
        rivals=(
            Rival(
                peer="OD API graph",
                function=f"{_OD_API}:postprocessing",
                is_foreign=False,
                target=targets[classes] if trained and pictures == 1 else None,
                counted="both sides: sigmoid, decoding, suppression, clipping; "
                + ("one picture" if pictures == 1 else "our threads share the pictures"),
                agree=agreement.same_detections,
                options={"config": str(configs / _EFFICIENTDET)},
            ),
        ),
    )


def _nms(count: int, classes: int, disjoint: bool = False) -> Operation:
    all_of_them = {"max_outputs": count}
    kind = ", none overlaps" if disjoint else ""
    promised = not disjoint
    return Operation(
        name="NMS",
        size=f"{count:,} boxes, {classes} {'class' if classes == 1 else 'classes'}{kind}",
        inputs=functools.partial(inputs.survivors, count, classes, disjoint),
        ours=f"{_NATIVE}:batched_nms",
        options={"score_threshold": 0.05, "iou_threshold": 0.5, "num_classes": classes},
        moved=count * (_BOX + 2 * _FLOAT),
        moved_what="boxes, scores and classes, once",
        rivals=(
            Rival(
                peer="tf.image combined",
                function=f"{_TENSORFLOW}:combined_nms",
                is_foreign=False,
                target=10.0 if promised else None,
                counted="both sides: suppression with 100 outputs a class and in all; the score "
                "matrix that TensorFlow wants is made beforehand",
                agree=agreement.same_detections,
                options={"max_outputs": 100},
                our_options={"max_outputs": 100},
            ),
            Rival(
                peer="OpenCV batched",
                function=f"{_OPENCV}:batched_nms",
                is_foreign=True,
                target=5.0 if promised else None,
                counted="both sides: suppression without a limit; OpenCV's boxes are made "
                "beforehand",
                agree=agreement.same_indices,
                options=all_of_them,
                our_options=all_of_them,
            ),
            Rival(
                peer="torchvision",
                function=f"{_TORCHVISION}:batched_nms",
                is_foreign=True,
                target=3.0 if promised else None,
                counted="both sides: suppression without a limit, which torchvision does not know",
                agree=agreement.same_indices,
                our_options=all_of_them,
            ),
        ),
    )


def _preprocess(resize: str, resized_size: list[int]) -> Operation:
    height, width = resized_size
    padded = "" if resized_size == [INPUT_SIZE, INPUT_SIZE] else f", padded to {INPUT_SIZE}"
    return Operation(
        name="pre-process",
        size=f"1280x720 to {width}x{height}{padded}",
        inputs=lambda: {"image": inputs.picture(720, 1280)},
        ours=f"{_NATIVE}:preprocessing",
        options={
            "resize": resize,
            "resized_size": resized_size,
            "input_size": INPUT_SIZE,
            "mean": _MEAN,
            "scale": _SCALE,
        },
        moved=720 * 1280 * 3 + INPUT_SIZE**2 * 3 * _FLOAT,
        moved_what="the picture read, the batch written",
        rivals=(
            Rival(
                peer="tf.image",
                function=f"{_TENSORFLOW}:preprocessing",
                is_foreign=False,
                target=10.0,
                counted="both sides: resize, mean and scale, padding, to a float32 batch",
                agree=agreement.close("batch"),
            ),
            Rival(
                peer="OpenCV + NumPy",
                function=f"{_OPENCV}:preprocessing",
                is_foreign=True,
                target=3.0,
                counted="both sides: resize, mean and scale, into a float32 batch that is used "
                "again",
                agree=agreement.not_comparable(_SAMPLING),
            ),
            Rival(
                peer="OpenCV + NumPy, by rows",
                function=f"{_OPENCV}:tuned_preprocessing",
                is_foreign=True,
                target=3.0,
                counted="both sides: as before; OpenCV's mean and scale are repeated to whole "
                "rows beforehand",
                agree=agreement.not_comparable(_SAMPLING),
            ),
        ),
    )


def _assignment(configs: Path, slots: int, real: int, target: float) -> Operation:
    padded = "" if slots == real else f" in {slots} slots"
    batch, classes = 8, 3
    per_anchor = (classes + 1 + 4 + 1 + 1) * _FLOAT
    return Operation(
        name="target assignment",
        size=f"batch {batch}, {NUM_ANCHORS:,} anchors, {real} real boxes{padded}",
        inputs=functools.partial(inputs.ground_truth, slots, real, classes, batch),
        ours=f"{_NATIVE}:target_assignment",
        options={"num_classes": classes},
        moved=batch * NUM_ANCHORS * per_anchor,
        moved_what="targets, weights and matches, written",
        rivals=(
            Rival(
                peer="OD API batch_assign",
                function=f"{_OD_API}:target_assignment",
                is_foreign=False,
                target=target,
                counted="both sides: matches, targets and weights of a batch, 3 classes; the OD "
                "API repeats class weights for each class",
                agree=agreement.same_targets,
                options={"config": str(configs / _EFFICIENTDET)},
            ),
        ),
    )


def _coding(configs: Path, name: str, function: str, result: str) -> Operation:
    return Operation(
        name=name,
        size=f"{NUM_ANCHORS:,}",
        inputs=inputs.coding,
        ours=f"{_NATIVE}:{function}",
        options={"scale_factors": [10.0, 10.0, 5.0, 5.0], "num_classes": 3},
        moved=3 * NUM_ANCHORS * _BOX,
        moved_what="two arrays of boxes read, one written",
        rivals=(
            Rival(
                peer="OD API graph",
                function=f"{_OD_API}:{function}",
                is_foreign=False,
                target=10.0,
                counted="both sides: the Faster R-CNN coder",
                agree=agreement.close(result),
                options={"config": str(configs / _RESNET)},
            ),
            Rival(
                peer="NumPy",
                function=f"{_NUMPY}:{function}",
                is_foreign=False,
                target=5.0,
                counted="both sides: the Faster R-CNN coder",
                agree=agreement.close(result),
            ),
        ),
    )


def _paste_masks() -> Operation:
    scene = inputs.instance_masks(inputs.OBJECTS)
    pixels = np.prod(scene["boxes"][:, 2:] - scene["boxes"][:, :2], axis=1).sum() * 1080 * 1920
    return Operation(
        name="mask pasting",
        size=f"{inputs.OBJECTS} masks of 33x33 on a 1080p frame",
        inputs=lambda: scene,
        ours=f"{_NATIVE}:mask_pasting",
        options={"size": [1080, 1920]},
        moved=int(pixels),
        moved_what="the boxes' pixels, written",
        rivals=tuple(
            Rival(
                peer=peer,
                function=f"{module}:mask_pasting",
                is_foreign=False,
                target=None,
                counted="both sides: interpolation, threshold, masks of the frame's size",
                agree=agreement.same_pixels,
            )
            for peer, module in (("tf.image", _TENSORFLOW), ("NumPy", _NUMPY))
        ),
    )


def _annotate() -> Operation:
    scene = inputs.video_frame(1080, 1920, inputs.OBJECTS)
    names = ["vehicle", "pedestrian", "cyclist"]
    found = zip(scene["classes"], scene["scores"], strict=True)
    sides = scene["boxes"][:, 2:] - scene["boxes"][:, :2]
    frame_pixels, tag_pixels = 2 * sides.sum() * 4, inputs.OBJECTS * 32 * 150
    why = "each draws in its own lines and letters"
    counted = "both sides: an I420 frame in and out, texts made beforehand; {} converts twice"
    return Operation(
        name="annotate",
        size=f"{inputs.OBJECTS} boxes with tags on a 1080p I420 frame",
        inputs=lambda: scene,
        ours=f"{_NATIVE}:annotating",
        options={
            "labels": [f"{names[number - 1]} {score:.0%}" for number, score in found],
        },
        moved=int((frame_pixels + tag_pixels) * 1.5),
        moved_what="the samples of frames 4 pixels wide and of tags, written",
        rivals=tuple(
            Rival(
                peer=peer,
                function=f"{_CONTENDERS}.{module}:annotating",
                is_foreign=True,
                target=target,
                counted=counted.format(peer),
                agree=agreement.not_comparable(why),
            )
            for peer, module, target in (
                ("supervision", "supervision", 20.0),
                ("OpenCV", "opencv", 10.0),
            )
        ),
    )


def _versions(running: Contenders, threads: int) -> dict[str, str]:
    own = running.get(f"{_NATIVE}:", is_foreign=False, threads=threads)
    peers = running.get(f"{_TORCHVISION}:", is_foreign=True, threads=threads)
    return {
        **own.versions(
            ["numpy", "tensorflow-cpu", "tf-models-research-object-detection", "tf-models-official"]
        ),
        **peers.versions(["opencv-python-headless", "supervision", "torch", "torchvision"]),
    }
