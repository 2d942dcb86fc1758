import pytest

from tools.test_summary import summarize

_PASS = '<testcase name="good"/>'
_FAIL = '<testcase name="bad"><failure message="1 != 2&#10;more"/></testcase>'
_ERROR = '<testcase name="torn"><error>no fixture</error></testcase>'
_SKIP = '<testcase name="later"><skipped message="real data: waymo is absent"/></testcase>'
_DISABLED = '<testcase name="off" status="notrun"/>'


@pytest.fixture
def ran(tmp_path):
    """Makes the event of one test run, with its results file."""

    def make(label, *cases, status="PASSED", cached=False, **run):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))} results.xml"
        path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
        return {
            "id": {"testResult": {"label": label, **run}},
            "testResult": {
                "status": status,
                "cachedLocally": cached,
                "testActionOutput": [
                    {"name": "test.log"},
                    {"name": "test.xml", "uri": path.as_uri()},
                ],
            },
        }

    return make


def _configured(label):
    return {
        "id": {"targetConfigured": {"label": label}},
        "configured": {"targetKind": "py_test rule"},
    }


def _aborted(label, reason):
    return {"id": {"targetCompleted": {"label": label}}, "aborted": {"reason": reason}}


def test_cases_are_counted_over_targets(ran):
    events = [
        ran("//a", _PASS, _PASS, _SKIP),
        ran("//b", _PASS, _FAIL, _ERROR, _DISABLED, status="FAILED"),
        ran("//c", _PASS, cached=True),
    ]
    assert summarize(events, 3).lines() == [
        "SKIPPED //a later: real data: waymo is absent",
        "SKIPPED //b off: disabled",
        "FAILED //b bad: 1 != 2",
        "FAILED //b torn: no fixture",
        "3 test targets, 1 of them from the cache",
        "4 passed, 2 failed, 2 skipped",
    ]


def test_all_three_numbers_are_always_there():
    assert summarize([], 4).lines()[-1] == "0 passed, 0 failed, 0 skipped"


def test_a_later_attempt_replaces_the_earlier_one(ran):
    events = [
        ran("//flaky", _FAIL, status="FAILED", attempt=1),
        ran("//flaky", _PASS, attempt=2),
    ]
    assert summarize(events, 0).lines()[-1] == "1 passed, 0 failed, 0 skipped"


def test_every_shard_counts(ran):
    events = [ran("//sharded", _PASS, shard=1), ran("//sharded", _PASS, _PASS, shard=2)]
    assert summarize(events, 0).lines()[-1] == "3 passed, 0 failed, 0 skipped"


@pytest.mark.parametrize("status", ["TIMEOUT", "FAILED", "REMOTE_FAILURE"])
def test_a_target_without_results_is_one_failure(ran, status):
    # A crash may also come after cases that passed.
    for cases in ([], [_PASS]):
        lines = summarize([ran("//crash", *cases, status=status)], 3).lines()
        assert lines[0] == f"FAILED //crash: {status}"
        assert lines[-1] == f"{len(cases)} passed, 1 failed, 0 skipped"


def test_a_target_that_reports_no_cases_is_one_test(ran):
    assert summarize([ran("//shell")], 0).lines()[-1] == "1 passed, 0 failed, 0 skipped"


def test_targets_that_cannot_run_here_are_named():
    events = [_configured("//gpu_test"), _aborted("//gpu_test", "SKIPPED")]
    assert summarize(events, 0).lines() == [
        "SKIPPED //gpu_test: this machine lacks what it needs",
        "0 test targets, 0 of them from the cache",
        "0 passed, 0 failed, 1 skipped",
    ]


def test_skipped_libraries_are_no_skipped_tests():
    assert summarize([_aborted("//gpu_library", "SKIPPED")], 0).skipped == []


def test_targets_that_never_ran_are_failures(ran):
    events = [_configured("//broken_test"), _configured("//a"), ran("//a", _PASS)]
    assert summarize(events, 1).lines() == [
        "FAILED //broken_test: did not run, see above",
        "1 test targets, 0 of them from the cache",
        "1 passed, 1 failed, 0 skipped",
    ]


def test_targets_that_a_filter_left_out_are_not_counted(ran):
    events = [_configured("//slow_test"), _configured("//a"), ran("//a", _PASS)]
    assert summarize(events, 0).lines()[-1] == "1 passed, 0 failed, 0 skipped"


def test_a_build_that_never_came_to_its_tests_is_no_success():
    assert summarize([], 1).lines()[-1] == "0 passed, 1 failed, 0 skipped"
