import stat

import pytest

from roadmark.doctor import software


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A PATH on which only these programs are."""
    for name, script in (
        ("clang++", "echo clang version 17.0.1; echo more"),
        ("nvcc", "echo broken >&2; exit 3"),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_tools_are_found_by_running_them(programs):
    found = {tool.name: tool.found for tool in software.tools()}
    assert found["clang++"] == "clang version 17.0.1"
    assert found["nvcc"] == str(programs / "nvcc")
    assert found["ffmpeg"] is None


def test_every_tool_says_how_to_get_it():
    for tool in software.tools():
        assert tool.feature
        assert tool.get_it
        assert "\n" not in tool.get_it


def test_versions_name_what_is_installed():
    found = software.versions()
    assert found["numpy"][0].isdigit()
    assert found["python"].startswith("3.")


def test_a_missing_package_is_called_missing(monkeypatch):
    monkeypatch.setattr(software, "_PACKAGES", (("no-such-package", "nor-this"),))
    assert software.versions()["no-such-package"] == "missing"


def test_the_lock_brings_an_h264_encoder():
    assert software.h264_encoder() == "libx264"


@pytest.mark.parametrize(
    ("script", "opens", "problem"),
    [
        ("print('[]')", True, ""),
        ("raise ImportError('no TensorFlow here')", False, "ImportError: no TensorFlow here"),
        ("import os; os.kill(os.getpid(), 4)", False, "ended with code -4"),
    ],
    ids=["opens", "import fails", "dies of an illegal instruction"],
)
def test_the_door_is_tried_in_another_process(monkeypatch, script, opens, problem):
    monkeypatch.setattr(software, "_OPEN_THE_DOOR", script)
    found = software.open_object_detection_api()
    assert (found.opens, found.problem) == (opens, problem)
