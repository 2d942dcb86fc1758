"""The ops that suppress boxes, wherever TensorFlow runs them: the Python face's bits."""

import numpy as np
import pytest
import tensorflow as tf

from roadmark.ops import _native, nms, tensorflow_ops

BATCH, COUNT, CLASSES, LIMIT = 3, 60, 4, 12
RNG = np.random.default_rng(0)


def random_boxes(*shape):
    corners = RNG.uniform(0, 1, (*shape, 2)).astype(np.float32)
    sizes = RNG.uniform(0.05, 0.4, (*shape, 2)).astype(np.float32)
    return np.concatenate([corners, corners + sizes], -1)


def normal(*shape):
    return RNG.normal(0, 1.5, shape).astype(np.float32)


# Few different scores: ties.
SCORES = RNG.integers(0, 40, (BATCH, COUNT, CLASSES)).astype(np.float32) / np.float32(64)
BOXES = random_boxes(BATCH, COUNT)
BOXES_BY_CLASS = random_boxes(BATCH, COUNT, CLASSES)
NMS = {"score_threshold": 0.3, "iou_threshold": 0.4, "max_per_class": 5, "max_total": LIMIT}

LOGITS = normal(BATCH, COUNT, CLASSES)
ENCODINGS = normal(BATCH, COUNT, 4)
ENCODINGS_BY_CLASS = normal(BATCH, COUNT, CLASSES, 4)
MASKS = normal(BATCH, COUNT, 5, 3)
MASKS_BY_CLASS = normal(BATCH, COUNT, CLASSES, 5, 3)
COUNTS = np.int32([COUNT, 7, 0])
WINDOWS = np.float32([[1, 1], [0.75, 1], [1, 0.5]])
FACTORS = (10.0, 10.0, 5.0, 5.0)
# What the Python face has no defaults for.
DEFAULTS = {
    "counts": np.full(BATCH, COUNT, np.int32),
    "windows": np.ones((BATCH, 2), np.float32),
    "mask_logits": None,
    "scale_factors": (1.0, 1.0, 1.0, 1.0),
    "score_converter": "sigmoid",
    "logit_scale": 1.0,
    "background_column": False,
    "class_agnostic": False,
    "soft_nms_sigma": 0.0,
    "threads": 1,
}
TENSORS = ("counts", "windows", "mask_logits")


def named(detections):
    """What is there of `BatchDetections`."""
    return {name: one for name, one in detections._asdict().items() if one is not None}


def multiclass(options, boxes, scores):
    return named(tensorflow_ops.batch_multiclass_nms(boxes, scores, **options))


def multiclass_by_numpy(options, boxes, scores):
    for of_boxes, kept in zip(
        boxes, nms.batch_multiclass_nms(boxes, scores, **options), strict=True
    ):
        indices, classes, kept_scores = kept
        chosen = of_boxes[indices] if boxes.ndim == 3 else of_boxes[indices, classes]
        yield chosen, kept_scores, classes, indices, None


def postprocess(options, logits, encodings, anchors, *more):
    names = [name for name in TENSORS if name in options]
    options = options | dict(zip(names, more, strict=True))
    return named(tensorflow_ops.postprocess(logits, encodings, anchors, **options))


def postprocess_by_numpy(options, logits, encodings, anchors, *_):
    options = DEFAULTS | options
    if encodings.ndim == 3:
        encodings = encodings[:, :, None]
    if options["mask_logits"] is not None and options["mask_logits"].ndim == 4:
        options["mask_logits"] = options["mask_logits"][:, :, None]
    return _native.postprocess(logits, encodings, anchors, **options)


def case(name, op, arrays, **changes):
    options = NMS | changes
    arrays = [*arrays, *(options[name] for name in TENSORS if name in options)]
    return pytest.param(op, options, arrays, id=name)


CASES = [
    case("shared boxes", multiclass, (BOXES, SCORES)),
    case("a box per class", multiclass, (BOXES_BY_CLASS, SCORES)),
    case("class-agnostic", multiclass, (BOXES, SCORES), class_agnostic=True),
    case("top-k first", multiclass, (BOXES, SCORES), max_candidates=9, max_per_class=99),
    case("soft", multiclass, (BOXES, SCORES), soft_nms_sigma=0.5),
    case("room for nothing", multiclass, (BOXES, SCORES), max_total=0),
    case("no boxes", multiclass, (BOXES[:, :0], SCORES[:, :0])),
    case("no pictures", multiclass, (BOXES[:0], SCORES[:0])),
    case("SSD", postprocess, (LOGITS, ENCODINGS, BOXES[0]), scale_factors=FACTORS),
    case(
        "EfficientDet on padded pictures",
        postprocess,
        (LOGITS, ENCODINGS, BOXES[0]),
        windows=WINDOWS,
        logit_scale=2.0,
        soft_nms_sigma=0.3,
    ),
    case(
        "Faster R-CNN",
        postprocess,
        (normal(BATCH, COUNT, CLASSES + 1), ENCODINGS_BY_CLASS, BOXES),
        counts=COUNTS,
        score_converter="softmax",
        background_column=True,
        scale_factors=FACTORS,
    ),
    case(
        "Mask R-CNN",
        postprocess,
        (LOGITS, ENCODINGS_BY_CLASS, BOXES),
        counts=COUNTS,
        windows=WINDOWS,
        mask_logits=MASKS_BY_CLASS,
    ),
    case(
        "a mask per proposal, class-agnostic",
        postprocess,
        (SCORES, ENCODINGS, BOXES),
        mask_logits=MASKS,
        score_converter="identity",
        class_agnostic=True,
    ),
]
BY_NUMPY = {multiclass: multiclass_by_numpy, postprocess: postprocess_by_numpy}


def of_any_shape(op, options, arrays):
    """A function that knows nothing but the arrays' rank."""
    specs = [tf.TensorSpec([None] * array.ndim, array.dtype) for array in arrays]
    return tf.function(lambda *tensors: op(options, *tensors), input_signature=specs)


def at_once(op, options, arrays, _):
    return op(options, *arrays)


def in_a_function(op, options, arrays, _):
    return of_any_shape(op, options, arrays)(*arrays)


def in_an_input_pipeline(op, options, arrays, _):
    batches = tf.data.Dataset.from_tensors(tuple(arrays))
    return next(iter(batches.map(lambda *tensors: op(options, *tensors))))


def in_a_saved_model(op, options, arrays, folder):
    module = tf.Module()
    module.detect = of_any_shape(op, options, arrays)
    tf.saved_model.save(module, str(folder))
    return tf.saved_model.load(str(folder)).detect(*arrays)


RUNS = at_once, in_a_function, in_an_input_pipeline, in_a_saved_model


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
@pytest.mark.parametrize(("op", "options", "arrays"), CASES)
def test_the_bits_of_the_python_face(op, options, arrays, run, tmp_path):
    found = {name: tensor.numpy() for name, tensor in run(op, options, arrays, tmp_path).items()}
    expected = list(BY_NUMPY[op](options, *arrays))
    assert len(found["num_detections"]) == len(expected)
    names = ("boxes", "scores", "classes", "indices", "masks")
    for picture, arrays_of_picture in enumerate(expected):
        count = found["num_detections"][picture]
        for name, array in zip(names, arrays_of_picture, strict=True):
            if array is None:
                assert name not in found
                continue
            padded = found[name][picture]
            assert len(padded) == options["max_total"]
            assert padded.dtype == array.dtype
            assert padded[:count].tobytes() == array.tobytes(), name
            assert not padded[count:].any(), "padding is zeros"


def test_the_cases_keep_some_boxes_and_leave_room():
    for param in CASES:
        op, options, arrays = param.values
        counts = [len(one[1]) for one in BY_NUMPY[op](options, *arrays)]
        if arrays[0].size and options["max_total"]:
            assert max(counts) >= 5
        assert max(counts, default=0) <= options["max_total"]


def one_score_each(options, boxes, scores, classes):
    several = tensorflow_ops.batched_nms(
        boxes, scores, classes, **options, max_per_class=6, max_total=11
    )
    alone = tensorflow_ops.nms(boxes, scores, **options, max_outputs=9)
    return {str(number): one for number, one in enumerate((*several, *alone))}


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
def test_boxes_with_one_score_each(run, tmp_path):
    boxes, scores = BOXES[0], SCORES[0, :, 0]
    classes = np.arange(COUNT, dtype=np.int32) % 3
    options = {"score_threshold": 0.2, "iou_threshold": 0.3, "soft_nms_sigma": 0.25}
    found = run(one_score_each, options, [boxes, scores, classes], tmp_path)
    expected = (
        *nms.batched_nms(boxes, scores, classes, **options, max_per_class=6, max_total=11),
        *nms.nms(boxes, scores, **options, max_outputs=9),
    )
    for number, array in enumerate(expected):
        assert len(array) in (9, 11)
        assert found[str(number)].numpy().tobytes() == array.tobytes()


def traced_shapes(op, options, specs):
    traced = tf.function(lambda *tensors: op(options, *tensors)).get_concrete_function(
        *(tf.TensorSpec(shape, dtype) for shape, dtype in specs)
    )
    return {name: list(tensor.shape) for name, tensor in traced.structured_outputs.items()}


FLOAT = tf.float32


@pytest.mark.parametrize(
    ("op", "options", "specs", "batch", "mask"),
    [
        pytest.param(
            multiclass, NMS, [([2, 9, 4], FLOAT), ([2, 9, 3], FLOAT)], 2, None, id="all known"
        ),
        pytest.param(
            multiclass,
            NMS,
            [([None, None, None, 4], FLOAT), ([5, None, 3], FLOAT)],
            5,
            None,
            id="the batch from one of the inputs",
        ),
        pytest.param(
            multiclass, NMS, [(None, FLOAT), (None, FLOAT)], None, None, id="not even the rank"
        ),
        pytest.param(
            postprocess,
            NMS | {"mask_logits": None},
            [
                ([None, 9, 3], FLOAT),
                ([None, 9, 4], FLOAT),
                ([9, 4], FLOAT),
                ([None, 9, 3, 7, None], FLOAT),
            ],
            None,
            [7, None],
            id="an unknown batch",
        ),
        pytest.param(
            postprocess,
            NMS,
            [(None, FLOAT), ([None, None, 4], FLOAT), ([6, None, 4], FLOAT)],
            6,
            None,
            id="the batch from the proposals",
        ),
    ],
)
def test_shapes_known_while_tracing(op, options, specs, batch, mask):
    shapes = traced_shapes(op, options, specs)
    expected = {
        "boxes": [batch, LIMIT, 4],
        "scores": [batch, LIMIT],
        "classes": [batch, LIMIT],
        "indices": [batch, LIMIT],
        "num_detections": [batch],
    }
    assert shapes == (expected if mask is None else expected | {"masks": [batch, LIMIT, *mask]})


@pytest.mark.parametrize(
    ("op", "options", "shapes", "says"),
    [
        (
            multiclass,
            {},
            ([9, 4], [2, 9, 3]),
            r"boxes: found the shape \[9,4\], expected \[2,9,4\]",
        ),
        (multiclass, {}, ([2, 9, 4], [9, 3]), r"scores: found .*\[9,3\], expected \[\?,\?,\?\]"),
        (multiclass, {}, ([2, 9, 2, 4], [2, 9, 3]), r"boxes: .*expected \[2,9,3,4\]"),
        (multiclass, {}, ([None, 9, 5], [2, 9, 3]), r"boxes: .*\[\?,9,5\], expected \[2,9,4\]"),
        (postprocess, {}, ([2, 9], [2, 9, 4], [9, 4]), r"class_logits: .*expected \[\?,\?,\?\]"),
        (postprocess, {}, ([2, 9, 3], [2, 8, 4], [9, 4]), r"box_encodings: .*expected \[2,9,4\]"),
        (postprocess, {}, ([2, 9, 3], [2, 9, 4], [8, 4]), r"anchors: .*expected \[9,4\]"),
        (postprocess, {}, ([2, 9, 3], [2, 9, 4], [1, 9, 4]), r"anchors: .*expected \[2,9,4\]"),
        (
            postprocess,
            {"windows": None},
            ([2, 9, 3], [2, 9, 4], [9, 4], [2, 4]),
            r"windows: found the shape \[2,4\], expected \[2,2\]",
        ),
        (
            postprocess,
            {"mask_logits": None},
            ([2, 9, 3], [2, 9, 4], [9, 4], [2, 9, 5]),
            r"mask_logits: found the shape \[2,9,5\], expected \[2,9,\?,\?\]",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused_while_tracing(op, options, shapes, says):
    with pytest.raises(ValueError, match=says):
        traced_shapes(op, NMS | options, [(shape, FLOAT) for shape in shapes])


def zeros(*shape):
    return np.zeros(shape, np.float32)


def nan_box(*shape):
    boxes = zeros(*shape)
    boxes[1, 4, 2] = np.nan
    return boxes


def refusal(op, says, *arrays, **changes):
    options = NMS | changes
    tensors = [options[name] for name in TENSORS if name in options]
    return pytest.param(op, options, [*arrays, *tensors], says, id=says.replace("\\", ""))


SSD = zeros(2, 9, 3), zeros(2, 9, 4), zeros(9, 4)


@pytest.mark.parametrize(
    ("op", "options", "arrays", "says"),
    [
        refusal(multiclass, r"boxes: .*\[9,4\], expected \[2,9,4\]", zeros(9, 4), zeros(2, 9, 3)),
        refusal(multiclass, r"scores: .*\[9,3\]", zeros(2, 9, 4), zeros(9, 3)),
        refusal(multiclass, "boxes.13.: found .0, 0, nan, 0.", nan_box(2, 9, 4), zeros(2, 9, 3)),
        refusal(multiclass, "scores: found 0, expected one class", zeros(2, 9, 4), zeros(2, 9, 0)),
        refusal(multiclass, "max_total", BOXES, SCORES, max_total=-1),
        refusal(multiclass, "max_per_class", BOXES, SCORES, max_per_class=-1),
        refusal(
            multiclass,
            "iou_threshold: found 1.5, expected 0 to 1",
            BOXES,
            SCORES,
            iou_threshold=1.5,
        ),
        refusal(multiclass, "score_threshold: found nan", BOXES, SCORES, score_threshold=np.nan),
        refusal(multiclass, "soft_nms_sigma: found -1", BOXES, SCORES, soft_nms_sigma=-1.0),
        refusal(
            multiclass,
            "score_threshold: found -1, expected 0 or more with",
            BOXES,
            SCORES,
            soft_nms_sigma=0.5,
            score_threshold=-1.0,
        ),
        refusal(
            multiclass,
            "max_candidates: found 5, expected 0 when class-agnostic",
            BOXES,
            SCORES,
            max_candidates=5,
            class_agnostic=True,
        ),
        refusal(postprocess, "box_encodings: .*one box per row", SSD[0], zeros(2, 9, 2, 4), SSD[2]),
        refusal(postprocess, r"anchors: .*expected \[9,4\]", *SSD[:2], zeros(8, 4)),
        refusal(
            postprocess,
            "class_logits: found 0, expected one class or more besides background",
            zeros(2, 9, 1),
            *SSD[1:],
            background_column=True,
        ),
        refusal(postprocess, "counts: found 10, expected 0 to", *SSD, counts=np.int32([9, 10])),
        refusal(postprocess, "counts: found -1, expected 0 to", *SSD, counts=np.int32([9, -1])),
        refusal(postprocess, r"counts: .*expected \[2\]", *SSD, counts=np.int32([9])),
        refusal(postprocess, r"windows: found \(0, 0\), expected a", *SSD, windows=zeros(2, 2)),
        refusal(postprocess, "mask_logits: .*one mask per", *SSD, mask_logits=zeros(2, 9, 2, 5, 5)),
        refusal(postprocess, "scale_factors: found 0, expected", *SSD, scale_factors=(1, 0, 1, 1)),
        refusal(postprocess, "logit_scale: found 0, expected above 0", *SSD, logit_scale=0.0),
        refusal(postprocess, 'score_converter.*"argmax"', *SSD, score_converter="argmax"),
    ],
)
def test_what_does_not_fit_is_named(op, options, arrays, says):
    with pytest.raises(tf.errors.InvalidArgumentError, match=says):
        op(options, *arrays)


@pytest.mark.parametrize(
    ("boxes", "scores", "classes", "says"),
    [
        (zeros(3, 4), zeros(2), np.zeros(2, np.int32), r"boxes: .*\[3,4\], expected \[2,4\]"),
        (zeros(2, 4), zeros(2), np.zeros(3, np.int32), r"classes: .*\[3\], expected \[2\]"),
        (zeros(2, 4), zeros(2), np.int32([0, -1]), "classes: found -1, expected 0 or more"),
        (zeros(2, 4), zeros(2), np.int32([0, 1 << 20]), "classes: .*less than 2"),
        (zeros(2, 4) * np.nan, zeros(2), np.zeros(2, np.int32), r"boxes\[0\]: found \(nan, nan"),
    ],
)
def test_boxes_with_one_score_each_that_do_not_fit(boxes, scores, classes, says):
    with pytest.raises(tf.errors.InvalidArgumentError, match=says):
        tensorflow_ops.batched_nms(boxes, scores, classes, **NMS)
