"""What training refuses before it begins: one line that names the culprit and the cure."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from roadmark.errors import UserError
from roadmark.odapi import pipeline_config
from roadmark.testing import small_records, street_data
from roadmark.training import preflight, run_config
from roadmark.training.options import TrainOptions

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
QUICKSTART = CONFIGS / "quickstart.config"
MASK_RCNN = CONFIGS / "mask_rcnn_inception_resnet_v2.config"


def _options(folder: Path, config: Path = QUICKSTART, **changes) -> TrainOptions:
    defaults = {
        "train_records": f"{folder}/train-*",
        "label_map": folder / "label_map.pbtxt",
        "fine_tune_checkpoint": "",
    }
    return TrainOptions(config=config, **(defaults | changes))


def _refusal(options: TrainOptions) -> str:
    with pytest.raises(UserError) as raised:
        run_config.prepare(options)
    return str(raised.value)


def test_sound_input_passes_and_is_counted(tmp_path):
    prepared = run_config.prepare(_options(small_records.write(tmp_path, count=6)))
    assert prepared.contents.images == 6 == len(prepared.index)
    objects = [small_records.picture(number).class_ids for number in range(6)]
    assert prepared.contents.boxes == sum(map(len, objects))
    ids, counts = np.unique(np.concatenate(objects), return_counts=True)
    assert prepared.contents.boxes_by_class() == dict(zip(ids, counts, strict=True))


def _of_class(class_id: int, name: str):
    def change(image):
        return dataclasses.replace(
            image,
            class_ids=np.full(len(image), class_id),
            class_names=(name,) * len(image),
        )

    return change


def _without_objects(image):
    empty = {"boxes": np.zeros((0, 4), np.float32), "class_ids": np.zeros(0, np.int64)}
    flags = {"is_crowd": np.zeros(0, bool), "difficult": np.zeros(0, bool)}
    return dataclasses.replace(
        image, class_names=(), areas=np.zeros(0, np.float32), **empty, **flags
    )


@pytest.mark.parametrize(
    ("change", "label_map", "expected"),
    [
        pytest.param(
            _of_class(4, "tram"),
            "item { id: 4 name: 'tram' }",
            [
                "quickstart.config",
                "num_classes is 3",
                "id 4 (tram)",
                "train-00000",
                "num_classes=4",
            ],
            id="an id beyond num_classes",
        ),
        pytest.param(
            _of_class(3, "tram"),
            small_records.LABEL_MAP,
            ["label_map.pbtxt", "'tram' with id 3", "not in the label map", "train-00000"],
            id="a class name that the label map does not have",
        ),
        pytest.param(
            _of_class(1, "cyclist"),
            small_records.LABEL_MAP,
            ["label_map.pbtxt", "'cyclist' with id 1", "has id 3 in the label map"],
            id="a class name that the label map gives another id",
        ),
        pytest.param(
            _of_class(3, ""),
            "item { id: 1 name: 'vehicle' }",
            ["label_map.pbtxt", "no item with id 3", "train-00000"],
            id="an id that the label map does not have",
        ),
        pytest.param(
            _of_class(1, "vehicle"),
            "item { id: 1 name: 'vehicle' } item { id: 9 name: 'tram' }",
            ["num_classes is 3", "has id 9 (tram)", "num_classes=9"],
            id="a label map beyond num_classes, though no record uses it",
        ),
        pytest.param(
            _without_objects,
            small_records.LABEL_MAP,
            ["6 images without a single box", "prepare -- --check"],
            id="no boxes at all",
        ),
        pytest.param(
            lambda image: dataclasses.replace(image, boxes=image.boxes[:, [2, 1, 0, 3]]),
            small_records.LABEL_MAP,
            ["train-00000", "record 0", "box 0", "ends before it begins"],
            id="a box upside down",
        ),
        pytest.param(
            lambda image: dataclasses.replace(image, encoded=b"GIF89a"),
            small_records.LABEL_MAP,
            ["train-00000", "record 0", "neither a JPEG nor a PNG"],
            id="image bytes that are no image",
        ),
    ],
)
def test_records_that_do_not_agree_are_refused(tmp_path, change, label_map, expected):
    small_records.write(tmp_path, change=change)
    (tmp_path / "label_map.pbtxt").write_text(label_map)
    refusal = _refusal(_options(tmp_path))
    assert [part for part in expected if part not in refusal] == []
    assert "\n" not in refusal


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"overrides": ("train_config.num_steps=30",)},
            ["the warm-up takes 50 steps", "only 30", "--steps=N"],
            id="warm-up longer than the run",
        ),
        pytest.param(
            {"overrides": ("train_config.num_steps=3500",)},
            ["ends at step 3400", "learning rate is 0"],
            id="schedule shorter than the run",
        ),
        pytest.param(
            {"batch_size": 1, "config": CONFIGS / "ssd_mobilenet_v2_fpnlite_320.config"},
            ["learning rate of 0.02 is far too high", "batch size of 1", "learning_rate_base=RATE"],
            id="a learning rate for another batch size",
        ),
        pytest.param(
            {"overrides": ("train_config.fine_tune_checkpoint=PATH_TO_BE_CONFIGURED/ckpt-0",)},
            ["fine_tune_checkpoint", "PATH_TO_BE_CONFIGURED", "--fine_tune_checkpoint="],
            id="a fine-tune checkpoint still to be configured",
        ),
        pytest.param(
            {
                "overrides": (
                    "model.ssd.image_resizer={keep_aspect_ratio_resizer {max_dimension: 640}}",
                )
            },
            ["many sizes", "batch of 8", "pad_to_max_dimension"],
            id="images of many sizes in one batch",
        ),
        pytest.param(
            {
                "config": CONFIGS / "effdet_d0.config",
                "overrides": (
                    "model.ssd.image_resizer={fixed_shape_resizer {height: 512 width: 640}}",
                    "model.ssd.image_resizer.fixed_shape_resizer.height=500",
                ),
            },
            ["fixed_shape_resizer.height is 500", "multiple of 128", "384 or 512"],
            id="a side that a feature pyramid cannot halve",
        ),
        pytest.param(
            {"train_records": "absent/train-*"},
            ["absent/train-*", "no records match", "//python:prepare"],
            id="a glob that matches nothing",
        ),
        pytest.param(
            {"label_map": Path("absent.pbtxt")},
            ["absent.pbtxt"],
            id="a label map that is missing",
        ),
        pytest.param(
            {"config": Path("absent.config")}, ["absent.config"], id="a config that is missing"
        ),
        pytest.param(
            {"overrides": ("train_config.batchsize=2",)},
            ["train_config.batchsize", "batch_size"],
            id="a field that does not exist",
        ),
        pytest.param(
            {"overrides": ("train_config.batch_size=many",)},
            ["train_config.batch_size=many", "whole number"],
            id="a value of another type",
        ),
        pytest.param(
            {"config": MASK_RCNN},
            ["train-00000", "boxes without masks", "Mask R-CNN", "6 of 6 images"],
            id="boxes alone for Mask R-CNN",
        ),
        pytest.param(
            {
                "config": MASK_RCNN,
                "overrides": ("train_input_reader.load_instance_masks=false",),
            },
            ["load_instance_masks"],
            id="Mask R-CNN told not to read masks",
        ),
    ],
)
def test_configs_that_cannot_work_are_refused(tmp_path, changes, expected):
    refusal = _refusal(_options(small_records.write(tmp_path), **changes))
    assert [part for part in expected if part not in refusal] == []
    assert "\n" not in refusal


def test_mask_rcnn_takes_records_with_masks(tmp_path):
    prepared = run_config.prepare(_options(small_records.write(tmp_path, masks=True), MASK_RCNN))
    assert prepared.contents.without_masks.count == 0


@pytest.mark.parametrize("keep", [10, 200], ids=["in the header", "in the data"])
def test_truncated_records_are_named(tmp_path, keep):
    small_records.write(tmp_path)
    path = tmp_path / "train-00001-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[:keep])
    refusal = _refusal(_options(tmp_path))
    assert "train-00001-of-00002.tfrecord: record 0" in refusal
    assert "truncated" in refusal


def test_files_without_records_are_named(tmp_path):
    small_records.write(tmp_path, count=0)
    assert "no records in it" in _refusal(_options(tmp_path))


def test_boxes_beyond_the_limit_per_image_are_told(tmp_path):
    crowded = ("train_input_reader.max_number_of_boxes=1",)
    records = f"{small_records.write(tmp_path)}/train-*"
    prepared = run_config.prepare(_options(tmp_path, eval_records=records, overrides=crowded))
    (notice,) = preflight.notices(prepared.config, prepared.contents)
    beyond = prepared.contents.boxes - prepared.contents.images
    assert f"{beyond} boxes are beyond the 1 per image" in notice


def test_without_flags_the_default_records_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nothing = _refusal(TrainOptions(config=QUICKSTART))
    assert "bazel run //python:prepare" in nothing
    assert "bazel run //python:demo" in nothing
    small_records.write(tmp_path / "data" / "records")
    assert run_config.prepare(TrainOptions(config=QUICKSTART)).contents.images == 6


def test_placeholders_of_the_model_zoo_mean_the_default_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_records.write(tmp_path / "data" / "records")
    config = pipeline_config.load(QUICKSTART)
    for setter in (pipeline_config.set_train_records, pipeline_config.set_eval_records):
        setter(config, "PATH_TO_BE_CONFIGURED/train")
    pipeline_config.set_label_map(config, "PATH_TO_BE_CONFIGURED")
    pipeline_config.save(config, tmp_path / "zoo.config")
    found = run_config.prepare(TrainOptions(config=Path("zoo.config"))).config
    assert found.train_input_reader.label_map_path == "data/records/label_map.pbtxt"
    assert list(found.eval_input_reader[0].tf_record_input_reader.input_path) == [
        "data/records/val-*"
    ]


def test_several_globs_are_kept_apart_for_the_stock_tools(tmp_path):
    small_records.write(tmp_path)
    both = f"{tmp_path}/train-00000*,{tmp_path}/train-00001*"
    prepared = run_config.prepare(_options(tmp_path, train_records=both))
    reader = prepared.config.train_input_reader.tf_record_input_reader
    assert list(reader.input_path) == both.split(",")
    assert prepared.contents.images == 6


@pytest.mark.parametrize("flag", ["train_records", "eval_records"])
@pytest.mark.parametrize("globs", ["", "train-*,,val-*"], ids=["empty", "a part empty"])
def test_an_empty_glob_is_laid_to_its_flag(tmp_path, flag, globs):
    refusal = _refusal(_options(small_records.write(tmp_path), **{flag: globs}))
    assert refusal.startswith(f"--{flag}={globs}: an empty glob")


def test_evaluation_records_that_are_not_there_stop_training_before_it_begins(tmp_path):
    absent = f"{tmp_path}/vall-*"
    refusal = _refusal(_options(small_records.write(tmp_path), eval_records=absent))
    assert refusal.startswith(f"{absent}: no records match")


def test_default_evaluation_records_that_are_not_there_are_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = small_records.write(Path("data/records"))
    prepared = run_config.prepare(_options(records))
    (notice,) = preflight.notices(prepared.config, prepared.contents)
    assert notice.startswith("notice: data/records/val-*: no records match")
    (records / "val-00000-of-00001.tfrecord").touch()
    assert preflight.notices(prepared.config, prepared.contents) == []


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.config")))
def test_our_own_configs_pass_also_when_cut_to_two_steps(name):
    for steps in (None, 2):
        options = TrainOptions(config=CONFIGS / name, steps=steps)
        preflight.check_config(run_config.as_run(options), name, check_learning_rate=True)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("paulortiz_efficientdet_d1_640x640_coco17_tpu-32.config", "model.ssd"),
        ("paulortiz_faster_rcnn_resnet50_v1_640x640_coco17_tpu-8.config", "model.faster_rcnn"),
        ("udacity_nd013_ssd_resnet50_pipeline.config", "model.ssd"),
    ],
)
def test_configs_of_real_users_are_stopped_at_the_id_that_they_would_lose(name, field):
    records = street_data.folder("waymo")
    config = street_data.folder("odapi_configs") / name
    refusal = _refusal(
        TrainOptions(
            config=config,
            train_records=f"{records}/train/*.tfrecord",
            label_map=records / "label_map.pbtxt",
        )
    )
    assert "num_classes is 3, but id 4 (cyclist) is on 65 boxes" in refusal
    assert f"--set {field}.num_classes=4" in refusal
    assert ".tfrecord: record" in refusal
