"""What counts as an address, and what its patterns mean."""

import pytest

from roadmark.errors import UserError
from roadmark.storage import address


@pytest.mark.parametrize(
    ("url", "parent", "name"),
    [
        ("s3://b/runs/demo", "b/runs", "demo"),
        ("gs://b/runs/demo/", "b/runs", "demo"),
        ("s3://b", "", "b"),
        ("s3://b/records/train-*", "b/records", "train-*"),
        ("s3://b/**/x/*.jpg", "b", "**/x/*.jpg"),
        ("s3://b/film/%05d.jpg", "b/film", "%05d.jpg"),
    ],
)
def test_parts(url, parent, name):
    found = address.parse(url)
    assert (found.parent, found.name) == (parent, name)
    assert found.url == url.rstrip("/")


@pytest.mark.parametrize("url", ["s3://", "s3:///key", "s3://*/x", "s3://b/../c", "gs://b/a//c"])
def test_what_is_no_path_is_refused(url):
    with pytest.raises(UserError, match="found"):
        address.parse(url)


@pytest.mark.parametrize(
    ("pattern", "matched", "others"),
    [
        ("train-*", ["train-00000", "train-"], ["val-0", "x/train-0", "train-0/x"]),
        ("**/*.jpg", ["a.jpg", "a/b/c.jpg"], ["a.png"]),
        ("%05d.jpg", ["00001.jpg"], ["a.jpg"]),
        ("[!a]?.txt", ["bc.txt"], ["ab.txt", "bcc.txt"]),
    ],
)
def test_patterns(pattern, matched, others):
    place = address.parse(f"s3://b/set/{pattern}")
    assert all(map(place.matches, matched))
    assert not any(map(place.matches, others))


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        ("data/x,s3://b/a,gs://c/d-*", ["s3://b/a", "gs://c/d-*"]),
        ("yolo=s3://b/yolo.json,ms=9", ["s3://b/yolo.json"]),
        ("https://a/s3,rtsp://camera", []),
    ],
)
def test_addresses_inside_a_flags_value(value, urls):
    assert address.URL.findall(value) == urls
    assert address.is_remote(value) == bool(urls)
