"""Runs the OD API's own unit tests behind the door; what is known of them lies in two files.

`modules.tsv` has a row per test module: the suite it belongs to, how many of its tests pass, fail
and are skipped, and the processor seconds it took. `expected_failures.txt` has a line per failing
test with the reason.

The suite `models` runs in `bazel test //...` and holds what our own configs build, train, evaluate
and export with; `rest`, by hand, holds the others. So that `models` takes at most 400 processor
seconds, three kinds of modules that would belong to it are left to `rest`: core.preprocessor_test,
the feature extractors, and the backbones in models.keras_models. The models that these make are
built, and compared with the zoo's, by //python/roadmark/odapi:models_test.

    TF_ENABLE_ONEDNN_OPTS=1 PYTHONPATH=python python tests/conformance/conformance.py [MODULE ...]

runs modules (all without arguments), prints the failures and rewrites their rows.
"""

import csv
import dataclasses
import gc
import importlib
import pkgutil
import sys
import time
import unittest
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from absl import flags

from roadmark.odapi import door

PACKAGES = (
    "anchor_generators",
    "box_coders",
    "builders",
    "core",
    "data_decoders",
    "matchers",
    "meta_architectures",
    "metrics",
    "models",
    "predictors",
    "utils",
)

_HERE = Path(__file__).parent
_MODULES = _HERE / "modules.tsv"
_EXPECTED_FAILURES = _HERE / "expected_failures.txt"

_OD_API = "object_detection."

# The test methods of this class are for its subclasses, in the modules that import it.
_ABSTRACT = "object_detection.builders.model_builder_test.ModelBuilderTest"


@dataclasses.dataclass(frozen=True)
class Row:
    """What is known of a test module.

    Attributes:
        module: Its name below `object_detection`.
        suite: `models` or `rest`.
        passed: Number of tests that pass.
        failed: Number of tests that fail.
        skipped: Number of tests that skip themselves.
        seconds: Processor time that it took when the row was written.
    """

    module: str
    suite: str
    passed: int
    failed: int
    skipped: int
    seconds: float


@dataclasses.dataclass
class Outcome:
    """What running a module gave.

    Attributes:
        passed: Ids of tests, `<module>.<class>.<method>`.
        failed: Id to traceback.
        skipped: Id to reason.
    """

    passed: list[str] = dataclasses.field(default_factory=list)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)


def rows(suite: str | None = None) -> list[Row]:
    """The rows of `modules.tsv`, those of one suite or all, the longest first."""
    with _MODULES.open(newline="") as file:
        found = [_row(record) for record in csv.DictReader(file, delimiter="\t")]
    found = [row for row in found if suite in (None, row.suite)]
    return sorted(found, key=lambda row: (-row.seconds, row.module))


def expected_failures() -> dict[str, str]:
    """Test id to reason, from `expected_failures.txt`: `id  # reason` per line."""
    expected = {}
    for line in _EXPECTED_FAILURES.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        test, _, reason = line.partition("  # ")
        if not reason:
            raise ValueError(f"{_EXPECTED_FAILURES.name}: {line!r} gives no reason")
        expected[test] = reason
    return expected


def discover() -> list[str]:
    """The test modules of `PACKAGES` in the installed OD API, without `object_detection.`."""
    modules = []
    for package in PACKAGES:
        path = importlib.import_module(f"{_OD_API}{package}").__path__
        found = pkgutil.walk_packages(path, f"{_OD_API}{package}.")
        modules += [module.name.removeprefix(_OD_API) for module in found]
    return sorted(module for module in modules if module.endswith("_test"))


def run(module: str) -> Outcome:
    """Runs one test module in this process, behind the door.

    Args:
        module: Its name below `object_detection`.

    Returns:
        What became of every test; a module that cannot be imported is one failed test.
    """
    door.open()
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    outcome = collect(unittest.defaultTestLoader.loadTestsFromName(f"{_OD_API}{module}"))
    gc.collect()
    return outcome


def collect(suite: Iterable) -> Outcome:
    """Runs the tests of a suite, those of the abstract class left out."""
    result = _Result()
    unittest.TestSuite(_flatten(suite)).run(result)
    return result.outcome


def differences(row: Row, outcome: Outcome, expected: Mapping[str, str]) -> list[str]:
    """What became of a module's tests other than what is known of it.

    Args:
        row: What is known of the module.
        outcome: What running it gave.
        expected: The expected failures of all modules, as `expected_failures` gives them.

    Returns:
        A text per test that fails newly, per test that was to fail and did not, and per number
        of passed and skipped tests that is not the row's; empty if all is as known.
    """
    known = {test for test in expected if test.startswith(f"{row.module}.")}
    found = [f"{test} fails:\n{outcome.failed[test]}" for test in outcome.failed.keys() - known]
    found += [
        f"{test} passes: strike it from {_EXPECTED_FAILURES.name}"
        if test in outcome.passed
        else f"{test} is an expected failure and was not run"
        for test in known - outcome.failed.keys()
    ]
    for kind in ("passed", "skipped"):
        number = len(getattr(outcome, kind))
        if number != getattr(row, kind):
            found.append(f"{row.module}: {number} {kind}, not {getattr(row, kind)}")
    return sorted(found)


class _Result(unittest.TestResult):
    def __init__(self) -> None:
        super().__init__()
        self.outcome = Outcome()

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self.outcome.passed.append(_identity(test))

    def addFailure(self, test: unittest.TestCase, err: tuple) -> None:  # noqa: N802
        self.outcome.failed[_identity(test)] = self._exc_info_to_string(err, test)

    addError = addFailure  # noqa: N815

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self.outcome.skipped[_identity(test)] = reason

    def addSubTest(  # noqa: N802
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: tuple | None
    ) -> None:
        if err is not None:
            self.outcome.failed[_identity(test)] = self._exc_info_to_string(err, subtest)


def _flatten(suite: Iterable) -> Iterator[unittest.TestCase]:
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from _flatten(part)
        elif f"{type(part).__module__}.{type(part).__qualname__}" != _ABSTRACT:
            yield part


def _identity(test: unittest.TestCase) -> str:
    kind = type(test)
    # What stands for a class or module whose set-up fails has no method.
    method = getattr(test, "_testMethodName", test.id())
    return f"{kind.__module__.removeprefix(_OD_API)}.{kind.__qualname__}.{method}"


def _row(record: dict[str, str]) -> Row:
    kinds = {field.name: field.type for field in dataclasses.fields(Row)}
    return Row(**{name: kinds[name](value) for name, value in record.items()})


def _write(new: dict[str, Row]) -> None:
    known = {row.module: row for row in rows()} if _MODULES.exists() else {}
    with _MODULES.open("w", newline="") as file:
        names = [field.name for field in dataclasses.fields(Row)]
        writer = csv.DictWriter(file, names, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        for _, row in sorted((known | new).items()):
            writer.writerow(dataclasses.asdict(row))


def main(modules: list[str]) -> None:
    """Runs `modules`, prints their failures and rewrites their rows."""
    suites = {row.module: row.suite for row in rows()} if _MODULES.exists() else {}
    for module in modules or discover():
        begin = time.process_time()
        outcome = run(module)
        seconds = round(time.process_time() - begin, 1)
        counts = [len(kind) for kind in (outcome.passed, outcome.failed, outcome.skipped)]
        print(module, *counts, seconds, flush=True)
        for test, traceback in outcome.failed.items():
            print(f"FAILED {test}\n{traceback}", flush=True)
        _write({module: Row(module, suites.get(module, "rest"), *counts, seconds)})


if __name__ == "__main__":
    main(sys.argv[1:])
