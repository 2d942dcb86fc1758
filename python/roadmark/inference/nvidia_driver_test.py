from pathlib import Path

import pytest

from roadmark.inference import nvidia_driver


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "file too short", id="empty"),
        pytest.param(b"text " * 1000, "invalid ELF header", id="no library"),
    ],
)
def test_a_driver_that_cannot_be_loaded_is_one_line(tmp_path, monkeypatch, content, says):
    (tmp_path / "libcuda.so.1").write_bytes(content)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    missing = nvidia_driver.what_is_missing()
    assert missing.startswith("no NVIDIA driver (")
    assert says in missing
    assert "\n" not in missing


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA driver")
def test_no_driver_is_said():
    assert "NVIDIA driver" in nvidia_driver.what_is_missing()
