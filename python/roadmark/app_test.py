"""Runs small apps in a process of their own, as `bazel run` does."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

_PRELUDE = "from roadmark import app\nfrom roadmark.errors import UserError\n"


def _start(body, *args, env=None, cwd=None):
    code = _PRELUDE + textwrap.dedent(body)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | (env or {})
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        env=environment,
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("body", "args", "code", "error"),
    [
        # The happy path: no code means 0.
        ("app.run(lambda: None)", (), 0, ""),
        ("app.run(lambda: 3)", (), 3, ""),
        ("app.run(lambda: 3)", ("--help",), 0, ""),
        # What libraries log for their own developers is not shown.
        (
            """
            from absl import logging
            app.run(lambda: logging.info("of no\\ninterest"))
            """,
            (),
            0,
            "",
        ),
        # A user's mistake is one line and no traceback.
        (
            """
            def main():
                raise UserError("a.config", "found 3,\\n expected 4", "change it")
            app.run(main)
            """,
            (),
            2,
            "error: a.config: found 3, expected 4; change it\n",
        ),
        # The user's disk is the user's to mend.
        (
            """
            def main():
                raise OSError(28, "No space left on device", "runs/x")
            app.run(main)
            """,
            (),
            2,
            "error: runs/x: No space left on device; free some space",
        ),
        (
            "import os\napp.run(lambda: os.makedirs(os.devnull))",
            (),
            2,
            "error: /dev/null: File exists; choose another name",
        ),
        (
            "import os\napp.run(lambda: os.makedirs(os.devnull + '/x'))",
            (),
            2,
            "error: /dev/null/x: Not a directory; choose another name",
        ),
        ("app.run(lambda: open('/', 'w'))", (), 2, "error: /: Is a directory; choose another name"),
        (
            "import os\napp.run(lambda: os.mkdir('x' * 300))",
            (),
            2,
            f"error: {'x' * 300}: File name too long; choose a shorter name",
        ),
        ("app.run(lambda: None)", ("--no_such_flag=1",), 2, "error: command line: "),
        ("app.run(lambda: None)", ("stray",), 2, "error: command line: found 'stray'"),
        (
            """
            def main():
                raise KeyboardInterrupt
            app.run(main)
            """,
            (),
            130,
            "stopped by Ctrl-C\n",
        ),
    ],
)
def test_exit_codes(body, args, code, error):
    process = _start(body, *args)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stderr.startswith(error)
    assert stderr.count("\n") <= 1


def test_our_own_bugs_show_their_traceback():
    process = _start("app.run(lambda: 1 / 0)")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ZeroDivisionError" in stderr


@pytest.mark.parametrize(
    ("last", "code"),
    [("return 3", 3), ("1 / 0", 1), ("raise UserError('a', 'b', 'c')", 2), ("return 0", 0)],
)
def test_what_holds_up_the_interpreters_end_does_not_hold_up_ours(last, code):
    """As TensorFlow's input pipelines do, which wait for threads that have been ended."""
    body = f"""
    import time
    class Stuck:
        def __del__(self):
            time.sleep(600)
    stuck = Stuck()
    def main():
        import atexit
        atexit.register(print, "exit handlers run")
        {last}
    app.run(main)
    """
    process = _start(body)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert stdout == "exit handlers run\n"


def test_relative_paths_are_the_users(tmp_path):
    body = "import os\napp.run(lambda: print(os.getcwd()))"
    process = _start(body, env={"BUILD_WORKING_DIRECTORY": str(tmp_path)})
    stdout, _ = process.communicate(timeout=60)
    assert stdout.strip() == os.path.realpath(tmp_path)


def test_sigterm_unwinds_and_exits_with_143():
    body = """
    import time
    def main():
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            print("cleaned up", flush=True)
    app.run(main)
    """
    process = _start(body)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate(timeout=60)
    assert stdout == "cleaned up\n"
    assert process.returncode == 143


# Few lines are written when the process ends, many while it runs.
@pytest.mark.parametrize("lines", [10, 100_000])
def test_a_reader_that_leaves_is_no_error(lines):
    body = f"""
    import time
    def main():
        print("first", flush=True)
        time.sleep(0.5)
        for _ in range({lines}):
            print("x" * 100)
    app.run(main)
    """
    process = _start(body)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141
