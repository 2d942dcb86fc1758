"""Ends `bazel test` with one line over all test cases, read from its build events.

Above that line: what failed, what was skipped and why. A skipped target counts as one skip, a
target that gave no results (crash, timeout, does not build) as one failure.
"""

import dataclasses
import json
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

_PASSED = ("PASSED", "FLAKY")
# Bazel's exit codes: all passed, some failed, there were none.
_RAN_TO_THE_END = (0, 3, 4)


@dataclasses.dataclass
class Summary:
    """Test cases by outcome; `failed` and `skipped` hold the lines to print."""

    passed: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)
    cached_targets: int = 0
    targets: int = 0

    def lines(self) -> list[str]:
        """The report; its last line is the summary."""
        ran = [f"{self.targets} test targets, {self.cached_targets} of them from the cache"]
        counts = f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"
        return [*sorted(self.skipped), *sorted(self.failed), *ran, counts]


def summarize(events: Iterator[dict], exit_code: int) -> Summary:
    """Counts the test cases of one `bazel test`.

    Args:
        events: Bazel's build events, as parsed JSON.
        exit_code: Bazel's own, so that a build that never came to its tests is no success.
    """
    summary = Summary()
    waiting = set()
    results = {}
    for event in events:
        identity = event["id"]
        if "configured" in event and event["configured"]["targetKind"].endswith("_test rule"):
            waiting.add(identity["targetConfigured"]["label"])
        if event.get("aborted", {}).get("reason") == "SKIPPED":
            label = identity.get("targetCompleted", {}).get("label")
            if label in waiting:
                waiting.discard(label)
                summary.skipped.append(f"SKIPPED {label}: this machine lacks what it needs")
        if "testResult" in event:
            run = identity["testResult"]
            waiting.discard(run["label"])
            # A later attempt at the same shard replaces the earlier one.
            results[run["label"], run.get("run", 0), run.get("shard", 0)] = event["testResult"]
    for (label, _, _), result in results.items():
        _count_cases(summary, label, result)
    summary.targets = len({label for label, _, _ in results})
    summary.cached_targets = len(
        {label for (label, _, _), result in results.items() if result.get("cachedLocally")}
    )
    if exit_code not in _RAN_TO_THE_END:
        missing = [f"FAILED {label}: did not run, see above" for label in waiting]
        summary.failed += missing or [f"FAILED: bazel exited with code {exit_code}, see above"]
    return summary


def _count_cases(summary: Summary, label: str, result: dict) -> None:
    failures = 0
    cases = _test_cases(result)
    for case in cases:
        name = case.get("name")
        failure = next((e for e in case if e.tag in ("failure", "error")), None)
        skip = case.find("skipped")
        if failure is not None:
            failures += 1
            summary.failed.append(f"FAILED {label} {name}: {_first_line(failure)}")
        elif skip is not None:
            summary.skipped.append(f"SKIPPED {label} {name}: {_first_line(skip)}")
        elif case.get("status") == "notrun":
            summary.skipped.append(f"SKIPPED {label} {name}: disabled")
        else:
            summary.passed += 1
    if result["status"] not in _PASSED and not failures:
        summary.failed.append(f"FAILED {label}: {result['status']}")
    elif not cases and result["status"] in _PASSED:
        summary.passed += 1


def _test_cases(result: dict) -> list[ElementTree.Element]:
    for output in result.get("testActionOutput", []):
        if output["name"] != "test.xml" or "uri" not in output:
            continue
        path = Path(urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path))
        try:
            return list(ElementTree.parse(path).iter("testcase"))
        except (OSError, ElementTree.ParseError):
            return []
    return []


def _first_line(element: ElementTree.Element) -> str:
    text = element.get("message") or (element.text or "").strip() or "no message"
    return text.splitlines()[0][:160]


def main(argv: list[str]) -> int:
    """Prints the report on the events file `argv[1]` of a run that exited with `argv[2]`."""
    with open(argv[1], encoding="utf-8") as events:
        summary = summarize((json.loads(line) for line in events), int(argv[2]))
    print("\n".join(summary.lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
