"""Training: what is refused before Keras is there, phases, resuming, weights of other runs."""

import dataclasses
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from roadmark.classification import class_set, runs, training
from roadmark.classification.training import Options
from roadmark.errors import UserError
from roadmark.manifest import sha256
from roadmark.testing import small_class_sets
from roadmark.training import metrics

_TWO_PHASES = (
    "[{name: head, freeze: backbone, epochs: 1, learning_rate: 0.01}, "
    "{name: all, epochs: 3, learning_rate: 0.003}]"
)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return small_class_sets.write(tmp_path_factory.mktemp("set") / "cars")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, classes):
    """A whole run of two phases."""
    root = tmp_path_factory.mktemp("run")
    path = small_class_sets.write_config(root / "c.yml", classes, phases=_TWO_PHASES)
    training.train(Options(path, root / "parent"))
    return root


def _config(tmp_path, folder, **changes):
    return small_class_sets.write_config(tmp_path / "c.yml", folder, **changes)


def _refused(config, folder, **more) -> str:
    with pytest.raises(UserError) as error:
        training.train(Options(config, folder, **more))
    return str(error.value)


def test_a_wrong_number_of_classes_is_named(tmp_path, classes):
    said = _refused(_config(tmp_path, classes, classes="196"), tmp_path / "run")
    assert "model.classes: found 196 classes, but the set in" in said
    assert said.endswith("has 2; write classes: 2, or prepare the other set")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("spoil", ["altered", "missing"])
def test_a_picture_that_is_not_as_prepared_is_named(tmp_path, spoil):
    folder = small_class_sets.write(tmp_path / "cars")
    path = folder / class_set.load(folder).entries[3].path
    path.unlink()
    if spoil == "altered":
        path.write_bytes(b"\x89PNG cut short")
    said = _refused(_config(tmp_path, folder), tmp_path / "run")
    assert str(path) in said
    assert "prepare" in said


def test_a_set_without_validation_pictures_is_refused(tmp_path):
    folder = small_class_sets.write(tmp_path / "cars")
    found = class_set.load(folder)
    class_set.write(folder, found.classes, [e for e in found.entries if e.split != "val"], {})
    said = _refused(_config(tmp_path, folder), tmp_path / "run")
    assert "no pictures of the split val, found train, test" in said


def test_weights_that_are_not_there_are_named(tmp_path, classes):
    said = _refused(_config(tmp_path, classes, weights="runs/none"), tmp_path / "run")
    assert "model.weights: runs/none: no such run or file" in said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 5}, "another seed: 0, found 5"),
        ({"weights": "imagenet"}, "another weights: none, found imagenet"),
    ],
)
def test_a_run_goes_on_only_as_it_began(trained, change, says):
    assert says in _refused(trained / "c.yml", trained / "parent", **change)


def test_a_run_is_repeated_with_all_that_it_began_with(tmp_path):
    folder = small_class_sets.write(tmp_path / "cars")
    run = runs.Experiment(
        tmp_path / "run", None, "runs/x", "c", class_set.load(folder).data_version, str(folder),
        ("make 0", "make 1"), 7, {}, {},
    )  # fmt: skip
    run.folder.mkdir()
    run.save()
    options = training.again(run.folder, tmp_path / "new")
    assert options == Options(
        run.folder / runs.CONFIG, tmp_path / "new", False, 7, str(folder), "runs/x"
    )
    with pytest.raises(UserError, match="the run itself"):
        training.again(run.folder, run.folder)
    begun = tmp_path / "x.weights.h5"
    begun.write_bytes(b"now others")
    other = dataclasses.replace(run, weights=str(begun), weights_sha256="of the others")
    other.save()
    with pytest.raises(UserError, match="holds other weights than those that run began from"):
        training.again(run.folder, tmp_path / "new")
    small_class_sets.write(folder, classes=3)
    with pytest.raises(UserError, match=r"found data version .* was trained on"):
        training.again(run.folder, tmp_path / "new")


def test_importing_it_and_failing_needs_no_keras():
    code = (
        "import sys; from roadmark.classification import training, cropping, runs; "
        "sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_phases_train_and_are_recorded(trained):
    folder = trained / "parent"
    rows = metrics.read(folder / runs.METRICS)
    assert [row["phase"] for row in rows] == ["1", "2", "2", "2"]
    assert [row["learning_rate"] for row in rows] == ["0.01", "0.003", "0.003", "0.003"]
    found = runs.load(folder)
    assert found.result["epochs"] == 4
    assert found.result["val_accuracy"] == 1.0
    assert found.data_version == class_set.load(found.class_set).data_version
    assert found.parent is None
    assert list((folder / runs.TENSORBOARD).iterdir())
    assert json.loads((folder / runs.LAST / runs.STATE).read_text())["phase"] == 2


def test_a_frozen_backbone_stays_as_it_was(tmp_path, classes):
    from roadmark.classification import config, network

    path = _config(tmp_path, classes, phases="[{freeze: backbone, epochs: 2}]")
    training.train(Options(path, tmp_path / "run"))
    network.keras.utils.set_random_seed(0)
    began = network.build(config.load(path), None)
    ended = network.build(config.load(path), None)
    network.load_weights(ended, tmp_path / "run" / "last" / runs.WEIGHTS_FILE, "")
    before, after = (m.get_layer(network.BACKBONE).get_weights() for m in (began, ended))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert (began.layers[-2].get_weights()[0] != ended.layers[-2].get_weights()[0]).any()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_goes_on_after_its_last_whole_epoch(
    tmp_path, trained, classes, monkeypatch, number
):
    from roadmark.classification import session

    path = _config(tmp_path, classes, phases=_TWO_PHASES)
    steps = []
    advance = session._Steps.on_train_batch_end

    def stop_at_the_sixth(self, batch, logs=None):
        steps.append(batch)
        if len(steps) == 6:
            signal.raise_signal(number)
        advance(self, batch, logs)

    monkeypatch.setattr(session._Steps, "on_train_batch_end", stop_at_the_sixth)
    stopped = training.train(Options(path, tmp_path / "run"))
    assert stopped.exit_code == 128 + number
    # Two steps an epoch: the sixth is the last of the third epoch, which is not evaluated.
    assert stopped.epochs == 2
    assert len(metrics.read(tmp_path / "run" / runs.METRICS)) == 2
    ended = training.train(Options(path, tmp_path / "run"))
    assert (ended.exit_code, ended.epochs) == (0, 4)
    one, two = (metrics.read(f / runs.METRICS) for f in (tmp_path / "run", trained / "parent"))
    for row, expected in zip(one, two, strict=True):
        assert float(row["val_loss"]) == pytest.approx(float(expected["val_loss"]), rel=0.02)
    again = training.train(Options(path, tmp_path / "run"))
    assert again.epochs == 4


def test_a_run_begins_from_another(tmp_path, trained, classes, capsys):
    path = _config(tmp_path, classes, weights=str(trained / "parent"), phases="[{epochs: 1}]")
    training.train(Options(path, tmp_path / "child"))
    assert "weights: all weights of" in capsys.readouterr().out
    child = runs.load(tmp_path / "child")
    assert child.parent == str(trained / "parent")
    assert child.weights_sha256 == sha256(trained / "parent" / runs.BEST / runs.WEIGHTS_FILE)
    assert child.result["val_accuracy"] == 1.0


def test_a_run_from_a_file_of_weights_has_a_parent_and_can_be_repeated(tmp_path, trained, classes):
    weights = trained / "parent" / runs.BEST / runs.WEIGHTS_FILE
    path = _config(tmp_path, classes, weights=str(weights), phases="[{epochs: 1}]")
    training.train(Options(path, tmp_path / "child"))
    training.train(training.again(tmp_path / "child", tmp_path / "twin"))
    child, twin = (runs.load(tmp_path / name) for name in ("child", "twin"))
    assert child.parent == twin.parent == str(trained / "parent")
    assert child.weights_sha256 == twin.weights_sha256 == sha256(weights)
    assert child.config_sha256 == twin.config_sha256
    assert twin.result["val_loss"] == pytest.approx(child.result["val_loss"], rel=0.02)


def test_of_a_run_for_other_classes_the_backbone_is_taken(tmp_path, trained, capsys):
    folder = small_class_sets.write(tmp_path / "cars", classes=3)
    path = _config(
        tmp_path, folder, weights=str(trained / "parent"), classes="3", phases="[{epochs: 1}]"
    )
    training.train(Options(path, tmp_path / "child"))
    assert "the backbone, as the classes differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "backbone", "says"),
    [
        (b"no weights at all", "small_cnn", "does not hold weights of this network"),
        (None, "mobilenet_v2", "is a small_cnn, expected a mobilenet_v2"),
    ],
)
def test_wrong_weights_are_refused(tmp_path, trained, classes, content, backbone, says):
    weights = trained / "parent"
    if content is not None:
        weights = tmp_path / "x.weights.h5"
        weights.write_bytes(content)
    path = _config(tmp_path, classes, weights=str(weights), backbone=backbone)
    assert says in _refused(path, tmp_path / "run")


def test_imagenet_weights_that_cannot_be_had_say_what_to_do(tmp_path, classes, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    path = _config(tmp_path, classes, weights="imagenet", backbone="mobilenet_v2")
    said = _refused(path, tmp_path / "run")
    assert "imagenet cannot be downloaded" in said
    assert "weights: none" in said
    assert not (tmp_path / "run").exists()


def test_everything_else_of_the_config_trains(tmp_path, classes):
    more = ", label_smoothing: 0.1, class_weights: balanced, mixed_precision: true, optimizer: sgd"
    path = _config(tmp_path, classes, more=more, phases="[{epochs: 1, learning_rate: 0.01}]")
    # The accuracy is measured whether it is asked for or not.
    path.write_text(path.read_text().replace("[accuracy, top_5_accuracy]", "[top_5_accuracy]"))
    assert training.train(Options(path, tmp_path / "run")).epochs == 1
    (row,) = metrics.read(tmp_path / "run" / runs.METRICS)
    assert float(row["val_top_5_accuracy"]) == 1.0, "of two classes"
    assert 0 <= float(row["val_accuracy"]) <= 1


def test_early_stopping_ends_a_phase(tmp_path, classes):
    path = _config(tmp_path, classes, phases="[{epochs: 30, learning_rate: 1.0e-9}, {epochs: 1}]")
    path.write_text(
        path.read_text() + "fit: {early_stopping: {monitor: val_accuracy, patience: 2}}\n"
    )
    result = training.train(Options(path, tmp_path / "run"))
    assert result.epochs < 30
    rows = metrics.read(tmp_path / "run" / runs.METRICS)
    assert rows[-1]["phase"] == "2"


def test_a_loss_that_is_no_number_stops_the_run():
    with pytest.raises(UserError, match="lower the learning rate"):
        training.require_finite({"loss": float("nan"), "val_loss": 1.0}, 3)


def test_class_weights_are_inverse_to_shares(tmp_path):
    folder = small_class_sets.write(tmp_path / "cars")
    found = class_set.load(folder)
    kept = [e for e in found.entries if e.class_id == 0 or e.split != "train" or "1.png" in e.path]
    class_set.write(folder, found.classes, kept, {})
    weights = training.class_weights(class_set.load(folder))
    counts = [sum(e.class_id == c and e.split == "train" for e in kept) for c in (0, 1)]
    assert counts[0] * weights[0] == pytest.approx(counts[1] * weights[1])
