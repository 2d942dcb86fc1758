import dataclasses

import numpy as np
import pytest

from roadmark import manifest
from roadmark.manifest import BoxCoderSpec, InputSpec, NmsSpec, PostprocessSpec
from roadmark.ops import box_coder
from roadmark.ops.postprocess import convert_scores, paste_masks, postprocess

SCALE_FACTORS = (10.0, 10.0, 5.0, 5.0)
INPUT = InputSpec(
    name="image",
    height=100,
    width=100,
    resize=manifest.FIXED_SHAPE,
    min_dimension=0,
    max_dimension=0,
    mean=(0.0, 0.0, 0.0),
    scale=(1.0, 1.0, 1.0),
    pad_value=(0.0, 0.0, 0.0),
    channel_order="RGB",
    layout="NHWC",
    dtype="float32",
    true_shapes_name="",
)
PADDED = dataclasses.replace(
    INPUT, resize=manifest.KEEP_ASPECT_RATIO, min_dimension=100, max_dimension=100
)
SPEC = PostprocessSpec(
    architecture=manifest.ONE_STAGE,
    box_coder=BoxCoderSpec("faster_rcnn", SCALE_FACTORS),
    background_column=False,
    score_converter=manifest.SIGMOID,
    logit_scale=1.0,
    nms=NmsSpec(manifest.PER_CLASS, 0.01, 0.5, 10, 10, 0.0),
    mask_threshold=0.5,
)
ANCHORS = np.float32([[0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.9, 0.9], [0.12, 0.1, 0.32, 0.3]])


def logits(scores):
    scores = np.float32(scores)
    return np.log(scores / (1 - scores))[None]


def run(scores, spec=SPEC, input_spec=INPUT, size=(200, 400), boxes=ANCHORS, **outputs):
    encodings = box_coder.encode(np.float32(boxes), ANCHORS, SCALE_FACTORS)[None]
    outputs = {"class_logits": logits(scores), "box_encodings": encodings, **outputs}
    (found,) = postprocess(outputs, ANCHORS, spec, input_spec, [size])
    return found


def test_boxes_are_in_pixels_of_the_original_picture_best_first():
    found = run([[0.2, 0.02], [0.03, 0.9], [0.005, 0.005]])
    assert found.classes.tolist() == [2, 1, 1, 2]
    np.testing.assert_allclose(found.scores, [0.9, 0.2, 0.03, 0.02], rtol=1e-5)
    np.testing.assert_allclose(
        found.boxes[:2], [[100, 200, 180, 360], [20, 40, 60, 120]], rtol=1e-4
    )


def test_suppression_is_per_class():
    scores = [[0.9, 0.001], [0.001, 0.001], [0.8, 0.7]]
    assert run(scores).classes.tolist() == [1, 2]
    agnostic = dataclasses.replace(SPEC.nms, mode=manifest.CLASS_AGNOSTIC)
    assert run(scores, dataclasses.replace(SPEC, nms=agnostic)).classes.tolist() == [1]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param({"max_per_class": 1}, [0.9, 0.7], id="one per class"),
        pytest.param({"max_total": 3}, [0.9, 0.8, 0.7], id="three in all"),
        pytest.param({"score_threshold": 0.75}, [0.9, 0.8], id="score threshold"),
    ],
)
def test_limits(limits, expected):
    spec = dataclasses.replace(SPEC, nms=dataclasses.replace(SPEC.nms, **limits))
    found = run([[0.9, 0.7], [0.8, 0.6], [0.002, 0.002]], spec)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5)


def test_a_threshold_of_the_caller_comes_on_top():
    outputs = {
        "class_logits": logits([[0.9], [0.4], [0.02]]),
        "box_encodings": np.zeros((1, 3, 4), np.float32),
    }
    (found,) = postprocess(outputs, ANCHORS, SPEC, INPUT, [(10, 10)], score_threshold=0.5)
    np.testing.assert_allclose(found.scores, [0.9], rtol=1e-5)


def test_boxes_are_clipped_after_suppression_and_dropped_when_nothing_is_left():
    found = run(
        [[0.9], [0.8], [0.001]],
        boxes=[[-0.5, -0.5, 0.5, 0.5], [1.1, 1.1, 1.5, 1.5], [0, 0, 1, 1]],
    )
    np.testing.assert_allclose(found.boxes, [[0, 0, 100, 200]], atol=1e-3)


def test_padding_does_not_count_as_picture():
    # 100 x 200 fills the upper half of the 100 x 100 input.
    found = run([[0.9], [0.001], [0.001]], input_spec=PADDED, size=(100, 200))
    np.testing.assert_allclose(found.boxes, [[20, 20, 60, 60]], rtol=1e-4)
    below = run([[0.001], [0.9], [0.001]], input_spec=PADDED, size=(100, 200))
    assert len(below) == 0


def test_nothing_above_the_threshold():
    assert len(run([[0.001], [0.002], [0.003]])) == 0


@pytest.mark.parametrize(
    ("converter", "background", "expected"),
    [
        (manifest.SIGMOID, False, [0.5, 0.7310586]),
        (manifest.SIGMOID, True, [0.7310586]),
        (manifest.SOFTMAX, False, [0.26894143, 0.7310586]),
        (manifest.SOFTMAX, True, [0.7310586]),
    ],
)
def test_score_conversion(converter, background, expected):
    spec = dataclasses.replace(
        SPEC, score_converter=converter, background_column=background, logit_scale=2.0
    )
    found = convert_scores(np.float32([[0.0, 2.0]]), spec)
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_two_stages_with_a_box_per_class_and_masks():
    spec = dataclasses.replace(
        SPEC,
        architecture=manifest.TWO_STAGE,
        background_column=True,
        score_converter=manifest.SOFTMAX,
    )
    proposals = np.float32([[[10, 10, 30, 30], [50, 50, 90, 90], [0, 0, 99, 99]]])
    encodings = np.zeros((1, 3, 2, 4), np.float32)
    encodings[0, 1, 1] = box_coder.encode(
        np.float32([50, 50, 70, 70]), np.float32([50, 50, 90, 90]), SCALE_FACTORS
    )
    mask_logits = np.full((1, 3, 4, 4), 9.0, np.float32)
    mask_logits[0, 1, :, 2:] = -9.0
    outputs = {
        "proposals": proposals,
        "num_proposals": np.int32([2]),
        "box_encodings": encodings,
        "class_logits": np.float32([[[0, 9, 0], [0, 0, 8], [0, 9, 0]]]),
        "mask_logits": mask_logits,
    }
    (found,) = postprocess(outputs, None, spec, INPUT, [(101, 101)], score_threshold=0.5)
    assert found.classes.tolist() == [1, 2]  # The third proposal is padding.
    np.testing.assert_allclose(
        found.boxes * (100 / 101), [[10, 10, 30, 30], [50, 50, 70, 70]], rtol=1e-4
    )
    assert found.masks.shape == (2, 101, 101)
    # Rounding decides about the pixels exactly on the box's edges.
    assert found.masks[0, 11:30, 11:30].all()
    assert not found.masks[0, :, 32:].any()
    assert not found.masks[0, 32:].any()
    assert found.masks[1, 60, 55]
    assert not found.masks[1, 60, 65]


def test_masks_per_class_are_those_of_the_detected_class():
    spec = dataclasses.replace(SPEC, architecture=manifest.TWO_STAGE)
    mask_logits = np.full((1, 2, 2, 3, 3), -9.0, np.float32)
    mask_logits[0, 0, 1] = 9.0
    outputs = {
        "proposals": np.float32([[[0, 0, 99, 99], [0, 0, 99, 99]]]),
        "num_proposals": np.int32([1]),
        "box_encodings": np.zeros((1, 2, 4), np.float32),
        "class_logits": np.float32([[[1, 2], [9, 9]]]),
        "mask_logits": mask_logits,
    }
    (found,) = postprocess(outputs, None, spec, INPUT, [(10, 10)], score_threshold=0.5)
    assert found.classes.tolist() == [2, 1]
    assert found.masks[0, :9, :9].all()
    assert not found.masks[1].any()


def test_pictures_of_a_batch_are_independent_of_each_other_and_of_threads():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (5, 3, 2)).astype(np.float32)
    encodings = rng.normal(0, 1, (5, 3, 4)).astype(np.float32)
    sizes = [(100, 200), (50, 60), (70, 80), (10, 10), (300, 100)]

    def run_part(part, threads):
        outputs = {"class_logits": logits[part], "box_encodings": encodings[part]}
        return postprocess(outputs, ANCHORS, SPEC, PADDED, sizes[part], threads=threads)

    together = run_part(slice(0, 5), threads=2)
    for index, found in enumerate(together):
        (alone,) = run_part(slice(index, index + 1), threads=1)
        np.testing.assert_array_equal(found.boxes, alone.boxes)
        np.testing.assert_array_equal(found.scores, alone.scores)
    assert sum(len(found) for found in together) > 5


def test_masks_of_boxes_without_a_pixel_are_empty():
    boxes = np.float32([[0.41, 0.41, 0.42, 0.42], [0, 0, 1, 1], [0.5, 0, 0.5, 1]])
    masks = paste_masks(np.ones((3, 3, 3), np.float32), boxes, (3, 3), 0.5)
    assert masks.dtype == np.bool_
    assert masks.sum(axis=(1, 2)).tolist() == [0, 9, 0]
    assert paste_masks(np.ones((0, 3, 3), np.float32), boxes[:0], (3, 3), 0.5).shape == (0, 3, 3)


def positions(low, high, pixels, samples):
    """Where the pixels of one side lie among a mask's samples; NaN outside the box."""
    at = np.arange(pixels, dtype=np.float32) / np.float32(max(pixels - 1, 1))
    found = (at - low) / (high - low) * np.float32(samples - 1)
    return np.where((found >= 0) & (found <= samples - 1), found, np.float32("nan"))


def along(array, at):
    """Linear interpolation along the first axis."""
    before = np.nan_to_num(at).astype(np.int64)
    after = np.minimum(before + 1, len(array) - 1)
    return array[before] + (array[after] - array[before]) * (at - np.float32(before))[:, None]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("shape", "size"), [((33, 33), (90, 130)), ((4, 7), (60, 30))])
def test_masks_are_interpolated_between_their_samples(shape, size, threads):
    rng = np.random.default_rng(0)
    corners = rng.uniform(-0.2, 0.9, (25, 2)).astype(np.float32)
    boxes = np.hstack([corners, corners + rng.uniform(0.01, 0.8, (25, 2)).astype(np.float32)])
    # Some equal to the threshold.
    probabilities = rng.integers(0, 9, (25, *shape)).astype(np.float32) / np.float32(8)
    found = paste_masks(probabilities, boxes, size, 0.5, threads)
    assert found.any(axis=(1, 2)).sum() > 20
    for mask, probability, box in zip(found, probabilities, boxes, strict=True):
        rows = positions(box[0], box[2], size[0], shape[0])
        columns = positions(box[1], box[3], size[1], shape[1])
        expected = np.float32(0.5) < along(along(probability, rows).T, columns).T
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({"class_logits": np.zeros((1, 2, 1), np.float32)}, r"class_logits: .*\(1, 2, 1\)"),
        ({"class_logits": np.zeros((1, 3, 1))}, "class_logits: found float64"),
        ({"box_encodings": np.zeros((2, 3, 4), np.float32)}, r"box_encodings: .*\(2, 3, 4\)"),
        ({"box_encodings": np.zeros((1, 3, 3), np.float32)}, "box_encodings: .*expected 4 columns"),
        ({"class_logits": [[[0.5]] * 3]}, "class_logits: found list, expected an array"),
    ],
)
def test_outputs_that_do_not_fit_are_named(outputs, says):
    with pytest.raises(ValueError, match=says):
        run([[0.5], [0.5], [0.5]], **outputs)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outputs": {}}, "outputs: found none, expected class_logits"),
        ({"anchors": None}, "anchors: found NoneType, expected an array"),
        ({"anchors": ANCHORS[0]}, r"anchors: found float32 \(4,\), expected 4 columns"),
        ({"image_sizes": [(-2, 4)]}, r"image_sizes\[0\]: found \(-2, 4\), expected sides of 1"),
        ({"image_sizes": []}, r"class_logits: found .*\(0 images, 3 boxes"),
    ],
)
def test_other_arguments_that_do_not_fit_are_named(change, says):
    arguments = {
        "outputs": {"class_logits": logits([[0.5]] * 3), "box_encodings": ANCHORS[None]},
        "anchors": ANCHORS,
        "image_sizes": [(200, 400)],
    }
    with pytest.raises(ValueError, match=says):
        postprocess(**arguments | change, spec=SPEC, input_spec=INPUT)


def test_outputs_of_other_libraries_are_taken():
    class OnlyDlpack:
        def __init__(self, array):
            self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__

    scores = [[0.9], [0.8], [0.7]]
    encodings = np.zeros((1, 3, 4), np.float32)
    expected = run(scores, box_encodings=encodings)
    found = run(
        scores, class_logits=OnlyDlpack(logits(scores)), box_encodings=memoryview(encodings)
    )
    assert np.array_equal(found.boxes, expected.boxes)
    assert np.array_equal(found.scores, expected.scores)
