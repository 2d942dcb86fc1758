"""Rendered cars: repeatable, of every make, and where their box says."""

import numpy as np

from roadmark.data import synthetic_cars


def test_a_picture_follows_from_seed_and_index():
    first, box = synthetic_cars.render(1, 7)
    again, box_again = synthetic_cars.render(1, 7)
    other, _ = synthetic_cars.render(2, 7)
    np.testing.assert_array_equal(first, again)
    assert box == box_again == synthetic_cars.box(1, 7)
    assert (first != other).any()


def test_the_car_of_every_make_lies_in_the_picture():
    for index in range(len(synthetic_cars.MAKES)):
        image, (ymin, xmin, ymax, xmax) = synthetic_cars.render(3, index)
        height, width = image.shape[:2]
        assert 0 <= ymin < ymax <= height
        assert 0 <= xmin < xmax <= width
        assert max((xmax - xmin) / width, (ymax - ymin) / height) > 0.4
