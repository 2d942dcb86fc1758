import pytest

from roadmark.benchmark import power


@pytest.fixture
def packages(tmp_path):
    files = [tmp_path / name / "energy_uj" for name in ("intel-rapl:0", "intel-rapl:1")]
    for file in files:
        file.parent.mkdir()
        file.write_text("1000000")
    (tmp_path / "intel-rapl:0:0").mkdir()
    return files


def test_energy_of_all_packages_over_the_time(packages, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(power.time, "monotonic", lambda: now[0])
    meter = power.Meter(packages[0].parents[1])
    now[0] += 2
    packages[0].write_text("61000000")
    packages[1].write_text("21000000")
    assert meter.watts() == pytest.approx(40)


def test_nobody_tells(tmp_path, packages):
    assert power.Meter(tmp_path / "nowhere").watts() is None
    meter = power.Meter(packages[0].parents[1])
    packages[0].write_text("5")  # It has begun anew.
    assert meter.watts() is None


def test_a_gpu_that_is_not_there_tells_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power.gpu_watts() is None
