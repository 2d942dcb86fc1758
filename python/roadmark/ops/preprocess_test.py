import dataclasses

import ml_dtypes
import numpy as np
import pytest

from roadmark.manifest import FIXED_SHAPE, KEEP_ASPECT_RATIO, InputSpec
from roadmark.ops.preprocess import BT601, BT709, YuvPicture, preprocess, resized_size

FIXED = InputSpec(
    name="image",
    height=5,
    width=7,
    resize=FIXED_SHAPE,
    min_dimension=0,
    max_dimension=0,
    mean=(123.68, 116.779, 103.939),
    scale=(1.0, 0.5, 2.0),
    pad_value=(0.0, 0.0, 0.0),
    channel_order="RGB",
    layout="NHWC",
    dtype="float32",
    true_shapes_name="",
)
PADDED = dataclasses.replace(
    FIXED,
    height=640,
    width=640,
    resize=KEEP_ASPECT_RATIO,
    min_dimension=640,
    max_dimension=640,
    pad_value=(-1.0, -2.0, -3.0),
)


def reference_resize(image, height, width):
    """One output pixel at a time, in float64."""
    out = np.empty((height, width, 3))
    for i in range(height):
        for j in range(width):
            y, x = i * image.shape[0] / height, j * image.shape[1] / width
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, image.shape[0] - 1), min(x0 + 1, image.shape[1] - 1)
            rows = [image[row, x0] * (1 - (x - x0)) + image[row, x1] * (x - x0) for row in (y0, y1)]
            out[i, j] = rows[0] * (1 - (y - y0)) + rows[1] * (y - y0)
    return out


def random_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(5, 7), (10, 14), (3, 2), (1, 1), (11, 6)])
def test_equals_the_naive_reference(size):
    image = random_image(*size)
    expected = (reference_resize(image, 5, 7) - FIXED.mean) * FIXED.scale
    np.testing.assert_allclose(preprocess([image], FIXED)[0], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("spec_sides", "image_size", "expected"),
    [
        pytest.param((640, 640), (480, 640), (480, 640), id="landscape, square frame"),
        pytest.param((640, 640), (1280, 720), (640, 360), id="portrait, square frame"),
        pytest.param((600, 1024), (600, 800), (600, 800), id="shorter side already right"),
        pytest.param((600, 1024), (720, 1280), (576, 1024), id="longer side limits"),
        pytest.param((600, 1024), (100, 100), (600, 600), id="enlarged"),
        pytest.param((640, 640), (333, 500), (426, 640), id="rounded to the nearest pixel"),
    ],
)
def test_resized_size_keeps_the_aspect_ratio(spec_sides, image_size, expected):
    spec = dataclasses.replace(PADDED, min_dimension=spec_sides[0], max_dimension=spec_sides[1])
    assert resized_size(spec, *image_size) == expected


def test_padding_goes_to_the_bottom_and_the_right():
    wide, tall = preprocess([random_image(320, 640), random_image(640, 320)], PADDED)
    assert (wide[320:] == PADDED.pad_value).all()
    assert (tall[:, 320:] == PADDED.pad_value).all()
    assert not (wide[:320] == PADDED.pad_value).all(axis=-1).any()


def test_pictures_of_different_sizes_share_a_batch_and_the_callers_buffer():
    images = [random_image(4, 9), random_image(20, 3, seed=1)]
    out = np.full((2, 5, 7, 3), np.nan, np.float32)
    assert preprocess(images, FIXED, out=out) is out
    for image, row in zip(images, out, strict=True):
        assert np.array_equal(preprocess([image], FIXED)[0], row)


def random_yuv(height, width, interleaved, **options):
    rng = np.random.default_rng(3)
    rows, columns = (height + 1) // 2, (width + 1) // 2
    luma = rng.integers(0, 256, (height, width), np.uint8)
    u, v = rng.integers(0, 256, (2, rows, columns), np.uint8)
    return YuvPicture((luma, np.dstack([u, v])) if interleaved else (luma, u, v), **options)


def reference_rgb(picture):
    """By the definition of the colour spaces, in float64, rounded."""
    luma, *chroma = (plane.astype(np.float64) for plane in picture.planes)
    u, v = chroma if len(chroma) == 2 else np.moveaxis(chroma[0], 2, 0)
    height, width = luma.shape
    u, v = (np.kron(plane, np.ones((2, 2)))[:height, :width] - 128 for plane in (u, v))
    if not picture.full_range:
        luma, u, v = (luma - 16) / 219 * 255, u / 224 * 255, v / 224 * 255
    kr, kb = (0.299, 0.114) if picture.matrix == BT601 else (0.2126, 0.0722)
    red, blue = luma + 2 * (1 - kr) * v, luma + 2 * (1 - kb) * u
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.rint(np.dstack([red, green, blue]).clip(0, 255)).astype(np.uint8)


@pytest.mark.parametrize("interleaved", [False, True], ids=["I420", "NV12"])
@pytest.mark.parametrize("matrix", [BT601, BT709])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("size", [(20, 30), (11, 7), (1, 1)])
def test_planes_are_the_rgb_picture_they_stand_for(interleaved, matrix, full_range, size):
    picture = random_yuv(*size, interleaved, matrix=matrix, full_range=full_range)
    # The same bytes but for the last bit of what lies in the middle of two grey levels.
    expected = preprocess([reference_rgb(picture)], FIXED)
    found = preprocess([picture], FIXED)
    np.testing.assert_allclose(found, expected, atol=max(FIXED.scale))
    assert (found == expected).mean() > 0.99
    assert picture.shape == (*size, 3)


def test_planes_may_have_padded_rows():
    picture = random_yuv(12, 10, interleaved=False)
    padded = [np.pad(plane, ((0, 0), (0, 6)))[:, : plane.shape[1]] for plane in picture.planes]
    assert np.array_equal(
        preprocess([YuvPicture(tuple(padded))], FIXED), preprocess([picture], FIXED)
    )


@pytest.mark.parametrize("spec", [FIXED, PADDED], ids=["fixed", "padded"])
def test_layouts_and_dtypes_hold_the_same_values(spec):
    images = [random_image(40, 30), random_image(20, 50)]
    expected = preprocess(images, spec)
    planar = preprocess(images, dataclasses.replace(spec, layout="NCHW"))
    assert np.array_equal(planar, expected.transpose(0, 3, 1, 2))
    narrow = preprocess(images, dataclasses.replace(spec, dtype="bfloat16"))
    assert narrow.dtype == ml_dtypes.bfloat16
    assert np.array_equal(narrow, expected.astype(ml_dtypes.bfloat16))
    pixels = preprocess(images, dataclasses.replace(spec, dtype="uint8"))
    assert np.array_equal(pixels, np.rint(expected).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_threads_change_nothing(count, layout):
    images = [random_image(40 + i, 30, seed=i) for i in range(count)]
    spec = dataclasses.replace(PADDED, layout=layout)
    assert np.array_equal(preprocess(images, spec, threads=3), preprocess(images, spec))


@pytest.mark.parametrize(
    "part", [np.s_[::2, ::-1], np.s_[3:15, 2:9], np.s_[::-1]], ids=["gaps", "window", "upwards"]
)
def test_non_contiguous_and_read_only_pictures(part):
    image = random_image(20, 20)[part]
    image.flags.writeable = False
    assert np.array_equal(preprocess([image], FIXED), preprocess([image.copy()], FIXED))


@pytest.mark.parametrize(
    ("images", "out", "says"),
    [
        pytest.param(
            [YuvPicture((np.zeros((4, 4), np.uint8),))], None, r"images\[0\]\.planes: found 1"
        ),
        pytest.param(
            [YuvPicture((np.zeros((4, 4), np.uint8), np.zeros((2, 3, 2), np.uint8)))],
            None,
            r"images\[0\]\.planes\[1\]: found uint8 \(2, 3, 2\), expected uint8 \(2, 2, 2\)",
        ),
        pytest.param(
            [random_yuv(4, 4, interleaved=True, matrix="bt2020")],
            None,
            r"images\[0\]\.matrix: found bt2020, expected bt601 or bt709",
        ),
        pytest.param([np.zeros((4, 4, 3), np.float32)], None, r"images\[0\]: found float32"),
        pytest.param([np.zeros((4, 4), np.uint8)], None, r"images\[0\]: found uint8 \(4, 4\)"),
        pytest.param([np.zeros((4, 0, 3), np.uint8)], None, r"images\[0\]: .*neither side 0"),
        pytest.param([[[[0, 0, 0]]]], None, r"images\[0\]: found list, expected an array"),
        pytest.param([random_image(4, 4)], [0], "out: found list, expected an array"),
        pytest.param(
            [random_image(4, 4)], np.zeros((2, 5, 7, 3), np.float32), r"out: found .*\(2, 5"
        ),
    ],
)
def test_wrong_shapes_are_named(images, out, says):
    with pytest.raises(ValueError, match=says):
        preprocess(images, FIXED, out=out)


def test_pictures_of_other_libraries_are_taken():
    image = random_image(9, 8)

    class OnlyDlpack:
        __dlpack__, __dlpack_device__ = image.__dlpack__, image.__dlpack_device__

    expected = preprocess([image, image], FIXED)
    assert np.array_equal(preprocess([OnlyDlpack(), memoryview(image)], FIXED), expected)


@pytest.mark.parametrize(("field", "value"), [("dtype", "float16"), ("layout", "CHWN")])
def test_formats_that_do_not_exist_are_named(field, value):
    with pytest.raises(ValueError, match=f"{field}: found {value}"):
        preprocess([random_image(4, 4)], dataclasses.replace(FIXED, **{field: value}))
