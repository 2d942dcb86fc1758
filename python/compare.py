"""Several runs side by side: how well, at what cost, what differs, and whether that is real.

    bazel run //python:compare -- runs/plain runs/augmented
    bazel run //python:compare -- runs/ssd runs/effdet --external yolo=yolo.json,ms=9,train_hours=2
    bazel run //python:compare -- --tree              classifiers' runs by what they began from

Each run needs the detections that `evaluate` wrote; metrics.csv, evaluation.json, the config and
the recipe tell the rest, a checkpoint is not needed. --external takes another framework's
detections (docs/evaluate.md says what they look like) and what is known of it: ms, bytes,
parameters, flops, train_hours.

All are evaluated anew on the records, on the pictures that every run has. It prints a table and
writes comparison.html and comparison.json. docs/compare.md tells the rest.
"""

from pathlib import Path

from absl import flags

from roadmark import app, locations
from roadmark.errors import UserError

_EXTERNAL = flags.DEFINE_multi_string(
    "external", [], "NAME=detections.json,ms=…,bytes=…,parameters=…,flops=…,train_hours=…"
)
_EVAL_RECORDS = flags.DEFINE_string(
    "eval_records", None, "Glob of TFRecords. Default: what the first run's config names."
)
_LABEL_MAP = flags.DEFINE_string("label_map", None, "Label map. Default: the first run's own.")
_GROUP_BY = flags.DEFINE_string(
    "group_by", None, "Regular expression that finds a picture's drive in its name."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the bootstrap.")
_TREE = flags.DEFINE_bool("tree", False, "Draw the tree of the classifiers' runs in a folder.")
_OUT = flags.DEFINE_string("out", str(locations.RUNS / "comparison"), "Folder for the results.")


def main(*folders: str) -> int:
    """Runs the command; see the module's text."""
    if _TREE.value:
        return _draw_tree(*folders)
    from roadmark.comparison import comparing, report, runs, table
    from roadmark.evaluation import records
    from roadmark.odapi import label_map

    given = runs.load(folders, _EXTERNAL.value)
    labels = label_map.load(_LABEL_MAP.value or runs.label_map(given))
    selection = records.select(_EVAL_RECORDS.value or runs.eval_records(given))
    comparison, compared = comparing.compare(given, labels, selection, _GROUP_BY.value, _SEED.value)
    table.print_tables(comparison)
    page, data = (Path(_OUT.value) / f"comparison.{ending}" for ending in ("html", "json"))
    report.write(comparison, compared, page)
    report.write_json(comparison, data)
    print(f"results: {page}, {data}")
    return 0


def _draw_tree(*folders: str) -> int:
    from roadmark.classification import runs

    if len(folders) > 1:
        raise UserError("--tree", f"found {len(folders)} folders, expected one", "give one")
    print(runs.render(runs.tree(*folders)), end="")
    print(f"\nto run one again: {runs.AGAIN}")
    return 0


if __name__ == "__main__":
    app.run(main, any_words=True)
