"""The boundary to C++: what it takes, what it refuses, and that it leaves arguments alone."""

import contextlib
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from roadmark.ops import _native
from roadmark.ops.nms import batch_multiclass_nms, batched_nms, iou, multiclass_nms, nms

FORMAT = {
    "resized": [(2, 2)],
    "mean": (0, 0, 0),
    "scale": (1, 1, 1),
    "pad_value": (0, 0, 0),
    "layout": "NHWC",
    "dtype": "float32",
    "threads": 1,
}
LIMITS = {"score_threshold": 0.1, "iou_threshold": 0.5, "soft_nms_sigma": 0.0}
MANY = LIMITS | {"max_per_class": 100, "max_total": 100}
POSTPROCESS = MANY | {
    "mask_logits": None,
    "counts": np.int32([2]),
    "windows": np.float32([[1, 1]]),
    "scale_factors": (10, 10, 5, 5),
    "score_converter": "sigmoid",
    "logit_scale": 1.0,
    "background_column": False,
    "class_agnostic": False,
    "threads": 1,
}


def random_boxes(seed, *shape):
    corners = np.random.default_rng(seed).uniform(0, 1, (*shape, 2, 2)).astype(np.float32)
    return np.sort(corners, axis=-2).reshape(*shape, 4)


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def run_postprocess(**changes):
    arguments = POSTPROCESS | {
        "class_logits": zeros(1, 2, 1),
        "box_encodings": zeros(1, 2, 1, 4),
        "anchors": zeros(2, 4),
    }
    return _native.postprocess(**arguments | changes)


def run_paste_masks(**changes):
    arguments = {
        "probabilities": zeros(2, 3, 3),
        "boxes": zeros(2, 4),
        "image_size": (5, 6),
        "threshold": 0.5,
        "threads": 1,
    }
    return _native.paste_masks(**arguments | changes)


PIXELS = zeros(4, 4, 3, dtype=np.uint8)
NAN_BOX = np.float32([[0, 0, 1, 1], [0, np.nan, 1, 1]])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: nms(zeros(3, 4), zeros(2), **LIMITS, max_outputs=1),
            r"boxes: found float32 \(3, 4\), expected float32 \(2, 4\)",
        ),
        (
            lambda: nms(zeros(3, 4), zeros(3, 1), **LIMITS, max_outputs=1),
            r"scores: found float32 \(3, 1\), expected float32 \(any,\)",
        ),
        (
            lambda: nms(zeros(3, 4), zeros(3, dtype=np.float64), **LIMITS, max_outputs=1),
            r"scores: found float64 \(3,\), expected float32",
        ),
        (
            lambda: nms([[0, 0, 1, 1]], zeros(1), **LIMITS, max_outputs=1),
            "boxes: found list, expected an array",
        ),
        (
            lambda: nms(NAN_BOX, zeros(2), **LIMITS, max_outputs=1),
            r"boxes\[1\]: found \(0\.0+, nan, .*expected corners that are numbers",
        ),
        (
            lambda: nms(zeros(1, 4), zeros(1), **LIMITS, max_outputs=-1),
            "max_outputs: found -1, expected 0 or more",
        ),
        (
            lambda: nms(zeros(1, 4), zeros(1), **LIMITS | {"iou_threshold": 1.5}, max_outputs=1),
            "iou_threshold: found 1.5, expected 0 to 1",
        ),
        (
            lambda: nms(
                zeros(1, 4), zeros(1), **LIMITS | {"score_threshold": np.nan}, max_outputs=1
            ),
            "score_threshold: found nan",
        ),
        (
            lambda: nms(zeros(1, 4), zeros(1), **LIMITS | {"soft_nms_sigma": -1}, max_outputs=1),
            "soft_nms_sigma: found -1",
        ),
        (
            lambda: nms(
                zeros(1, 4),
                zeros(1),
                **LIMITS | {"soft_nms_sigma": 0.5, "score_threshold": -0.5},
                max_outputs=1,
            ),
            "score_threshold: found -0.5.*, expected 0 or more with soft_nms_sigma",
        ),
        (
            lambda: batched_nms(zeros(1, 4), zeros(1), np.int32([-1]), **MANY),
            "classes: found -1, expected 0 or more",
        ),
        (
            lambda: batched_nms(zeros(1, 4), zeros(1), np.int64([1]), **MANY),
            "classes: found int64",
        ),
        (
            lambda: multiclass_nms(zeros(2, 4), zeros(2, 0), **MANY),
            "scores: found 0, expected one class",
        ),
        (
            lambda: multiclass_nms(zeros(2, 3, 4), zeros(2, 2), **MANY),
            r"boxes: found float32 \(2, 3, 4\), expected float32 \(2, 2, 4\)",
        ),
        (
            lambda: _native.decode_boxes(zeros(2, 4), zeros(3, 4), (1, 1, 1, 1)),
            r"encodings: found float32 \(2, 4\), expected float32 \(3, 4\)",
        ),
        (
            lambda: _native.encode_boxes(zeros(2, 4), zeros(2, 4), (1, 0, 1, 1)),
            "scale_factors: found 0.0, expected factors above 0",
        ),
        (
            lambda: batch_multiclass_nms(zeros(1, 2, 4), zeros(2, 2, 3), **MANY),
            r"boxes: found float32 \(1, 2, 4\), expected float32 \(2, 2, 4\)",
        ),
        (
            lambda: batch_multiclass_nms(zeros(1, 2, 4), zeros(1, 2, 3), **MANY, threads=0),
            "threads: found 0, expected 1 or more",
        ),
        (
            lambda: run_postprocess(box_encodings=zeros(1, 2, 3, 4)),
            "box_encodings: found .*expected one box per row, or one per class",
        ),
        (
            lambda: run_postprocess(anchors=zeros(3, 4)),
            r"anchors: found float32 \(3, 4\), expected float32 \(2, 4\)",
        ),
        (
            lambda: run_postprocess(score_converter="argmax"),
            "score_converter: found argmax, expected identity, sigmoid or softmax",
        ),
        (
            lambda: run_postprocess(counts=np.int32([3])),
            "counts: found 3, expected 0 to the number of rows",
        ),
        (
            lambda: run_postprocess(windows=np.float32([[1, 0]])),
            r"windows: found \(1.0, 0.0\), expected a height and width above 0",
        ),
        (
            lambda: run_postprocess(mask_logits=zeros(1, 2, 3, 5, 5)),
            "mask_logits: found .*expected one mask per row, or one per class",
        ),
        (
            lambda: run_paste_masks(probabilities=zeros(2, 9)),
            r"probabilities: found float32 \(2, 9\), expected float32 \(any, any, any\)",
        ),
        (
            lambda: run_paste_masks(probabilities=zeros(2, 0, 3)),
            r"probabilities: found float32 \(2, 0, 3\), expected sides of 1 or more",
        ),
        (
            lambda: run_paste_masks(probabilities=zeros(2, 3, 3, dtype=np.float64)),
            "probabilities: found float64",
        ),
        (
            lambda: run_paste_masks(boxes=zeros(3, 4)),
            r"boxes: found float32 \(3, 4\), expected float32 \(2, 4\)",
        ),
        (lambda: run_paste_masks(boxes=NAN_BOX), r"boxes\[1\]: found .*that are numbers"),
        (
            lambda: run_paste_masks(image_size=(5, -1)),
            r"image_size: found \(5, -1\), expected sides of 0 to 2\*\*24",
        ),
        (lambda: run_paste_masks(threshold=np.nan), "threshold: found nan, expected a number"),
        (lambda: run_paste_masks(threads=0), "threads: found 0, expected 1 or more"),
        (
            lambda: _native.preprocess([zeros(4, 4, 3)], **FORMAT, out=zeros(1, 2, 2, 3)),
            r"images\[0\]: found float32 \(4, 4, 3\), expected uint8",
        ),
        (
            lambda: _native.preprocess([PIXELS[:, :0]], **FORMAT, out=zeros(1, 2, 2, 3)),
            r"images\[0\]: found uint8 \(4, 0, 3\), expected sides of 1",
        ),
        (
            lambda: _native.preprocess([PIXELS], **FORMAT, out=zeros(2, 2, 2, 3)),
            r"out: found float32 \(2, 2, 2, 3\), expected float32 \(1, any, any, 3\)",
        ),
        (
            lambda: _native.preprocess([PIXELS], **FORMAT, out=zeros(1, 2, 1, 3)),
            r"resized: found \(2, 2\), expected 1 to the sides of out",
        ),
        (
            lambda: _native.preprocess([PIXELS] * 2, **FORMAT, out=zeros(2, 2, 2, 3)),
            "resized: found 1, expected one size per image",
        ),
        (
            lambda: _native.preprocess([PIXELS], **FORMAT, out=zeros(1, 2, 4, 3)[:, :, ::2]),
            "out: found a strided array, expected C order",
        ),
        (
            lambda: _native.preprocess([PIXELS], **FORMAT, out=read_only(zeros(1, 2, 2, 3))),
            "out: found a read-only array",
        ),
        (
            lambda: _native.preprocess(
                [PIXELS], **FORMAT | {"layout": "NHCW"}, out=zeros(1, 2, 2, 3)
            ),
            "layout: found NHCW, expected NHWC or NCHW",
        ),
        (
            lambda: _native.preprocess(
                [PIXELS], **FORMAT | {"dtype": "float16"}, out=zeros(1, 2, 2, 3)
            ),
            "dtype: found float16, expected float32, bfloat16 or uint8",
        ),
        (
            lambda: _native.preprocess([PIXELS], **FORMAT | {"threads": 0}, out=zeros(1, 2, 2, 3)),
            "threads: found 0, expected 1 or more",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


class OnlyDlpack:
    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **kwargs):
        return self._array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def strided(array):
    return np.repeat(array, 2, axis=0)[::2]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("form", [OnlyDlpack, memoryview, strided, read_only, np.asfortranarray])
def test_every_form_of_array_gives_the_same(form):
    boxes, scores = random_boxes(0, 50), np.linspace(0, 1, 50, dtype=np.float32)
    expected = nms(boxes, scores, **LIMITS, max_outputs=20)
    found = nms(form(boxes), form(scores), **LIMITS, max_outputs=20)
    for left, right in zip(found, expected, strict=True):
        assert np.array_equal(left, right)


def test_arguments_are_left_alone():
    boxes, scores = random_boxes(0, 50), np.random.default_rng(0).random(50).astype(np.float32)
    before = boxes.tobytes(), scores.tobytes()
    nms(boxes, scores, **LIMITS | {"soft_nms_sigma": 0.5}, max_outputs=20)
    batched_nms(boxes, scores, np.zeros(50, np.int32), **MANY)
    multiclass_nms(boxes, scores[:, None], **MANY)
    run_postprocess(
        class_logits=scores[None, :, None],
        box_encodings=boxes[None, :, None],
        anchors=boxes,
        counts=np.int32([50]),
    )
    run_paste_masks(probabilities=np.broadcast_to(scores, (50, 3, 50)), boxes=boxes)
    assert (boxes.tobytes(), scores.tobytes()) == before


@contextlib.contextmanager
def counting_thread():
    """Yields a list to which another thread adds whenever Python lets it."""
    ticks, ended, interval = [], threading.Event(), sys.getswitchinterval()

    def count():
        while not ended.is_set():
            ticks.append(None)
            time.sleep(0.0001)

    thread = threading.Thread(target=count)
    thread.start()
    sys.setswitchinterval(1000)  # A thread that computes keeps its turn from here on.
    try:
        yield ticks
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        thread.join()


def is_let_in(call):
    """Whether another thread gets on during one of many calls."""
    with counting_thread() as ticks:
        before = len(ticks)
        for _ in range(300):
            call()
            if len(ticks) > before + 2:
                return True
    return False


SIDE = np.arange(100, dtype=np.float32)
APART = np.stack(np.broadcast_arrays(SIDE[:, None], SIDE, SIDE[:, None] + 0.5, SIDE + 0.5), axis=-1)
APART = np.ascontiguousarray(APART.reshape(-1, 4))
DESCENDING = np.linspace(1, 0.5, len(APART), dtype=np.float32)


@pytest.mark.parametrize(
    "call",
    [
        lambda: nms(APART, DESCENDING, **LIMITS, max_outputs=2000),
        lambda: batched_nms(APART, DESCENDING, np.zeros(len(APART), np.int32), **MANY),
        lambda: multiclass_nms(APART, np.repeat(DESCENDING[:, None], 9, axis=1), **MANY),
        lambda: _native.decode_boxes(
            np.tile(APART, (20, 1)) / 100, np.tile(APART, (20, 1)), (1,) * 4
        ),
        lambda: run_postprocess(
            class_logits=np.zeros((1, len(APART), 20), np.float32),
            box_encodings=np.zeros((1, len(APART), 1, 4), np.float32),
            anchors=APART,
            counts=np.int32([len(APART)]),
        ),
        lambda: run_paste_masks(boxes=np.float32([[0, 0, 1, 1]] * 2), image_size=(900, 900)),
        lambda: _native.preprocess(
            [zeros(700, 900, 3, dtype=np.uint8)],
            **FORMAT | {"resized": [(640, 640)]},
            out=zeros(1, 640, 640, 3),
        ),
    ],
    ids=["nms", "batched", "multiclass", "decode", "postprocess", "paste masks", "preprocess"],
)
def test_other_threads_run_meanwhile(call):
    assert is_let_in(call)


def test_a_thread_that_keeps_its_turn_is_noticed():
    assert not is_let_in(lambda: sorted(range(1000)))


def test_classes_are_suppressed_apart():
    rng = np.random.default_rng(0)
    boxes, scores = random_boxes(0, 200), rng.random(200).astype(np.float32)
    classes = rng.integers(0, 5, 200).astype(np.int32)
    limits = MANY | {"max_total": 1000}
    kept, kept_classes, _ = batched_nms(boxes, scores, classes, **limits)
    expected = set()
    for index in range(5):
        rows = np.flatnonzero(classes == index)
        apart, _ = nms(boxes[rows], scores[rows], **LIMITS, max_outputs=100)
        expected |= set(rows[apart].tolist())
    assert set(kept.tolist()) == expected
    assert np.array_equal(kept_classes, classes[kept])


@pytest.mark.parametrize("shape", [(30, 4), (30, 3, 4)])
def test_a_score_per_class_is_one_box_per_class(shape):
    boxes = random_boxes(0, *shape[:-1])
    scores = np.random.default_rng(0).random((30, 3)).astype(np.float32)
    kept, classes, kept_scores = multiclass_nms(boxes, scores, **MANY)
    expanded = np.broadcast_to(boxes.reshape(30, -1, 4), (30, 3, 4)).transpose(1, 0, 2)
    expected, expected_classes, expected_scores = batched_nms(
        expanded.reshape(-1, 4), scores.T.ravel(), np.repeat(np.int32([0, 1, 2]), 30), **MANY
    )
    assert np.array_equal(kept, expected % 30)
    assert np.array_equal(classes, expected_classes)
    assert np.array_equal(kept_scores, expected_scores)


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("shape", [(4, 60), (4, 60, 3)])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_is_its_pictures(class_agnostic, shape, threads):
    boxes = random_boxes(0, *shape)
    scores = np.random.default_rng(0).random((4, 60, 3)).astype(np.float32)
    options = MANY | {"class_agnostic": class_agnostic}
    found = batch_multiclass_nms(boxes, scores, **options, threads=threads)
    assert len(found) == 4
    for picture, its_boxes, its_scores in zip(found, boxes, scores, strict=True):
        alone = multiclass_nms(its_boxes, its_scores, **options)
        assert len(alone[0]) > 0
        for left, right in zip(picture, alone, strict=True):
            assert np.array_equal(left, right)


@settings(max_examples=100, deadline=None)
@given(
    boxes=arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 40), st.just(4)),
        elements=st.floats(-1000, 1000, width=32),
    ),
    seed=st.integers(0, 2**32 - 1),
    threshold=st.floats(0, 1, width=32),
    limit=st.integers(0, 50),
)
def test_properties_of_whatever_is_kept(boxes, seed, threshold, limit):
    scores = np.random.default_rng(seed).random(len(boxes)).astype(np.float32)
    kept, kept_scores = nms(
        boxes, scores, score_threshold=0.3, iou_threshold=threshold, max_outputs=limit
    )
    assert len(kept) <= limit
    assert (kept_scores > 0.3).all()
    assert (np.diff(kept_scores) <= 0).all()
    assert np.array_equal(scores[kept], kept_scores)
    overlaps = iou(boxes[kept], boxes[kept])
    assert not (np.triu(overlaps, k=1) > threshold).any()
