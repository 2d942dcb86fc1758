import dataclasses
from pathlib import Path

import pytest

from roadmark import manifest
from roadmark.export import tensorflow_serving

EXPORT = Path("tests/models/quickstart/export")


@pytest.mark.parametrize(("step", "version"), [(700, "700"), (0, "1")])
def test_the_layout_is_a_numbered_version_of_the_stock_model(tmp_path, step, version):
    description = dataclasses.replace(manifest.load(EXPORT), model="street", step=step)
    # A hard link needs the same disk.
    stock = tmp_path / "saved_model"
    for path in (EXPORT / "saved_model").rglob("*"):
        if path.is_file():
            target = stock / path.relative_to(EXPORT / "saved_model")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    made = tensorflow_serving.write(tmp_path / "models", stock, description)
    assert made == tmp_path / "models" / "street" / version
    found, expected = (
        {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
        for folder in (made, stock)
    )
    assert found == expected
    assert {"saved_model.pb", "variables/variables.index"} <= found
    assert (made / "saved_model.pb").samefile(stock / "saved_model.pb")
