import itertools

import av
import numpy as np
import pytest

from roadmark.data import synthetic, synthetic_clip

_SECONDS = 2.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "drive.mp4"
    return path, synthetic_clip.render_clip(path, _SECONDS, seed=3)


def test_the_file_is_h264_at_25_frames_per_second(clip):
    path, truths = clip
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 25
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == len(truths) == 50
    assert frames[0].shape == (synthetic.HEIGHT, synthetic.WIDTH, 3)
    assert [entry.name for entry in path.parent.iterdir()] == ["drive.mp4"]


def test_frames_are_what_was_rendered(clip):
    path, truths = clip
    with av.open(str(path)) as container:
        decoded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    scene = next(synthetic_clip.render_frames(_SECONDS, seed=3))
    assert np.abs(decoded.astype(int) - scene.image).mean() < 6
    np.testing.assert_array_equal(scene.boxes, truths[0].boxes)
    np.testing.assert_array_equal(scene.track_ids, truths[0].track_ids)


def test_labels_keep_the_rule(clip):
    _, truths = clip
    for truth in truths:
        assert (truth.occlusions <= synthetic.MAX_OCCLUSION).all()
        assert (truth.boxes[:, 2] - truth.boxes[:, 0] >= synthetic.MIN_HEIGHT).all()
        assert len(set(truth.track_ids)) == len(truth.track_ids)


def test_tracks_last_and_move_little_between_frames(clip):
    _, truths = clip
    jumps = []
    for before, after in itertools.pairwise(truths):
        both, i, j = np.intersect1d(before.track_ids, after.track_ids, return_indices=True)
        assert len(both) >= 0.6 * len(before.track_ids)
        np.testing.assert_array_equal(before.classes[i], after.classes[j])
        centres = [t.boxes.reshape(-1, 2, 2).mean(axis=1) for t in (before, after)]
        jumps.append(np.abs(centres[0][i] - centres[1][j]).max(axis=1))
    moved = np.concatenate(jumps)
    assert moved.max() > 0.5
    assert np.percentile(moved, 95) < 12


def test_the_file_tells_what_it_is(clip, tmp_path):
    path, _ = clip
    other = tmp_path / "other.mp4"
    other.write_bytes(b"not a video")
    assert synthetic_clip.is_clip(path, _SECONDS, seed=3)
    assert not synthetic_clip.is_clip(path, _SECONDS, seed=4)
    assert not synthetic_clip.is_clip(path, 3.0, seed=3)
    assert not synthetic_clip.is_clip(other, _SECONDS, seed=3)
    assert not synthetic_clip.is_clip(tmp_path / "none.mp4", _SECONDS, seed=3)
