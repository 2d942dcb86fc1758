"""Existing records: names of classes, drives, damage, duplicate names."""

import dataclasses

import numpy as np
import pytest

from roadmark.data import example, tfrecord
from roadmark.data.findings import Rule
from roadmark.data.formats import tfrecords
from roadmark.data.formats.request import Request
from roadmark.errors import UserError
from roadmark.odapi.label_map import LabelMap
from roadmark.testing import small_records

MAP = LabelMap.of({1: "vehicle", 2: "pedestrian", 4: "cyclist"})


def _write(path, *images):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tfrecord.RecordWriter(path) as writer:
        for image in images:
            writer.write(example.serialise(image))
    return path


def _picture(number, class_id=1, name="vehicle", **changes):
    image = small_records.picture(number)
    count = len(image)
    classes = {"class_ids": np.full(count, class_id), "class_names": (name,) * count}
    return dataclasses.replace(image, **(classes | changes))


@pytest.mark.parametrize(
    ("label_map", "number", "text", "expected"),
    [
        pytest.param(MAP, 4, "cyclist", ("cyclist", None), id="both-agree"),
        pytest.param(MAP, 4, "", ("cyclist", None), id="id-alone"),
        pytest.param(MAP, 0, "cyclist", ("cyclist", None), id="name-alone"),
        pytest.param(MAP, 1, "cyclist", ("cyclist", Rule.NAME_WINS), id="name-goes-before-id"),
        pytest.param(MAP, 3, "", ("3", Rule.UNKNOWN_CLASS), id="id-missing-from-the-map"),
        pytest.param(MAP, 1, "sign", ("sign", Rule.UNKNOWN_CLASS), id="name-missing-from-the-map"),
        pytest.param(None, 3, "", ("3", None), id="neither-map-nor-name"),
        pytest.param(None, 0, "", ("0", Rule.UNKNOWN_CLASS), id="background-id"),
    ],
)
def test_class_names(label_map, number, text, expected):
    assert tfrecords.Classes(label_map).resolve(number, text) == expected


def test_ids_beyond_num_classes():
    classes = tfrecords.Classes(MAP, num_classes=3)
    assert classes.resolve(4, "cyclist") == ("cyclist", Rule.BEYOND_NUM_CLASSES)
    assert classes.resolve(2, "") == ("pedestrian", None)


def test_files_are_drives_and_folders_splits(tmp_path):
    _write(tmp_path / "train/drive1.tfrecord", _picture(0), _picture(1))
    _write(tmp_path / "val/drive2.tfrecord", _picture(2))
    source = tfrecords.read(Request(str(tmp_path)))
    assert [image.split for image in source.images] == ["train", "train", "val"]
    assert source.images[0].group == source.images[1].group != source.images[2].group
    loaded = source.images[1].load()
    assert loaded.encoded == small_records.picture(1).encoded
    np.testing.assert_array_equal(
        np.array([item.box for item in loaded.objects], np.float32), small_records.picture(1).boxes
    )


def test_shards_are_not_drives(tmp_path):
    _write(tmp_path / "x-00000-of-00001.tfrecord", _picture(0), _picture(1))
    groups = {image.group for image in tfrecords.read(Request(str(tmp_path))).images}
    assert groups == {"0.png", "1.png"}


def test_a_label_map_beside_the_records_is_used(tmp_path):
    small_records.write(tmp_path)
    assert tfrecords.read(Request(str(tmp_path))).class_ids == {
        "vehicle": 1,
        "pedestrian": 2,
        "cyclist": 3,
    }
    (tmp_path / "other.pbtxt").write_text(small_records.LABEL_MAP)
    with pytest.raises(UserError, match=r"2 \.pbtxt files"):
        tfrecords.read(Request(str(tmp_path)))


def test_ids_that_the_label_map_lacks_are_named_by_record_and_box(tmp_path):
    file = _write(tmp_path / "a.record", _picture(0, class_id=3, name=""))
    source = tfrecords.read(Request(str(file), label_map=MAP))
    finding = source.ledger.findings[0]
    assert (finding.rule, finding.found) == (Rule.UNKNOWN_CLASS, "id 3, name ''")
    assert finding.where == f"{file}: record 0 (byte 0), box 0"
    assert source.images[0].load().objects == ()


def test_damaged_records_are_entered_and_the_others_read(tmp_path):
    file = _write(tmp_path / "a.record", _picture(0), _picture(1), _picture(2))
    data = bytearray(file.read_bytes())
    data[200] ^= 1
    file.write_bytes(data[:-1])
    source = tfrecords.read(Request(str(file)))
    assert [finding.rule for finding in source.ledger.findings] == [Rule.DAMAGED_RECORD] * 2
    assert "record 0 (byte 0)" in source.ledger.findings[0].where
    assert "truncated" in source.ledger.findings[1].found
    assert [image.name for image in source.images] == ["1.png"]


def test_a_file_name_used_twice_gets_a_number(tmp_path):
    file = _write(tmp_path / "a.record", _picture(0), _picture(1, filename="0.png"))
    source = tfrecords.read(Request(str(file)))
    assert [image.name for image in source.images] == ["0.png", "0.png#2"]
    assert [finding.rule for finding in source.ledger.findings] == [Rule.RENAME_IMAGE]


def _with_features(image, **lists):
    built = example._Example.FromString(example.serialise(image))
    for name, values in lists.items():
        built.features.feature[f"image/object/{name}"].int64_list.value.extend(values)
    return built.SerializeToString()


def test_groups_become_crowds_and_other_features_are_counted(tmp_path):
    image = _picture(0)
    others = [1] * len(image)
    with tfrecord.RecordWriter(tmp_path / "a.record") as writer:
        writer.write(example.serialise(_picture(1)))
        writer.write(_with_features(image, group_of=others, truncated=others, view=[]))
        writer.write(_with_features(_picture(2), truncated=[1], weight=[2]))
    source = tfrecords.read(Request(str(tmp_path)))
    assert [any(o.is_crowd for o in i.load().objects) for i in source.images] == [
        False,
        True,
        False,
    ]
    second, third = (image.where for image in source.images[1:])
    assert [(f.rule, f.where, f.found) for f in source.ledger.findings] == [
        (Rule.OTHER_FEATURE, second, "image/object/truncated in 2 records, first here"),
        (Rule.OTHER_FEATURE, third, "image/object/weight in 1 records, first here"),
    ]


def test_a_glob_that_matches_nothing(tmp_path):
    with pytest.raises(UserError, match="no records match"):
        tfrecords.read(Request(f"{tmp_path}/*.record"))
