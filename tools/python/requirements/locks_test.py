"""The lock files fit together, fit what asks for them, and name no machine."""

import re
from pathlib import Path

import pytest

_FOLDER = Path("tools/python/requirements")
_LOCKS = ("uv", "cpu", "cuda", "peers")
_PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z,-]+\])?==(\S+)", re.MULTILINE)
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)", re.MULTILINE)


def _pins(text):
    return dict(_PIN.findall(text))


def _disagreements(locks):
    """Packages that two locks pin to different versions, as {package: {lock: version}}."""
    versions = {}
    for lock, pins in locks.items():
        for package, version in pins.items():
            versions.setdefault(package, {})[lock] = version
    return {package: found for package, found in versions.items() if len(set(found.values())) > 1}


def _read(name):
    return (_FOLDER / name).read_text()


def test_locks_agree_on_what_they_share():
    locks = {name: _pins(_read(f"{name}.lock")) for name in _LOCKS}
    assert {"numpy", "pillow"} <= locks["cpu"].keys() & locks["cuda"].keys() & locks["peers"].keys()
    assert _disagreements(locks) == {}


def test_a_disagreement_is_seen():
    locks = {"cpu": {"numpy": "2.4.6", "av": "1"}, "peers": {"numpy": "2.4.5"}}
    assert _disagreements(locks) == {"numpy": {"cpu": "2.4.6", "peers": "2.4.5"}}


@pytest.mark.parametrize("name", _LOCKS)
def test_everything_asked_for_is_locked(name):
    asked = {line.lower() for line in _REQUIREMENT.findall(_read(f"{name}.in"))}
    if "-r base.in" in _read(f"{name}.in"):
        asked |= {line.lower() for line in _REQUIREMENT.findall(_read("base.in"))}
    asked = {package for package in asked if not package.startswith("-")}
    assert asked
    assert not asked - _pins(_read(f"{name}.lock")).keys()


@pytest.mark.parametrize("name", _LOCKS)
def test_every_pin_has_a_hash(name):
    entries = re.split(r"\n(?=[a-z0-9])", _read(f"{name}.lock"))
    pinned = [entry for entry in entries if _PIN.match(entry)]
    assert len(pinned) == len(_pins(_read(f"{name}.lock")))
    assert not [entry for entry in pinned if "--hash=sha256:" not in entry]


@pytest.mark.parametrize("name", _LOCKS)
def test_locks_name_no_index_and_no_folder(name):
    assert not re.findall(r"://|--find-links|--index|file:", _read(f"{name}.lock"))


@pytest.mark.parametrize("name", _LOCKS)
def test_nothing_reports_what_it_is_used_for(name):
    assert "openvino-telemetry" not in _pins(_read(f"{name}.lock"))
