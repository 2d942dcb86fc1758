"""Runs on the same pictures: who is better, whether that is real, where they disagree."""

import dataclasses
import json

import pytest

from roadmark.comparison import comparing, runs
from roadmark.errors import UserError
from roadmark.evaluation import records
from roadmark.odapi.label_map import LabelMap
from roadmark.testing import small_records, small_runs

LABELS = LabelMap.of(small_records.NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    small_runs.write_records(folder, 12)
    small_runs.write(folder, "good", 0.9)
    small_runs.write(folder, "bad", 0.2, batch_size=4)
    small_runs.write(folder, "half", 0.9, subset=6)
    return folder


def compare(folder, names, **options):
    given = [runs.of_folder(folder / name) for name in names]
    selection = records.select(str(folder / small_runs.RECORDS))
    return comparing.compare(given, LABELS, selection, resamples=200, **options)


@pytest.fixture(scope="module")
def compared(folder):
    return compare(folder, ["good", "bad"])[0]


def test_the_numbers_are_those_of_the_evaluation(folder, compared):
    for one in compared.results:
        found = json.loads((folder / one.run.name / "evaluation.json").read_text())
        assert one.metrics.summary["bbox"] == pytest.approx(
            {
                name: float("nan") if value is None else value
                for name, value in found["metrics"]["summary"]["bbox"].items()
            },
            abs=1e-9,
            nan_ok=True,
        )


def test_what_is_better_and_by_how_much(compared):
    assert (compared.pictures, compared.unit, compared.units) == (12, "drives", 4)
    good, bad = (one.metrics.summary["bbox"]["mAP"] for one in compared.results)
    first, _ = compared.differences
    assert first.value == pytest.approx(bad - good, abs=1e-6)
    assert first.value < -0.2
    assert first.is_real
    assert [one.path for one in compared.settings] == ["train_config.batch_size"]
    assert compared.notes == []


def test_where_they_disagree(compared):
    for one in compared.disagreements:
        good, bad = one.verdicts
        assert bad.errors != good.errors
        # Every object is found or missed.
        assert len(good.right) + len(good.missed) == len(bad.right) + len(bad.missed)
    spreads = [
        abs(a.errors - b.errors) for a, b in (one.verdicts for one in compared.disagreements)
    ]
    assert spreads == sorted(spreads, reverse=True)
    drives = [one.picture.split("/")[0] for one in compared.disagreements]
    assert len(drives) > 2
    assert max(map(drives.count, drives)) <= 2


def test_a_run_agrees_with_itself(folder):
    given = [runs.of_folder(folder / "good")] * 2
    selection = records.select(str(folder / small_runs.RECORDS))
    found, _ = comparing.compare(given, LABELS, selection, resamples=20)
    assert found.disagreements == []
    assert found.settings == []
    assert not any(one.is_real for one in found.differences)


def test_precision_is_ap50_and_f1_peaks_between_the_scores(compared):
    for one in compared.results:
        area = sum(one.precision) / len(one.precision)
        assert area == pytest.approx(one.metrics.summary["bbox"]["AP50"], abs=1e-6)
    assert max(compared.results[0].f1) > max(compared.results[1].f1)


def test_runs_on_different_data_are_compared_on_what_they_share(folder):
    found, selection = compare(folder, ["good", "half"])
    assert (found.pictures, len(selection)) == (6, 6)
    assert found.notes == [
        "the runs were evaluated on different data: of 12 pictures, good has 12, half has 6; "
        "compared on the 6 that all have"
    ]
    # The finds are drawn anew for each, so only the number of objects is the same.
    assert found.results[0].metrics.objects == found.results[1].metrics.objects


def altered(folder, name, change):
    """A run like `half` whose detections are changed."""
    run = runs.of_folder(folder / "half")
    content = json.loads(run.detections.read_text())
    change(content)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return dataclasses.replace(run, name=name, detections=path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            lambda image: image.update(width=640, height=480),
            "found a picture of 640 x 480 pixels, expected 64 x 64",
            id="of another size",
        ),
        pytest.param(
            lambda image: image.update(file_name=f"x/{image['id']}.jpg"),
            "no picture is in the records",
            id="of other pictures",
        ),
    ],
)
def test_other_data_is_refused(folder, change, says):
    other = altered(folder, "other", lambda content: list(map(change, content["images"])))
    with pytest.raises(UserError, match=says):
        comparing.compare(
            [runs.of_folder(folder / "good"), other],
            LABELS,
            records.select(str(folder / small_runs.RECORDS)),
        )


def test_no_picture_in_common_is_refused(folder):
    seen = {image["file_name"] for image in json.loads(
        (folder / "half" / "detections.json").read_text())["images"]}  # fmt: skip
    rest = [f"drive_{n // 3}/{n}.png" for n in range(12) if f"drive_{n // 3}/{n}.png" not in seen]

    def change(content):
        for image, name in zip(content["images"], rest, strict=True):
            image["file_name"] = name

    other = altered(folder, "apart", change)
    with pytest.raises(
        UserError, match="of 12, half has 6, apart has 6; evaluate them on the same"
    ):
        comparing.compare(
            [runs.of_folder(folder / "half"), other],
            LABELS,
            records.select(str(folder / small_runs.RECORDS)),
        )
