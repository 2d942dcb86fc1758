import stat
import sys

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


def _found(name):
    return {tool.name: tool.found for tool in software.tools()}[name]


def test_tools_are_found_by_running_them(programs):
    found = {tool.name: tool.found for tool in software.tools()}
    assert found["clang++"] == "clang version 17.0.1"
    assert found["nvcc"] == str(programs / "nvcc")
    assert found["ffmpeg"] is None


def test_buildifier_from_npm_counts(programs, monkeypatch):
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(programs))
    assert _found("buildifier") is None
    program = programs / "node_modules/@bazel/buildifier/buildifier-linux_amd64"
    program.parent.mkdir(parents=True)
    program.touch()
    assert _found("buildifier") == str(program)


def test_libraries_for_cpp_tests_are_found_by_their_folders(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    libraries = [(name, "tests", str(tmp_path / name), "get it") for name in ("there", "absent")]
    monkeypatch.setattr(software, "_SYSTEM_LIBRARIES", libraries)
    assert _found("there") == str(tmp_path / "there")
    assert _found("absent") is None


def test_a_tensorrt_of_the_system_counts(programs, monkeypatch):
    monkeypatch.setattr(software, "_SYSTEM_PACKAGES", (f"{programs}/lib/*-packages",))
    monkeypatch.setattr(sys, "path", [])
    assert _found("TensorRT") is None
    package = programs / "lib" / "dist-packages" / "tensorrt-10.9.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: tensorrt\nVersion: 10.9.0\n")
    assert _found("TensorRT") == "10.9.0"


def test_native_operations_load_or_say_why_not(monkeypatch):
    assert software.native_operations_problem() == ""
    monkeypatch.setitem(sys.modules, "roadmark.ops._native", None)
    assert "_native" in software.native_operations_problem()


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
