#!/usr/bin/env python3.11
"""Prints a bill of materials as CycloneDX JSON: `bill_of_materials.py LOCK`.

It names every Python package of the lock file with its hashes, and every package of Debian that is
installed (https://cyclonedx.org/docs/1.6/json/).
"""

import json
import re
import subprocess
import sys
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_DEBIAN_FIELDS = "${binary:Package} ${Version} ${Architecture}\n"


def bill(lock: str, debian: str) -> dict:
    """The bill of materials.

    Args:
        lock: Content of a lock file of `uv pip compile --generate-hashes`.
        debian: A line `name version architecture` for each package of Debian.

    Returns:
        A CycloneDX document.
    """
    components = [*_of_lock(lock), *_of_debian(debian)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "roadmark"}},
        "components": components,
    }


def _of_lock(lock: str) -> list[dict]:
    components = []
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            name, version = pin.groups()
            url = f"pkg:pypi/{name.lower()}@{version}"
            components.append(_component(name, version, url) | {"hashes": []})
        for digest in _HASH.findall(line):
            components[-1]["hashes"].append({"alg": "SHA-256", "content": digest})
    return components


def _of_debian(lines: str) -> list[dict]:
    components = []
    for line in lines.splitlines():
        name, version, architecture = line.split(" ")
        name = name.split(":")[0]
        url = f"pkg:deb/debian/{name}@{version}?arch={architecture}"
        components.append(_component(name, version, url))
    return components


def _component(name: str, version: str, url: str) -> dict:
    return {"type": "library", "name": name, "version": version, "purl": url, "bom-ref": url}


def main(arguments: list[str]) -> None:
    """Prints the bill of materials of the lock file that is named, and of this machine."""
    installed = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={_DEBIAN_FIELDS}"],
        check=True,
        capture_output=True,
        text=True,
    )
    lock = Path(arguments[0]).read_text(encoding="utf-8")
    print(json.dumps(bill(lock, installed.stdout), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
