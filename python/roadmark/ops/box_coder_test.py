import numpy as np
import pytest

from roadmark.ops import box_coder

SCALE_FACTORS = (10.0, 10.0, 5.0, 5.0)


def random_boxes(seed, count):
    corners = np.random.default_rng(seed).uniform(0, 1, (count, 2, 2)).astype(np.float32)
    return np.sort(corners, axis=1).reshape(count, 4) + np.float32([0, 0, 0.01, 0.01])


def test_encode_and_decode_are_inverse():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 1, (2, 200, 2, 2)).astype(np.float32), axis=2)
    boxes, anchors = corners.reshape(2, 200, 4)
    encodings = box_coder.encode(boxes, anchors, SCALE_FACTORS)
    np.testing.assert_allclose(
        box_coder.decode(encodings, anchors, SCALE_FACTORS), boxes, atol=1e-5
    )


def test_encoding_of_a_known_box():
    found = box_coder.encode(
        np.float32([[0, 0, 20, 40]]), np.float32([[0, 0, 10, 10]]), SCALE_FACTORS
    )
    np.testing.assert_allclose(found, [[5, 15, 5 * np.log(2), 5 * np.log(4)]], rtol=1e-6)


def test_decoding_broadcasts_anchors():
    anchors = random_boxes(0, 20)
    encodings = np.random.default_rng(1).normal(0, 1, (3, 20, 4)).astype(np.float32)
    found = box_coder.decode(encodings, anchors, SCALE_FACTORS)
    for boxes, row in zip(found, encodings, strict=True):
        assert np.array_equal(boxes, box_coder.decode(row, anchors, SCALE_FACTORS))


def test_keypoints_are_offsets_from_the_anchors_centre():
    box, anchor = np.float32([[0, 0, 20, 40]]), np.float32([[0, 0, 10, 20]])
    keypoints = np.float32([[[5, 10], [10, 30]]])
    found = box_coder.encode_keypoints(box, keypoints, anchor, SCALE_FACTORS)
    expected = [*box_coder.encode(box, anchor, SCALE_FACTORS)[0].tolist(), 0, 0, 5, 10]
    np.testing.assert_allclose(found, [expected], rtol=1e-6)
    boxes, points = box_coder.decode_keypoints(found, anchor, SCALE_FACTORS)
    np.testing.assert_allclose(boxes, box, atol=1e-4)
    np.testing.assert_allclose(points, keypoints, atol=1e-4)


def test_squares_keep_centre_and_area():
    box, anchor = np.float32([[10, 0, 20, 40]]), np.float32([[0, 0, 10, 10]])
    found = box_coder.encode_squares(box, anchor, (10.0, 10.0, 5.0))
    np.testing.assert_allclose(found, [[10, 15, 5 * np.log(2)]], rtol=1e-6)
    square = box_coder.decode_squares(found, anchor, (10.0, 10.0, 5.0))
    np.testing.assert_allclose(square, [[5, 10, 25, 30]], atol=1e-4)


def test_corners_in_standard_deviations():
    box, anchor = np.float32([[0.1, 0.2, 0.5, 0.6]]), np.float32([[0.0, 0.3, 0.5, 0.5]])
    found = box_coder.encode_mean_stddev(box, anchor, 0.1)
    np.testing.assert_allclose(found, [[1, -1, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(box_coder.decode_mean_stddev(found, anchor, 0.1), box, atol=1e-6)


BOXES = random_boxes(0, 3)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: box_coder.encode(BOXES.tolist(), BOXES, SCALE_FACTORS),
            "boxes: found list, expected an array",
        ),
        (
            lambda: box_coder.encode(BOXES[:, :3], BOXES, SCALE_FACTORS),
            r"boxes: found float32 \(3, 3\), expected float32 \(3, 4\)",
        ),
        (
            lambda: box_coder.encode(BOXES, BOXES[0], SCALE_FACTORS),
            r"anchors: found float32 \(4,\), expected float32 \(any, 4\)",
        ),
        (
            lambda: box_coder.decode(BOXES, BOXES.tolist(), SCALE_FACTORS),
            "anchors: found list, expected an array",
        ),
        (
            lambda: box_coder.decode(BOXES[:, :3], BOXES, SCALE_FACTORS),
            r"encodings: found float32 \(3, 3\), expected float32 \(3, 4\)",
        ),
        (
            lambda: box_coder.decode(BOXES, BOXES[:2], SCALE_FACTORS),
            r"encodings: found \(3, 4\), expected a shape that broadcasts with .* \(2, 4\)",
        ),
        (
            lambda: box_coder.encode_keypoints(
                BOXES, np.zeros((3, 5), np.float32), BOXES, SCALE_FACTORS
            ),
            r"keypoints: found float32 \(3, 5\), expected float32 \(3, any, 2\)",
        ),
        (
            lambda: box_coder.decode_keypoints(np.zeros((3, 5), np.float32), BOXES, SCALE_FACTORS),
            r"encodings: found float32 \(3, 5\), expected 4 columns and 2 per keypoint",
        ),
        (
            lambda: box_coder.decode_squares(BOXES, BOXES, (1.0, 1.0, 1.0)),
            r"encodings: found float32 \(3, 4\), expected float32 \(3, 3\)",
        ),
        (
            lambda: box_coder.encode_squares(BOXES, BOXES, (1.0, 0.0, 1.0)),
            "scale_factors: found 0.0, expected factors above 0",
        ),
        (
            lambda: box_coder.encode_mean_stddev(BOXES, BOXES[:2], 0.1),
            r"boxes: found float32 \(3, 4\), expected float32 \(2, 4\)",
        ),
        (
            lambda: box_coder.decode_mean_stddev(BOXES, BOXES, 0.0),
            "stddev: found 0.0, expected above 0",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("code", [box_coder.encode, box_coder.decode])
def test_arrays_of_other_libraries_are_taken(code):
    class OnlyDlpack:
        __dlpack__, __dlpack_device__ = BOXES.__dlpack__, BOXES.__dlpack_device__

    expected = code(BOXES, BOXES, SCALE_FACTORS)
    for form in (OnlyDlpack(), memoryview(BOXES)):
        np.testing.assert_array_equal(code(form, form, SCALE_FACTORS), expected)


def test_leading_dimensions_stay():
    boxes, anchors = random_boxes(0, 6).reshape(2, 3, 4), random_boxes(1, 6).reshape(2, 3, 4)
    encodings = box_coder.encode(boxes, anchors, SCALE_FACTORS)
    assert encodings.shape == boxes.shape
    assert box_coder.decode(encodings, anchors[:1], SCALE_FACTORS).shape == boxes.shape
    assert box_coder.encode(boxes[0, 0], anchors[0, 0], SCALE_FACTORS).shape == (4,)
