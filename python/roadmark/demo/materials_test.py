import json
from pathlib import Path

import pytest

from roadmark.data import synthetic_clip
from roadmark.demo import materials

_RUN = Path("runs/demo")
_IMAGES, _SECONDS = 20, 0.2


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The user's folder: an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.iterdir())}


def _card(name: str, seed: int, images: int) -> str:
    source = {"input": "", "format": name, "split": "", "seed": seed}
    splits = {"train": {"images": images}}
    return json.dumps(
        {"schema": 1, "source": source, "classes": [], "splits": splits, "findings": {}}
    )


def test_records_go_where_every_config_looks_and_are_reused():
    made = materials.records(_IMAGES, 5, _RUN)
    assert made == Path("data/records")
    before = _contents(made)
    assert materials.records(_IMAGES, 5, _RUN) == made
    assert _contents(made) == before


@pytest.mark.parametrize(
    "card",
    [
        None,
        "not json",
        '{"name": "theirs", "schema": 1}',
        '{"source": "https://x", "splits": ["train"], "schema": 1, "classes": [], "findings": {}}',
        _card("coco", 5, 20),
        _card("synthetic", 6, 20),
        _card("synthetic", 5, 21),
    ],
    ids=[
        "no card",
        "damaged card",
        "card of another tool",
        "card with other contents",
        "another set",
        "another seed",
        "another number",
    ],
)
def test_other_records_stay_as_they_are(card, capsys):
    theirs = Path("data/records")
    theirs.mkdir(parents=True)
    (theirs / "train-00000-of-00001.tfrecord").write_bytes(b"precious")
    if card is not None:
        (theirs / "dataset_card.json").write_text(card)
    before = _contents(theirs)
    assert materials.records(_IMAGES, 5, _RUN) == _RUN / "records"
    assert _contents(theirs) == before
    assert "stay as they are" in capsys.readouterr().out


def test_the_clip_goes_to_test_mp4_and_is_reused():
    made = materials.clip(_SECONDS, 5, _RUN)
    assert made == Path("test.mp4")
    before = made.stat().st_mtime_ns
    assert materials.clip(_SECONDS, 5, _RUN) == made
    assert made.stat().st_mtime_ns == before


@pytest.mark.parametrize("own_seed", [None, 6], ids=["the user's video", "a clip of another seed"])
def test_another_test_mp4_stays_as_it_is(own_seed):
    theirs = Path("test.mp4")
    if own_seed is None:
        theirs.write_bytes(b"precious")
    else:
        synthetic_clip.render_clip(theirs, _SECONDS, own_seed)
    before = theirs.read_bytes()
    made = materials.clip(_SECONDS, 5, _RUN)
    assert made == _RUN / "test.mp4"
    assert made.is_file()
    assert theirs.read_bytes() == before
