"""Several runs side by side: how well, at what cost, what differs, and whether that is real.

    bazel run //python:compare -- runs/plain runs/augmented
    bazel run //python:compare -- runs/ssd runs/effdet --external yolo=yolo.json,ms=9,train_hours=2
    bazel run //python:compare -- runs/classify/whole runs/classify/cropped      classifiers
    bazel run //python:compare -- --tree              classifiers' runs by what they began from

A detector's run needs the detections that `evaluate` wrote; metrics.csv, evaluation.json, the
config and the recipe tell the rest, a checkpoint is not needed. --external takes another
framework's detections (docs/evaluate.md says what they look like) and what is known of it: ms,
bytes, parameters, flops, train_hours. All are evaluated anew on the records, on the pictures that
every run has. Classifiers are compared on the pictures that `classify -- evaluate` judged.

It prints a table and writes comparison.html and comparison.json. docs/compare.md tells the rest.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from roadmark import app, locations
from roadmark.errors import UserError
from roadmark.storage import path_flags

_EXTERNAL = path_flags.define_inputs(
    "external", [], "NAME=detections.json,ms=…,bytes=…,parameters=…,flops=…,train_hours=…"
)
_EVAL_RECORDS = path_flags.define_input(
    "eval_records", None, "Glob of TFRecords. Default: what the first run's config names."
)
_LABEL_MAP = path_flags.define_input("label_map", None, "Label map. Default: the first run's own.")
_GROUP_BY = flags.DEFINE_string(
    "group_by", None, "Regular expression that finds a picture's drive in its name."
)
_SPLIT = flags.DEFINE_enum(
    "split", None, ["train", "val", "test"], "Of classifiers. Default: test, else val."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the bootstrap.")
_TREE = flags.DEFINE_bool("tree", False, "Draw the tree of the classifiers' runs in a folder.")
_OUT = path_flags.define_output(
    "out", str(locations.RUNS / "comparison"), "Folder for the results."
)


def main(*folders: str) -> int:
    """Runs the command; see the module's text."""
    if _TREE.value:
        return _draw_tree(*folders)
    if _are_classifiers(folders):
        return _compare_classifiers(folders)
    from roadmark.comparison import comparing, report, runs, table
    from roadmark.evaluation import records
    from roadmark.odapi import label_map

    given = runs.load(folders, _EXTERNAL.value)
    labels = label_map.load(_LABEL_MAP.value or runs.label_map(given))
    selection = records.select(_EVAL_RECORDS.value or runs.eval_records(given))
    comparison, compared = comparing.compare(given, labels, selection, _GROUP_BY.value, _SEED.value)
    table.print_tables(comparison)
    page, data = _results()
    report.write(comparison, compared, page)
    report.write_json(comparison, data)
    print(f"results: {page}, {data}")
    return 0


def _are_classifiers(folders: Sequence[str]) -> bool:
    from roadmark.classification import runs

    which = [(Path(folder) / runs.EXPERIMENT).is_file() for folder in folders]
    if not any(which):
        return False
    other = _EXTERNAL.value or [f for f, is_one in zip(folders, which, strict=True) if not is_one]
    if other:
        found = f"{folders[which.index(True)]} is a classifier's run and {other[0]} is not"
        raise UserError("command line", found, "compare runs of one kind")
    return True


def _compare_classifiers(folders: Sequence[str]) -> int:
    from roadmark.classification import comparing, comparison_report

    comparison = comparing.compare(*comparing.load(folders, _SPLIT.value), _SEED.value)
    comparison_report.print_tables(comparison)
    page, data = _results()
    comparison_report.write(comparison, page)
    comparison_report.write_json(comparison, data)
    print(f"results: {page}, {data}")
    return 0


def _results() -> tuple[Path, Path]:
    return Path(_OUT.value) / "comparison.html", Path(_OUT.value) / "comparison.json"


def _draw_tree(*folders: str) -> int:
    from roadmark.classification import runs

    if len(folders) > 1:
        raise UserError("--tree", f"found {len(folders)} folders, expected one", "give one")
    print(runs.render(runs.tree(*folders)), end="")
    print(f"\nto run one again: {runs.AGAIN}")
    return 0


if __name__ == "__main__":
    app.run(main, any_words=True)
