import numpy as np
import pytest

from roadmark.inference import fixed_batch


@pytest.mark.parametrize(
    ("count", "size", "parts"),
    [
        pytest.param(3, None, [3], id="a network that takes any"),
        pytest.param(3, 4, [4], id="filled up"),
        pytest.param(4, 4, [4], id="as it is"),
        pytest.param(5, 2, [2, 2, 2], id="cut and filled up"),
    ],
)
def test_parts_have_the_networks_size_and_join_to_the_batch(count, size, parts):
    arrays = {
        "image": np.arange(1, count * 6 + 1, dtype=np.float32).reshape(count, 2, 3),
        "true_shapes": np.ones((count, 3), np.int32),
    }
    found = fixed_batch.split(arrays, size)
    assert [len(part["image"]) for part in found] == parts
    assert all(part["true_shapes"].dtype == np.int32 for part in found)
    assert sum(float(part["image"].sum()) for part in found) == arrays["image"].sum()
    joined = fixed_batch.join(found, count)
    for name, array in arrays.items():
        np.testing.assert_array_equal(joined[name], array)
