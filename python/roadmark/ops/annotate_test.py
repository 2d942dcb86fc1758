import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadmark.detections import Detections
from roadmark.ops import annotate, glyph_atlas
from roadmark.ops.annotate import BT601, BT709, Yuv420

_NAMES = {1: "car", 2: "pedestrian"}


def found(*boxes, classes=None, masks=None):
    count = len(boxes)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(count, 4),
        scores=np.full(count, 0.87, np.float32),
        classes=np.array(classes or [1] * count, np.int32),
        masks=masks,
    )


def street(height=320, width=480):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def drawn_on(image, *arguments, **options):
    copy = image.copy()
    annotate.draw(copy, *arguments, **options)
    return copy


def boxes_on(image, boxes, classes=None, **options):
    """A copy of the image with boxes and no tags."""
    copy = image.copy()
    classes = np.ones(len(boxes), int) if classes is None else np.array(classes)
    annotate.draw_boxes(copy, np.array(boxes, np.float32), classes, [""] * len(boxes), **options)
    return copy


def changed(before, after):
    return (before != after).any(axis=2)


def to_yuv(image, luma_weights, full_range):
    """Float Y, Cb, Cr of H.273; chroma is the mean of the pixels that it lies over."""
    red, green, blue = np.moveaxis(image / 255.0, -1, 0)
    kr, kb = luma_weights
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = [(blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)]
    black, luma_scale, chroma_scale = (0, 255, 255) if full_range else (16, 219, 224)
    height, width = luma.shape
    padding = ((0, height % 2), (0, width % 2))
    halves = [
        np.pad(plane, padding, mode="edge").reshape((height + 1) // 2, 2, -1, 2).mean(axis=(1, 3))
        for plane in chroma
    ]
    return [black + luma_scale * luma, *(128 + chroma_scale * plane for plane in halves)]


def i420(image, luma_weights=BT709, full_range=False):
    samples = [plane.round() for plane in to_yuv(image, luma_weights, full_range)]
    planes = tuple(plane.clip(0, 255).astype(np.uint8) for plane in samples)
    return Yuv420(planes, luma_weights, full_range)


def nv12(image, luma_weights=BT709, full_range=False):
    luma, blue, red = i420(image, luma_weights, full_range).planes
    return Yuv420((luma, np.stack([blue, red], axis=2)), luma_weights, full_range)


def channels(picture):
    """Y, Cb, Cr of either layout."""
    if len(picture.planes) == 3:
        return picture.planes
    return picture.planes[0], picture.planes[1][..., 0], picture.planes[1][..., 1]


def framed(height, width, box, line):
    """Pixel by pixel: which ones belong to the frame of a box."""
    ymin, xmin, ymax, xmax = (round(value) for value in box)
    ymax, xmax = max(ymax, ymin + 1), max(xmax, xmin + 1)
    frame = np.zeros((height, width), bool)
    for y, x in itertools.product(range(height), range(width)):
        inside = ymin <= y < ymax and xmin <= x < xmax
        depth = min(y - ymin, ymax - 1 - y, x - xmin, xmax - 1 - x)
        frame[y, x] = inside and depth < line
    return frame


@pytest.mark.parametrize("size", [(61, 47), (60, 48), (2, 3), (1, 1)])
@pytest.mark.parametrize(
    "box",
    [
        (10, 8, 40, 30),
        (11.4, 9.5, 40.6, 31.5),
        (-9, -8, 30, 20),
        (30, 20, 90, 90),
        (-5, -5, 99, 99),
        (20, 20, 20, 20),
        (70, 50, 80, 60),
        (0, 0, 1, 1),
    ],
)
def test_frame_equals_the_naive_reference(size, box):
    image = street(*size)
    expected = np.where(framed(*size, box, 2)[..., None], annotate.class_colour(1), image)
    np.testing.assert_array_equal(boxes_on(image, [box]), expected)


_OUTSIDE = (-900, 31, -800, 40)
_LAYERS = {
    "frame": {"boxes": [(33, 21, 80, 101)]},
    "frame past the edges": {"boxes": [(-4, -4, 55, 71)]},
    "frame at the last row and column": {"boxes": [(33, 21, 121, 163)]},
    "tag": {"boxes": [_OUTSIDE], "labels": ["car"]},
    "mask": {"boxes": [_OUTSIDE], "masks": street(121, 163)[None, ..., 0] > 99},
    "trail": {"boxes": [_OUTSIDE], "trails": [np.array([[5, 9], [100, 140]], np.float32)]},
    "translucent frame": {"boxes": [(33, 21, 80, 101)], "opacity": 0.4},
}


@pytest.mark.parametrize("encoding", [(BT601, False), (BT601, True), (BT709, False), (BT709, True)])
@pytest.mark.parametrize("convert", [i420, nv12])
@pytest.mark.parametrize("layer", _LAYERS)
def test_planes_get_what_the_converted_rgb_picture_has(layer, convert, encoding):
    # Flat squares of 2x2 pixels, so that the conversion loses no chroma.
    squares = street(61, 82) // 2 + 60
    image = np.repeat(np.repeat(squares, 2, axis=0), 2, axis=1)[:121, :163]
    options = {"labels": [""], **_LAYERS[layer], "classes": np.array([5])}
    options["boxes"] = np.array(options["boxes"], np.float32)
    rgb, picture = image.copy(), convert(image, *encoding)
    before = [plane.copy() for plane in channels(picture)]
    annotate.draw_boxes(rgb, **options)
    annotate.draw_boxes(picture, **options)
    untouched = ~changed(image, rgb)
    assert not untouched.all()
    kept = [untouched, *[_whole_squares(untouched)] * 2]
    for index, wanted in enumerate(to_yuv(rgb, *encoding)):
        plane = channels(picture)[index]
        np.testing.assert_allclose(plane, wanted.clip(0, 255), atol=1.8)
        np.testing.assert_array_equal(plane[kept[index]], before[index][kept[index]])


def _whole_squares(pixels):
    height, width = pixels.shape
    padded = np.pad(pixels, ((0, height % 2), (0, width % 2)), constant_values=True)
    return padded.reshape((height + 1) // 2, 2, -1, 2).all(axis=(1, 3))


def test_i420_and_nv12_hold_the_same_bytes():
    one, other = i420(street()), nv12(street())
    for picture in (one, other):
        annotate.draw(picture, found([33, 21, 80, 101], [-9, 5, 60, 500]), _NAMES)
    for a, b in zip(channels(one), channels(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layout", ["rgb", "i420", "nv12"])
def test_rows_may_lie_apart_and_what_is_between_them_stays(layout):
    convert = {"rgb": lambda image: image.copy(), "i420": i420, "nv12": nv12}[layout]
    whole = convert(street())
    planes = (whole,) if layout == "rgb" else whole.planes
    wide = [np.pad(p, ((1, 1), (3, 5)) + ((0, 0),) * (p.ndim - 2)) for p in planes]
    parts = tuple(w[1:-1, 3:-5] for w in wide)
    annotate.draw(whole, found([33, 21, 80, 101]), _NAMES)
    annotate.draw(
        parts[0] if layout == "rgb" else Yuv420(parts, BT709), found([33, 21, 80, 101]), _NAMES
    )
    for plane, part, around in zip(planes, parts, wide, strict=True):
        np.testing.assert_array_equal(part, plane)
        part[...] = 0
        assert not around.any()


def test_upside_down_rows_are_drawn_the_right_way_round():
    image = street()
    stored = image[::-1].copy()
    annotate.draw(stored[::-1], found([33, 21, 80, 101]), _NAMES)
    np.testing.assert_array_equal(stored[::-1], drawn_on(image, found([33, 21, 80, 101]), _NAMES))


def test_only_the_box_and_its_tag_change():
    image = street()
    drawn = drawn_on(image, found([100, 50, 200, 300]), _NAMES)
    touched = changed(image, drawn)
    assert not touched[102:198, 52:298].any(), "the inside of the box"
    assert not touched[201:].any()
    assert not touched[:80].any()
    assert not touched[:, 301:].any()
    assert not touched[:, :50].any()
    edge = annotate.class_colour(1)
    for point in ((100, 60), (199, 60), (150, 50), (150, 299)):
        assert tuple(drawn[point]) == edge


def test_without_objects_nothing_changes():
    image = street()
    np.testing.assert_array_equal(drawn_on(image, Detections.empty(), _NAMES), image)


@pytest.mark.parametrize("size", [(48, 64), (320, 480), (720, 1280), (2160, 3840)])
def test_lines_and_text_grow_with_the_image(size):
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    box = [height // 2, width // 4, height - 2, width // 2]
    touched = changed(image, drawn_on(image, found(box), _NAMES))
    line = int(np.argmin(touched[box[0] :, (box[1] + box[3]) // 2]))
    tag = int(touched[: box[0], box[1] + 1].sum())
    assert line == max(2, round(height / 240))
    assert 11 <= tag <= max(20, height // 20)


@pytest.mark.parametrize(
    "box",
    [
        [0, 0, 320, 480],
        [-50, -80, 40, 60],
        [300, 460, 400, 600],
        [-9, 100, -3, 200],
        [400, 500, 420, 520],
        [100, 100, 100, 100],
        [5, 470, 30, 479],
    ],
    ids=["whole image", "past top left", "past bottom right", "above", "outside", "empty", "edge"],
)
def test_boxes_at_and_beyond_the_edges(box):
    image = street()
    touched = changed(image, drawn_on(image, found(box), _NAMES))
    assert touched.any(), "at least the tag shows where the object is"
    assert touched.mean() < 0.05


def test_image_smaller_than_a_tag():
    assert drawn_on(street(8, 8), found([1, 1, 6, 6]), _NAMES).shape == (8, 8, 3)


_NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=150)
@given(
    height=st.integers(0, 40),
    width=st.integers(0, 40),
    boxes=st.lists(st.tuples(_NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS), max_size=5),
    label=st.text(max_size=12),
    trail=st.lists(st.tuples(_NUMBERS, _NUMBERS), max_size=4),
    layout=st.sampled_from(["rgb", "i420", "nv12"]),
)
def test_finite_boxes_never_raise_and_never_reach_outside(
    height, width, boxes, label, trail, layout
):
    half = (height + 1) // 2, (width + 1) // 2
    shapes = {
        "rgb": [(height, width, 3)],
        "i420": [(height, width), half, half],
        "nv12": [(height, width), (*half, 2)],
    }[layout]
    guarded = [np.full((s[0] + 8, s[1] + 8, *s[2:]), 77, np.uint8) for s in shapes]
    planes = tuple(g[4 : 4 + s[0], 4 : 4 + s[1]] for g, s in zip(guarded, shapes, strict=True))
    count = len(boxes)
    annotate.draw_boxes(
        planes[0] if layout == "rgb" else Yuv420(planes, BT601),
        np.array(boxes, np.float32).reshape(count, 4),
        np.arange(count),
        [label] * count,
        np.ones((count, height, width), bool),
        [np.array(trail, np.float32).reshape(-1, 2)] * count,
    )
    for plane, around in zip(planes, guarded, strict=True):
        plane[...] = 77
        assert (around == 77).all()


def test_mask_is_blended_where_it_is_and_nowhere_else():
    image = np.full((320, 480, 3), 100, np.uint8)
    mask = np.zeros((1, 320, 480), bool)
    mask[0, 150:180, 100:200] = True
    drawn = drawn_on(image, found([100, 50, 200, 300], masks=mask), _NAMES)
    expected = 100 + 0.45 * (np.array(annotate.class_colour(1)) - 100.0)
    np.testing.assert_allclose(drawn[160, 150], expected, atol=1)
    touched = changed(image, drawn)[103:197, 55:295]
    np.testing.assert_array_equal(touched, mask[0, 103:197, 55:295])


def test_empty_mask_changes_nothing():
    image = street()
    masks = np.zeros((1, 320, 480), bool)
    np.testing.assert_array_equal(
        drawn_on(image, found([100, 50, 200, 300], masks=masks), _NAMES),
        drawn_on(image, found([100, 50, 200, 300]), _NAMES),
    )


def test_opacity_lets_the_picture_shine_through():
    image = np.full((320, 480, 3), 100, np.uint8)
    drawn = boxes_on(image, [[100, 50, 200, 300]], opacity=0.5)
    expected = (100 + np.array(annotate.class_colour(1))) / 2
    np.testing.assert_allclose(drawn[100, 60], expected, atol=1)


def test_trail_fades_towards_its_oldest_point():
    image = np.zeros((320, 480, 3), np.uint8)
    trail = np.stack([np.full(50, 250), np.linspace(20, 420, 50)], axis=1).astype(np.float32)
    drawn = drawn_on(image, found([100, 50, 200, 300]), _NAMES, [trail])
    along = drawn[250, 30:410:20].max(axis=1).astype(int)
    assert (np.diff(along) > 0).all()
    assert along[-1] > 0.8 * max(annotate.class_colour(1))
    assert not drawn[253:].any()


@pytest.mark.parametrize(
    ("box", "rows"),
    [
        ([100, 50, 200, 300], slice(80, 100)),
        ([3, 50, 200, 300], slice(200, 220)),
        ([3, 50, 318, 300], slice(5, 30)),
    ],
    ids=["above", "below where there is no room above", "inside where there is no room at all"],
)
def test_tag_stands_where_it_hides_least(box, rows):
    image = np.zeros((320, 480, 3), np.uint8)
    touched = changed(image, drawn_on(image, found(box), _NAMES))[:, 60]
    touched[[*range(box[0], box[0] + 2), *range(box[2] - 2, box[2])]] = False
    assert touched[rows].sum() >= 10
    touched[rows] = False
    assert not touched.any()


def test_best_object_is_drawn_on_top():
    drawn = boxes_on(street(), [[100, 50, 200, 300]] * 2, [1, 2])
    assert tuple(drawn[150, 50]) == annotate.class_colour(1)


def test_tag_is_the_class_colour_with_anti_aliased_text():
    image = np.zeros((320, 480, 3), np.uint8)
    drawn = drawn_on(image, found([100, 50, 200, 300], classes=[7]), _NAMES)
    tag = drawn[changed(image, drawn)].reshape(-1, 3)
    plate, text = annotate.class_colour(7), annotate.text_colour(annotate.class_colour(7))
    shades = {tuple(pixel) for pixel in tag}
    assert plate in shades
    assert text in shades
    assert len(shades) > 10


def test_tag_tells_class_score_and_track():
    image = np.zeros((320, 480, 3), np.uint8)
    box = np.array([[100, 50, 200, 300]], np.float32)
    one, one_class = np.array([0.5], np.float32), np.array([1], np.int32)
    plain = Detections(box, one, one_class)
    tracked = Detections(box, one, one_class, track_ids=np.array([3], np.int32))
    variants = [
        drawn_on(image, plain, _NAMES),
        drawn_on(image, plain, {1: "bus"}),
        drawn_on(image, plain, {}),
        drawn_on(image, Detections(box, one + 0.2, one_class), _NAMES),
        drawn_on(image, tracked, _NAMES),
    ]
    assert len({variant.tobytes() for variant in variants}) == len(variants)


def test_names_of_other_scripts_are_shown_and_what_the_font_lacks_is_a_box():
    def shown(name):
        image = np.zeros((320, 480, 3), np.uint8)
        return drawn_on(image, found([100, 50, 200, 300]), {1: name})

    plain, greek, cyrillic = shown("bus"), shown("λεω"), shown("тр")
    assert len({picture.tobytes() for picture in (plain, greek, cyrillic)}) == 3
    np.testing.assert_array_equal(shown("行人"), shown("汽车"))
    assert (shown("行人") != shown("??")).any()
    for awkward in ("", "\n\t\0", "\ud800", "👩‍🚀", "e\u0301", "\U0010ffff", "w" * 500):
        assert shown(awkward).any()


def test_colours_are_distinct_with_any_colour_vision_and_their_text_is_readable():
    linear = _linear(np.array([annotate.class_colour(class_id) for class_id in range(1, 13)]))
    for name, matrix in _VISION.items():
        seen = _cielab(linear @ np.array(matrix).T)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 1e3 * np.eye(12)
        # A difference of 2.3 is just noticeable.
        assert apart.min() > 15, name
    for class_id in range(1, 91):
        plate = annotate.class_colour(class_id)
        assert _contrast(plate, annotate.text_colour(plate)) >= 4.5, "WCAG level AA"


# Full protanopia, deuteranopia and tritanopia in linear RGB: Machado, Oliveira and Fernandes,
# "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), table 1.
_VISION = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def _linear(colours):
    values = np.array(colours) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _cielab(linear):
    xyz = np.clip(linear, 0, 1) @ np.array(
        [
            [0.4124564, 0.2126729, 0.0193339],
            [0.3575761, 0.7151522, 0.1191920],
            [0.1804375, 0.0721750, 0.9503041],
        ]
    )
    x, y, z = (np.cbrt(xyz / (0.95047, 1, 1.08883))).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def _contrast(one, other):
    luminances = [_linear(colour) @ (0.2126, 0.7152, 0.0722) for colour in (one, other)]
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)


def read_only():
    image = street()
    image.flags.writeable = False
    return image


def planes(*shapes):
    return Yuv420(tuple(np.zeros(shape, np.uint8) for shape in shapes), BT601)


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (street().astype(np.float32), r"image: found float32 \(320, 480, 3\), expected uint8"),
        (street()[..., 0], r"image: found uint8 \(320, 480\), expected uint8 \(any, any, 3\)"),
        (street().tolist(), "image: found list, expected"),
        (read_only(), "image: found a read-only array"),
        (street()[..., ::-1], r"image: found strides .*side by side"),
        (street()[:, ::2], r"image: found strides .*side by side"),
        (street(10, 10), r"masks: found bool \(1, 320, 480\), expected bool \(1, 10, 10\)"),
        (planes((9, 9), (4, 5), (5, 5)), r"planes\[1\]: found uint8 \(4, 5\), expected uint8 \(5,"),
        (planes((9, 9), (5, 5), (5, 4)), r"planes\[2\]: found uint8 \(5, 4\), expected uint8 \(5,"),
        (planes((9, 9), (5, 5)), r"planes\[1\]: found uint8 \(5, 5\), expected uint8 \(5, 5, 2\)"),
        (planes((9, 9, 3), (5, 5), (5, 5)), r"planes\[0\]: found uint8 \(9, 9, 3\)"),
        (planes((9, 9), (5, 5), (5, 5), (5, 5)), "planes: found 4, expected 1"),
        (Yuv420(planes((9, 9), (5, 5), (5, 5)).planes, (0.9, 0.2)), "luma_weights: found"),
    ],
)
def test_wrong_pictures_are_refused_by_name(picture, says):
    mask = np.zeros((1, 320, 480), bool)
    with pytest.raises(ValueError, match=says):
        annotate.draw(picture, found([1, 1, 5, 5], masks=mask), _NAMES)


_NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"boxes": np.array([[1, 1, 5, 5], [1, _NAN, 5, 5]], np.float32)},
            r"boxes\[1\]: found .*nan",
        ),
        ({"boxes": np.zeros((2, 4))}, r"boxes: found float64 \(2, 4\), expected float32"),
        ({"labels": ["one"]}, "labels: found 1, expected one per box"),
        ({"labels": ["one", 2]}, r"labels\[1\]: found 2, expected a text"),
        ({"classes": np.array([1])}, r"classes: found int64 \(1,\), expected integers \(2,\)"),
        ({"classes": np.array([1.0, 2])}, r"classes: found float64 \(2,\), expected integers"),
        ({"boxes": [[1, 1, 5, 5]]}, "boxes: found list, expected an array"),
        ({"trails": [[[1, 1]]] * 2}, r"trails\[0\]: found list, expected an array"),
        ({"trails": [np.zeros((3, 2), np.float32)]}, "trails: found 1, expected 2, one per box"),
        ({"trails": [np.zeros((3, 2))] * 2}, r"trails\[0\]: found float64 \(3, 2\), expected"),
        (
            {"trails": [np.zeros((1, 2), np.float32), np.full((1, 2), _NAN, np.float32)]},
            r"trail_points\[1\]: found \[nan nan\], expected finite",
        ),
        ({"opacity": 2.0}, "opacity: found 2.0, expected 0 to 1"),
        ({"opacity": _NAN}, "opacity: found nan, expected 0 to 1"),
    ],
)
def test_wrong_objects_are_refused_by_name(change, says):
    image = street()
    arguments = {
        "boxes": np.array([[1, 1, 5, 5], [9, 9, 20, 20]], np.float32),
        "classes": np.array([1, 2]),
        "labels": ["a", "b"],
    }
    with pytest.raises(ValueError, match=says):
        annotate.draw_boxes(image, **(arguments | change))
    np.testing.assert_array_equal(image, street())


def test_code_points_are_cut_and_padded():
    table = glyph_atlas.code_points(["ab", "", "abcd\u884c", "\u884c"], 4)
    assert table.dtype == np.int32
    a, b, c, d, sign = 97, 98, 99, 100, 0x884C
    assert table.tolist() == [[a, b, 0, 0], [0] * 4, [a, b, c, d], [sign, 0, 0, 0]]
