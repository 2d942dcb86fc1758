import av

from roadmark.benchmark import video_clip


def test_clip_has_the_frames_and_size_asked_for_and_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(video_clip, "_RENDERED_S", 0.2)
    path = video_clip.make(tmp_path, 12, 320, 180)
    with av.open(str(path)) as container:
        frames = [(frame.width, frame.height, frame.pts) for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 30
        assert container.streams.video[0].codec_context.colorspace == 6
    assert len(frames) == 12
    assert {size[:2] for size in frames} == {(320, 180)}
    made = path.stat().st_mtime_ns
    assert video_clip.make(tmp_path, 12, 320, 180) == path
    assert path.stat().st_mtime_ns == made
