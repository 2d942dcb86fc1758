import numpy as np
import pytest

from roadmark.detections import Detections
from roadmark.ops import annotate

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


def changed(before, after):
    return (before != after).any(axis=2)


def test_only_the_box_and_its_tag_change_and_the_input_does_not():
    image = street()
    kept = image.copy()
    drawn = annotate.draw(image, found([100, 50, 200, 300]), _NAMES)
    np.testing.assert_array_equal(image, kept)
    touched = changed(image, drawn)
    assert not touched[102:198, 52:298].any(), "the inside of the box"
    assert not touched[201:].any()
    assert not touched[:80].any()
    assert not touched[:, 301:].any()
    assert not touched[:, :50].any()
    edge = annotate.class_colour(1)
    for point in ((100, 60), (199, 60), (150, 50), (150, 299)):
        assert tuple(drawn[point]) == edge


def test_in_place_draws_on_the_image_itself():
    image = street()
    expected = annotate.draw(image, found([100, 50, 200, 300]), _NAMES)
    assert annotate.draw(image, found([100, 50, 200, 300]), _NAMES, in_place=True) is image
    np.testing.assert_array_equal(image, expected)


def test_without_objects_nothing_changes():
    image = street()
    np.testing.assert_array_equal(annotate.draw(image, Detections.empty(), _NAMES), image)


@pytest.mark.parametrize("size", [(48, 64), (320, 480), (720, 1280), (2160, 3840)])
def test_lines_and_text_grow_with_the_image(size):
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    box = [height // 2, width // 4, height - 2, width // 2]
    drawn = annotate.draw(image, found(box), _NAMES)
    column = changed(image, drawn)[box[0] :, (box[1] + box[3]) // 2]
    line = int(np.argmin(column))
    tag = int(changed(image, drawn)[: box[0], box[1] + 1].sum())
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
    drawn = annotate.draw(image, found(box), _NAMES)
    touched = changed(image, drawn)
    assert touched.any(), "at least the tag shows where the object is"
    assert touched.mean() < 0.05


def test_image_smaller_than_a_tag():
    image = street(8, 8)
    assert annotate.draw(image, found([1, 1, 6, 6]), _NAMES).shape == (8, 8, 3)


def test_mask_is_blended_where_it_is_and_nowhere_else():
    image = np.full((320, 480, 3), 100, np.uint8)
    mask = np.zeros((1, 320, 480), bool)
    mask[0, 150:180, 100:200] = True
    drawn = annotate.draw(image, found([100, 50, 200, 300], masks=mask), _NAMES)
    expected = 100 + 0.45 * (np.array(annotate.class_colour(1)) - 100.0)
    np.testing.assert_allclose(drawn[160, 150], expected, atol=1)
    touched = changed(image, drawn)[103:197, 55:295]
    np.testing.assert_array_equal(touched, mask[0, 103:197, 55:295])


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
    touched = changed(image, annotate.draw(image, found(box), _NAMES))[:, 60]
    touched[[*range(box[0], box[0] + 2), *range(box[2] - 2, box[2])]] = False
    assert touched[rows].sum() >= 10
    touched[rows] = False
    assert not touched.any()


def test_empty_mask_changes_nothing():
    image = street()
    masks = np.zeros((1, 320, 480), bool)
    with_mask = annotate.draw(image, found([100, 50, 200, 300], masks=masks), _NAMES)
    np.testing.assert_array_equal(
        with_mask, annotate.draw(image, found([100, 50, 200, 300]), _NAMES)
    )


def test_best_object_is_drawn_on_top():
    image = street()
    overlapping = found([100, 50, 200, 300], [100, 50, 200, 300], classes=[1, 2])
    drawn = annotate.draw(image, overlapping, _NAMES)
    assert tuple(drawn[150, 50]) == annotate.class_colour(1)


def test_tag_is_the_class_colour_with_anti_aliased_text():
    image = np.zeros((320, 480, 3), np.uint8)
    drawn = annotate.draw(image, found([100, 50, 200, 300]), _NAMES)
    tag = drawn[changed(image, drawn)].reshape(-1, 3)
    plate, text = annotate.class_colour(1), annotate.text_colour(annotate.class_colour(1))
    shades = {tuple(pixel) for pixel in tag}
    assert plate in shades
    assert text in shades
    assert len(shades) > 10


def test_tag_tells_class_score_and_track():
    image = np.zeros((320, 480, 3), np.uint8)
    box = np.array([[100, 50, 200, 300]], np.float32)
    one, one_class = np.array([0.5], np.float32), np.array([1], np.int32)
    plain = Detections(box, one, one_class)
    variants = [
        annotate.draw(image, plain, _NAMES),
        annotate.draw(image, plain, {1: "bus"}),
        annotate.draw(image, plain, {}),
        annotate.draw(image, Detections(box, one + 0.2, one_class), _NAMES),
        annotate.draw(
            image, Detections(box, one, one_class, track_ids=np.array([3], np.int32)), _NAMES
        ),
    ]
    assert len({variant.tobytes() for variant in variants}) == len(variants)


def test_colours_are_distinct_and_their_text_readable():
    colours = np.array([annotate.class_colour(class_id) for class_id in range(1, 13)], float)
    apart = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 1e9 * np.eye(12)
    assert apart.min() > 60
    for class_id in range(1, 91):
        plate = annotate.class_colour(class_id)
        assert _contrast(plate, annotate.text_colour(plate)) >= 4.5, "WCAG level AA"


def _contrast(one, other):
    def luminance(colour):
        channels = np.array(colour) / 255
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return linear @ (0.2126, 0.7152, 0.0722)

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def read_only():
    image = street()
    image.flags.writeable = False
    return image


@pytest.mark.parametrize(
    ("image", "in_place", "says"),
    [
        (street().astype(np.float32), False, r"image: found float32 \(320, 480, 3\), expected"),
        (street()[..., 0], False, r"image: found uint8 \(320, 480\), expected"),
        (street().tolist(), False, "image: found list, expected"),
        (read_only(), True, "image: found a read-only array"),
        (street(10, 10), False, r"masks: found \(320, 480\) pixels, expected \(10, 10\)"),
    ],
)
def test_wrong_images_are_refused_by_name(image, in_place, says):
    mask = np.zeros((1, 320, 480), bool)
    with pytest.raises(ValueError, match=says):
        annotate.draw(image, found([1, 1, 5, 5], masks=mask), _NAMES, in_place)


def test_read_only_images_can_be_drawn_on_a_copy():
    assert annotate.draw(read_only(), found([1, 1, 50, 50]), _NAMES).flags.writeable
