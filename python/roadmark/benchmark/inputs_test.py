import numpy as np
import pytest

from roadmark.benchmark import inputs


def test_anchors_are_efficientdets():
    grid = inputs.anchors()
    assert grid.shape == (inputs.NUM_ANCHORS, 4)
    first = (grid[0] * 640).tolist()
    assert first == pytest.approx([4 - 16, 4 - 16, 4 + 16, 4 + 16]), "stride 8, scale 4, square"


@pytest.mark.parametrize("classes", [3, 90])
def test_a_trained_detector_is_sure_of_little(classes):
    logits = inputs.detector_outputs(classes)["class_logits"]
    assert logits.shape == (1, inputs.NUM_ANCHORS, classes)
    scores = 1 / (1 + np.exp(-logits))
    assert 100 < (scores > 0.3).sum() < 1000
    assert (scores > 0.05).mean() < 0.02
    assert scores.max() > 0.8


def test_pictures_of_a_batch_differ():
    one, two = (inputs.detector_outputs(3, pictures=pictures) for pictures in (1, 2))
    for name in ("class_logits", "box_encodings"):
        np.testing.assert_array_equal(one[name][0], two[name][0])
        assert not np.array_equal(two[name][0], two[name][1])


@pytest.mark.parametrize("classes", [1, 80])
def test_survivors_lie_in_clusters_or_apart(classes):
    together = inputs.survivors(1000, classes)
    apart = inputs.survivors(1000, classes, disjoint=True)
    for found in (together, apart):
        assert len(np.unique(found["scores"])) == 1000
        assert found["scores"].min() > 0.05
        assert set(found["classes"].tolist()) <= set(range(classes))
        assert (found["boxes"][:, 2:] >= found["boxes"][:, :2]).all()
    assert _overlapping(together["boxes"]) > 0.9
    assert _overlapping(apart["boxes"]) == 0


def _overlapping(boxes):
    low = np.maximum(boxes[:, None, :2], boxes[:, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    touches = (high > low).all(axis=-1)
    return (touches.sum(axis=1) > 1).mean()


def test_padding_of_ground_truth_has_no_weight():
    truth = inputs.ground_truth(slots=100, real=20, num_classes=3)
    assert truth["boxes"].shape == (8, 100, 4)
    assert truth["weights"].sum(axis=1).tolist() == [20] * 8
    assert not truth["boxes"][:, 20:].any()


def test_masks_cover_about_half_of_their_boxes():
    masks = inputs.instance_masks(20)["probabilities"]
    assert masks.shape == (20, 33, 33)
    covered = (masks > 0.5).mean(axis=(1, 2))
    assert 0.3 < covered.min() < covered.max() < 0.7


def test_same_seed_same_inputs():
    frame, masks = lambda: inputs.video_frame(72, 128, 20), lambda: inputs.instance_masks(5)
    for make in (inputs.coding, frame, masks):
        first, second = make(), make()
        assert all(np.array_equal(first[name], second[name]) for name in first)
