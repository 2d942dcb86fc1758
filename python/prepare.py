"""Turns a data set into records that `train` and `evaluate` read.

  bazel run //python:prepare -- --input=FOLDER                        what is in FOLDER is found out
  bazel run //python:prepare -- --from=coco --input=instances.json --images=pictures
  bazel run //python:prepare -- --from=tfrecord --input='old/*.record' --label_map=old/map.pbtxt
  bazel run //python:prepare -- --from=synthetic --num_images=2000    renders street scenes
  bazel run //python:prepare -- --check                               examines records that exist
  bazel run //python:prepare -- --from=stanford_cars --input=FOLDER   pictures with a class each

Formats: coco, voc, yolo, kitti, openimages, roboflow_csv, tfrecord (records in the Object
Detection API's layout), synthetic, and datumaro for all that Datumaro reads (name the format with
--datumaro_format=). For //python:classify: stanford_cars, class_folders (a folder per class),
class_csv and synthetic_cars, written as a class set to data/cars (docs/classify.md).
It writes train-* and val-* shards, label_map.pbtxt, dataset_card.json and
.txt, samples.jpg (look at it) and findings.csv to data/records, or to --out.

Everything is checked: pictures are decoded whole, boxes must lie in them. What is wrong is fixed
or dropped under a named rule, counted, shown and listed in findings.csv; --strict refuses it.
Existing train and valid folders are kept; else a fifth is drawn for validation, whole drives or
other groups at a time. Class ids become 1 to n unless --label_map gives them.
See docs/prepare.md; --cluster=auto has the machines of a Ray cluster judge the pictures
(docs/cluster.md).
"""

import dataclasses
from pathlib import Path

from absl import flags

from roadmark import app, locations
from roadmark.classification import class_preparation, class_sources
from roadmark.cluster import flags as cluster_flags
from roadmark.data import checking, preparation
from roadmark.data.formats import registry
from roadmark.data.formats.request import Request
from roadmark.data.judging_parts import ClusterJudge
from roadmark.errors import UserError
from roadmark.odapi import label_map
from roadmark.storage import path_flags

_FORMATS = [registry.AUTO, *registry.FORMATS, *class_sources.FORMATS]
flags.DEFINE_enum("from", registry.AUTO, _FORMATS, "Format of the set.")
_INPUT = path_flags.define_input("input", "", "Folder with the data set; a file or glob for some.")
_IMAGES = path_flags.define_input(
    "images", None, "Folder with the pictures where that is elsewhere."
)
_OUT = path_flags.define_output(
    "out",
    None,
    f"Folder to write; {locations.RECORDS}, or {locations.CLASS_SET} for classes.",
    replaces=True,
)
_LABEL_MAP = path_flags.define_input(
    "label_map", None, "Label map (.pbtxt) to use: its ids stay, other classes are dropped."
)
_VAL_FRACTION = flags.DEFINE_float(
    "val_fraction", 0.2, "Share to validate on where the set is not divided yet."
)
_TEST_FRACTION = flags.DEFINE_float(
    "test_fraction", 0.0, "For classes: share to test on where the set has no part for that.", 0, 1
)
_GROUP_BY = flags.DEFINE_string(
    "group_by", None, "Regular expression: pictures whose names agree in it stay in one split."
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of the division, the order, and the scenes.", lower_bound=0
)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 1000, "Scenes to render for --from=synthetic.")
_DATUMARO_FORMAT = flags.DEFINE_string("datumaro_format", "", "Datumaro's name of the format.")
_STRICT = flags.DEFINE_bool("strict", False, "Refuse a set with faults (exit code 2).")
_CHECK = flags.DEFINE_bool("check", False, "Examine --records and write nothing.")
_RECORDS = path_flags.define_input(
    "records", f"{locations.RECORDS}/*.tfrecord", "Glob of the records that --check examines."
)
_NUM_CLASSES = flags.DEFINE_integer(
    "num_classes", None, "num_classes of the pipeline config, for --check."
)
_CLUSTER = cluster_flags.define("parts of the pictures")


def main() -> int:
    """Prepares or checks, and prints the outcome."""
    if _CHECK.value:
        return _check()
    if flags.FLAGS["from"].value in class_sources.FORMATS:
        if _CLUSTER.value:
            raise UserError("--cluster", "found a set of classes", "leave it out: one machine does")
        return _prepare_classes(Path(_OUT.value or locations.CLASS_SET))
    request = Request(
        input=_INPUT.value,
        label_map=label_map.load(_LABEL_MAP.value) if _LABEL_MAP.value else None,
        images=Path(_IMAGES.value) if _IMAGES.value else None,
        num_images=_NUM_IMAGES.value,
        seed=_SEED.value,
        datumaro_format=_DATUMARO_FORMAT.value,
    )
    options = preparation.Options(
        request=request,
        format=flags.FLAGS["from"].value,
        out=Path(_OUT.value or locations.RECORDS),
        val_fraction=_VAL_FRACTION.value,
        seed=_SEED.value,
        origin=path_flags.as_given(_INPUT),
        group_by=_GROUP_BY.value,
        strict=_STRICT.value,
    )
    if _CLUSTER.value:
        kept = options.out.absolute().with_name(f".{options.out.name}.parts")
        given = tuple(path_flags.as_given(flag) or "" for flag in (_INPUT, _IMAGES))
        judge = ClusterJudge(cluster_flags.choice(), kept, given)
        prepared = preparation.prepare(dataclasses.replace(options, judge=judge))
        judge.end()
    else:
        prepared = preparation.prepare(options)
    print(prepared.text, end="")
    print(f"\nwrote {prepared.out}; look at {prepared.out / 'samples.jpg'}")
    return 0


def _prepare_classes(out: Path) -> int:
    options = class_preparation.Options(
        format=flags.FLAGS["from"].value,
        input=_INPUT.value,
        origin=path_flags.as_given(_INPUT),
        out=out,
        val_fraction=_VAL_FRACTION.value,
        test_fraction=_TEST_FRACTION.value,
        seed=_SEED.value,
        num_images=_NUM_IMAGES.value,
        strict=_STRICT.value,
    )
    print(class_preparation.prepare(options), end="")
    print(f"\nwrote {out}")
    return 0


def _check() -> int:
    if _INPUT.value:
        raise UserError(
            "--input", "--check examines --records", "name them with --records='FOLDER/*.tfrecord'"
        )
    checked = checking.check(_RECORDS.value, _LABEL_MAP.value, _NUM_CLASSES.value)
    print(checked.text, end="")
    return app.EXIT_USER_ERROR if checked.is_bad(_STRICT.value) else 0


if __name__ == "__main__":
    app.run(main)
