import cv2
import numpy as np
import pytest

from roadmark.data import synthetic
from roadmark.data.synthetic import Scene

_SEED = 20


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """200 scenes: large enough for shares to be within a few percent."""
    return [synthetic.render_scene(_SEED, index) for index in range(200)]


def _heights(scene: Scene) -> np.ndarray:
    return scene.boxes[:, 2] - scene.boxes[:, 0]


def test_scenes_hold_3_to_15_objects_12_to_150_pixels_high(scenes):
    counts = [len(scene.boxes) for scene in scenes]
    heights = np.concatenate([_heights(scene) for scene in scenes])
    assert (min(counts), max(counts) <= synthetic.MAX_OBJECTS) == (synthetic.MIN_OBJECTS, True)
    assert max(counts) >= 12
    assert heights.min() >= synthetic.MIN_HEIGHT
    assert heights.max() <= synthetic.MAX_HEIGHT
    # The range is used, not only kept to.
    assert np.percentile(heights, 10) < 32
    assert np.percentile(heights, 95) > 110


def test_a_third_of_the_objects_is_occluded_by_20_to_60_percent(scenes):
    occlusions = np.concatenate([scene.occlusions for scene in scenes])
    occluded = (occlusions >= 0.2) & (occlusions <= 0.6)
    assert np.mean(occluded) == pytest.approx(1 / 3, abs=0.03)
    assert occlusions.max() <= synthetic.MAX_OCCLUSION


def test_all_lights_and_classes_occur(scenes):
    lights, numbers = np.unique([scene.light for scene in scenes], return_counts=True)
    assert set(lights) == set(synthetic.LIGHTS)
    assert numbers.min() > 25
    shares = np.bincount(np.concatenate([scene.classes for scene in scenes]), minlength=4)
    assert (shares[1:] / shares.sum() > 0.12).all()
    assert shares[0] == 0


def test_boxes_are_the_smallest_around_their_masks(scenes):
    for scene in scenes:
        for box, mask in zip(scene.boxes, scene.masks, strict=True):
            rows, columns = np.nonzero(mask)
            corners = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
            assert tuple(box) == corners


def test_masks_do_not_overlap(scenes):
    assert max(scene.masks.sum(axis=0).max() for scene in scenes) == 1


def test_masks_lie_on_the_painted_objects(scenes):
    # Across the edge of a mask the colour changes more than inside it or beside it.
    across, within = [], []
    for scene in scenes[:40]:
        grey = cv2.cvtColor(scene.image, cv2.COLOR_RGB2GRAY).astype(int)
        step = np.abs(np.diff(grey, axis=1))
        for mask in scene.masks:
            edge = mask[:, 1:] != mask[:, :-1]
            inside = mask[:, 1:] & mask[:, :-1]
            across.append(step[edge].mean())
            within.append(step[inside].mean())
    assert np.mean(across) > 2.5 * np.mean(within)


def test_a_scene_depends_on_seed_and_index_alone():
    first = synthetic.render_scene(7, 3)
    synthetic.render_scene(8, 0)
    again = synthetic.render_scene(7, 3)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)
    for seed, index in ((7, 4), (8, 3)):
        assert not np.array_equal(first.image, synthetic.render_scene(seed, index).image)


def test_a_set_holds_the_scenes_as_annotated_pictures():
    images = list(synthetic.render_set(count=3, seed=5))
    assert [image.filename for image in images] == [
        "synthetic-5-000000.jpg",
        "synthetic-5-000001.jpg",
        "synthetic-5-000002.jpg",
    ]
    scene, image = synthetic.render_scene(5, 1), images[1]
    decoded = cv2.imdecode(np.frombuffer(image.encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.abs(decoded.astype(int) - scene.image).mean() < 4
    np.testing.assert_allclose(image.boxes_in_pixels, scene.boxes, atol=1e-3)
    np.testing.assert_array_equal(image.class_ids, scene.classes)
    assert image.class_names == tuple(synthetic.CLASSES[c] for c in scene.classes)
    masks = [cv2.imdecode(np.frombuffer(m, np.uint8), cv2.IMREAD_UNCHANGED) for m in image.masks]
    np.testing.assert_array_equal(np.array(masks, bool), scene.masks)
    np.testing.assert_array_equal(image.areas, scene.masks.sum(axis=(1, 2)))
