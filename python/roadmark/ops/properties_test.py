"""What must hold of any input, without a reference: generated ones, and a million boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from roadmark import manifest
from roadmark.ops import box_coder
from roadmark.ops.nms import batched_nms, iou, multiclass_nms, nms
from roadmark.ops.postprocess import paste_masks, postprocess
from roadmark.ops.preprocess import preprocess

MILLION = 1_000_000
FACTORS = st.floats(0.125, 16, width=32)


@pytest.fixture(scope="module")
def million():
    """Boxes of a million, in pixels, scores and one of 5 classes each."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 4000, (MILLION, 2))
    boxes = np.hstack([low, low + rng.uniform(2, 60, (MILLION, 2))]).astype(np.float32)
    scores = rng.random(MILLION, np.float32)
    return boxes, scores, rng.integers(0, 5, MILLION).astype(np.int32)


def input_spec(size, layout="NHWC"):
    return manifest.InputSpec(
        name="image",
        height=size[0],
        width=size[1],
        resize=manifest.FIXED_SHAPE,
        min_dimension=0,
        max_dimension=0,
        mean=(0.0, 0.0, 0.0),
        scale=(1.0, 1.0, 1.0),
        pad_value=(0.0, 0.0, 0.0),
        channel_order="RGB",
        layout=layout,
        dtype="float32",
        true_shapes_name="",
    )


def test_nms_of_a_million_boxes(million):
    boxes, scores, classes = million
    options = {"score_threshold": 0.5, "iou_threshold": 0.4}
    kept, kept_classes, kept_scores = batched_nms(
        boxes, scores, classes, **options, max_per_class=4000, max_total=15000
    )
    assert len(np.unique(kept)) == len(kept) == 15000
    assert (np.bincount(kept_classes, minlength=5) <= 4000).all()
    assert (np.diff(kept_scores) <= 0).all()
    assert kept_scores.min() > 0.5
    np.testing.assert_array_equal(scores[kept], kept_scores)
    np.testing.assert_array_equal(classes[kept], kept_classes)
    for index in range(5):
        same_class = boxes[kept[kept_classes == index]][:1500]
        assert not (np.triu(iou(same_class, same_class), k=1) > 0.4).any()

    again, _, again_scores = batched_nms(
        boxes[kept], kept_scores, kept_classes, **options, max_per_class=4000, max_total=15000
    )
    np.testing.assert_array_equal(again, np.arange(len(kept)), "what is kept is kept again")
    np.testing.assert_array_equal(again_scores, kept_scores)


def test_what_a_million_boxes_lost_overlaps_something_better(million):
    boxes, scores, _ = million
    kept, kept_scores = nms(
        boxes, scores, score_threshold=0.999, iou_threshold=0.1, max_outputs=MILLION
    )
    candidates = np.flatnonzero(scores > 0.999)
    lost = np.setdiff1d(candidates, kept)
    assert 0 < len(lost) < len(candidates)
    better = kept_scores[None] >= scores[lost][:, None]
    assert ((iou(boxes[lost], boxes[kept]) > 0.1) & better).any(axis=1).all()


def test_postprocessing_of_a_million_anchors(million):
    boxes, scores, _ = million
    spec = manifest.PostprocessSpec(
        architecture=manifest.ONE_STAGE,
        box_coder=manifest.BoxCoderSpec("faster_rcnn", (10.0, 10.0, 5.0, 5.0)),
        background_column=False,
        score_converter=manifest.SIGMOID,
        logit_scale=1.0,
        nms=manifest.NmsSpec(manifest.PER_CLASS, 0.3, 0.4, 600, 1000, 0.0),
        mask_threshold=0.5,
    )
    outputs = {
        "class_logits": np.stack([20 * scores - 18, 10 - 20 * scores], axis=1)[None],
        "box_encodings": np.zeros((1, MILLION, 4), np.float32),
    }
    anchors = boxes / np.float32(4096)
    (found,) = postprocess(outputs, anchors, spec, input_spec((64, 64)), [(4096, 4096)])
    assert len(found) == 1000
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores.min() > 0.3
    assert (np.bincount(found.classes, minlength=3) <= 600).all()
    for index in (1, 2):
        same_class = found.boxes[found.classes == index]
        assert not (np.triu(iou(same_class, same_class), k=1) > 0.401).any()


def test_a_million_boxes_decode_to_what_was_encoded(million):
    boxes = million[0]
    anchors = boxes[::-1]
    factors = (10.0, 10.0, 5.0, 5.0)
    decoded = box_coder.decode(box_coder.encode(boxes, anchors, factors), anchors, factors)
    np.testing.assert_allclose(decoded, boxes, atol=0.05)


@settings(max_examples=60, deadline=None)
@given(
    corners=arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 30), st.just(2), st.just(2), st.just(2)),
        elements=st.floats(0, 1, width=16),
    ),
    factors=st.tuples(FACTORS, FACTORS, FACTORS, FACTORS),
)
def test_decoding_undoes_encoding(corners, factors):
    low, high = np.minimum(corners[:, :, 0], corners[:, :, 1]), corners.max(axis=2)
    boxes, anchors = np.concatenate([low, high + np.float32(0.01)], axis=2).transpose(1, 0, 2)
    decoded = box_coder.decode(box_coder.encode(boxes, anchors, factors), anchors, factors)
    np.testing.assert_allclose(decoded, boxes, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    scores=arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 30), st.integers(1, 4)),
        elements=st.floats(0, 1, width=16),
    ),
    seed=st.integers(0, 2**32 - 1),
    agnostic=st.booleans(),
    sigma=st.sampled_from([0.0, 0.5]),
    limits=st.tuples(st.integers(0, 12), st.integers(0, 20)),
)
def test_multiclass_nms_obeys_its_limits(scores, seed, agnostic, sigma, limits):
    corners = np.random.default_rng(seed).uniform(0, 1, (len(scores), 2, 2)).astype(np.float32)
    boxes = np.sort(corners, axis=1).reshape(-1, 4)
    kept, classes, kept_scores = multiclass_nms(
        boxes,
        scores,
        score_threshold=0.25,
        iou_threshold=0.5,
        max_per_class=limits[0],
        max_total=limits[1],
        class_agnostic=agnostic,
        soft_nms_sigma=sigma,
    )
    assert len(kept) <= limits[1]
    assert (np.diff(kept_scores) <= 0).all()
    assert (kept_scores > 0.25).all()
    assert (kept_scores <= scores[kept, classes]).all(), "scores only decay"
    if agnostic:
        assert len(set(kept.tolist())) == len(kept)
        np.testing.assert_array_equal(classes, scores[kept].argmax(axis=1))
    else:
        assert (np.bincount(classes, minlength=1) <= limits[0]).all()


@settings(max_examples=60, deadline=None)
@given(
    image=arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    layout=st.sampled_from(["NHWC", "NCHW"]),
)
def test_resizing_invents_no_values(image, size, layout):
    spec = input_spec(size, layout)
    found = preprocess([image], spec)[0]
    by_channel = found if layout == "NCHW" else found.transpose(2, 0, 1)
    for channel, values in enumerate(by_channel):
        assert image[..., channel].min() - 1e-3 <= values.min()
        assert values.max() <= image[..., channel].max() + 1e-3
    np.testing.assert_array_equal(by_channel[:, 0, 0], image[0, 0].astype(np.float32))
    np.testing.assert_array_equal(preprocess([image], spec, threads=2)[0], found)


@settings(max_examples=60, deadline=None)
@given(
    corners=arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 6), st.just(4)),
        elements=st.floats(-1, 2, width=16),
    ),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    seed=st.integers(0, 2**32 - 1),
    threshold=st.floats(0, 1, width=16),
)
def test_pasted_masks_lie_in_their_boxes_and_shrink_with_the_threshold(
    corners, shape, size, seed, threshold
):
    probabilities = np.random.default_rng(seed).random((len(corners), *shape), np.float32)
    found = paste_masks(probabilities, corners, size, threshold)
    covered = paste_masks(np.ones_like(probabilities), corners, size, 0.0)
    stricter = paste_masks(probabilities, corners, size, threshold + 0.125)
    assert found.shape == (len(corners), *size)
    assert (found <= covered).all()
    assert (stricter <= found).all()
    np.testing.assert_array_equal(
        paste_masks(probabilities, corners, size, threshold, threads=2), found
    )
    rows, columns = (np.arange(side) / max(side - 1, 1) if side != 1 else [0.5] for side in size)
    for mask, box in zip(covered, corners, strict=True):
        inside = np.logical_and.outer(
            (rows >= box[0] - 1e-6) & (rows <= box[2] + 1e-6),
            (columns >= box[1] - 1e-6) & (columns <= box[3] + 1e-6),
        )
        assert (mask <= inside).all()


def test_a_million_masks_cover_their_boxes(million):
    boxes = million[0] / np.float32(4096)
    found = paste_masks(np.ones((MILLION, 2, 2), np.float32), boxes, (9, 9), 0.5)
    pixels = np.arange(9, dtype=np.float32) / np.float32(8)
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    rows, columns = np.moveaxis((pixels[:, None] >= low) & (pixels[:, None] <= high), -1, 0)
    np.testing.assert_array_equal(found, rows[:, :, None] & columns[:, None])
    assert found.any(axis=0)[1:8, 1:8].all()
