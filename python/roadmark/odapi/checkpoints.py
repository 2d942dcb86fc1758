"""Checkpoints of a run: written whole, found again, restored with an account of what fitted.

A run keeps them in `checkpoints/ckpt-<step>.{index,data-*}`, with TensorFlow's own `checkpoint`
file naming the newest, so that the stock OD API tools read the folder too. The index is moved into
place last: a checkpoint without one is incomplete and does not count. `ckpt-<step>.sha256` holds
the checksums of both, as `sha256sum --check` reads them.

Importing this module needs no TensorFlow; what restores or saves imports it.
"""

import dataclasses
import hashlib
import os
import re
import shutil
from collections import Counter
from concurrent import futures
from pathlib import Path
from typing import Any

from roadmark import atomic
from roadmark.errors import UserError

_INDEX = re.compile(r"ckpt-(\d+)\.index")
_STEP = re.compile(r"-(\d+)$")
_TEMPORARY = ".writing"
_SUMS = ".sha256"
_CLASSIFICATION = "classification"
# Below this share of its variables, what was restored is chance likeness and not the same model.
_LEAST_SHARE = 0.5


def folder(run: str | Path) -> Path:
    """Where a run keeps its checkpoints."""
    return Path(run) / "checkpoints"


def complete(run: str | Path) -> list[Path]:
    """The complete checkpoints of a run, as prefixes such as `.../ckpt-200`, oldest first."""
    found = []
    for path in folder(run).glob("ckpt-*.index"):
        prefix = path.with_suffix("")
        if _INDEX.fullmatch(path.name) and any(path.parent.glob(f"{prefix.name}.data-*")):
            found.append(prefix)
    return sorted(found, key=step_of)


def latest(run: str | Path) -> Path | None:
    """The newest complete checkpoint of a run, or None."""
    found = complete(run)
    return found[-1] if found else None


def newest_intact(run: str | Path) -> tuple[Path | None, list[str]]:
    """The newest complete checkpoint whose files are as they were written.

    One without checksums, from elsewhere, is taken as it is.

    Returns:
        Its prefix, or None when there is no checkpoint; and a line for each damaged one that was
        passed over.

    Raises:
        UserError: There are checkpoints, and all are damaged.
    """
    passed_over = []
    for prefix in reversed(complete(run)):
        damaged = damaged_file(prefix)
        if damaged is None:
            return prefix, passed_over
        passed_over.append(f"{damaged}: not as it was written; this checkpoint is passed over")
    if passed_over:
        raise UserError(
            folder(run),
            f"all of its {len(passed_over)} checkpoints are damaged",
            "put whole copies there, or begin anew with --restart",
        )
    return None, []


def damaged_file(prefix: Path) -> Path | None:
    """A file of a checkpoint that does not have its checksum, if there is one."""
    sums = Path(f"{prefix}{_SUMS}")
    if not sums.exists():
        return None
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        expected, _, name = line.partition("  ")
        path = prefix.parent / name
        if not path.is_file() or _sha256(path) != expected:
            return path
    return None


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def step_of(prefix: Path) -> int:
    """The training step after which a checkpoint was written."""
    return int(_STEP.search(prefix.name)[1])


def has_step(prefix: Path) -> bool:
    """Whether a checkpoint's name ends with its step, as every name that is saved here does."""
    return _STEP.search(prefix.name) is not None


def resolve(path: str | Path) -> Path:
    """The prefix of the checkpoint that a user means.

    Args:
        path: A run folder, a folder of checkpoints, a prefix, or a checkpoint's index file.

    Raises:
        UserError: There is no checkpoint.
    """
    path = Path(path)
    if path.is_dir():
        return _newest_in(path)
    prefix = path.with_suffix("") if path.suffix == ".index" else path
    if Path(f"{prefix}.index").is_file():
        return prefix
    raise UserError(
        path,
        "no such checkpoint",
        "name a run folder, a folder of checkpoints, or a prefix such as .../ckpt-0 "
        "(the part before .index)",
    )


def _newest_in(path: Path) -> Path:
    newest = latest(path)
    if newest is not None:
        return newest
    indices = [index for index in path.glob("ckpt-*.index") if _INDEX.fullmatch(index.name)]
    prefixes = [index.with_suffix("") for index in indices]
    if not prefixes:
        raise UserError(path, "no checkpoint in this folder", "train one: bazel run //python:train")
    return max(prefixes, key=step_of)


def save(checkpoint: Any, run: str | Path, step: int, keep: int) -> Path:
    """Writes a checkpoint, then removes the oldest ones; see `Writer`."""
    writer = Writer(checkpoint, run, keep)
    prefix = writer.save(step)
    writer.wait()
    return prefix


class Writer:
    """Writes the checkpoints of a run, what waits for the disk beside the steps that follow.

    A call takes the values as they are, into files that the operating system still holds in memory.
    Their checksums, bringing them to the disk, and the move to their place are left to a thread.

    Args:
        checkpoint: A `tf.train.Checkpoint`.
        run: The run folder.
        keep: How many to keep.
    """

    def __init__(self, checkpoint: Any, run: str | Path, keep: int):
        self._checkpoint, self._run, self._keep = checkpoint, run, keep
        # One thread, which an interpreter that ends waits for.
        self._thread = futures.ThreadPoolExecutor(1)
        self._under_way: futures.Future | None = None

    def save(self, step: int) -> Path:
        """Begins a checkpoint, once the one before is whole.

        Args:
            step: Training steps done; becomes part of the name.

        Returns:
            The prefix that the checkpoint will have; `wait` says when.

        Raises:
            UserError: The disk is full or the folder cannot be written to; for this checkpoint or
                the one before.
        """
        import tensorflow as tf

        self.wait()
        target = folder(self._run)
        temporary = target / _TEMPORARY
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            self._checkpoint.save_counter.assign(step - 1)
            written = Path(self._checkpoint.save(str(temporary / "ckpt")))
        except tf.errors.UnavailableError:
            # No matter of the disk: another worker is gone.
            raise
        except tf.errors.OpError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise _unwritten(target, step, error.message) from None
        self._under_way = self._thread.submit(self._finish, written, step)
        return target / written.name

    def check(self) -> None:
        """Raises what `wait` would, if it is known already; waits for nothing."""
        if self._under_way is not None and self._under_way.done():
            self.wait()

    def wait(self) -> None:
        """Waits until the last checkpoint is whole and in its place.

        Raises:
            UserError: The disk is full or the folder cannot be written to.
        """
        if self._under_way is None:
            return
        under_way, self._under_way = self._under_way, None
        under_way.result()

    def _finish(self, written: Path, step: int) -> None:
        target = folder(self._run)
        try:
            _publish(written, target)
        except OSError as error:
            raise _unwritten(target, step, error.strerror or str(error)) from None
        finally:
            shutil.rmtree(written.parent, ignore_errors=True)
        prune(self._run, self._keep)
        _write_state(self._run)


def _unwritten(target: Path, step: int, reason: str) -> UserError:
    return UserError(
        target,
        f"the checkpoint of step {step} could not be written: {reason}",
        "free some space or choose another --model_dir, then repeat the command",
    )


def _publish(written: Path, target: Path) -> None:
    files = sorted(written.parent.glob(f"{written.name}.*"), key=lambda p: p.suffix == ".index")
    sums = Path(f"{written}{_SUMS}")
    sums.write_text("".join(f"{_sha256(path)}  {path.name}\n" for path in files))
    for path in (sums, *files):
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(path, target / path.name)


def prune(run: str | Path, keep: int) -> None:
    """Removes all but the newest `keep` checkpoints."""
    for prefix in complete(run)[:-keep]:
        remove(prefix)


def remove(prefix: Path) -> None:
    """Removes one checkpoint, its index first."""
    Path(f"{prefix}.index").unlink(missing_ok=True)
    for path in prefix.parent.glob(f"{prefix.name}.data-*"):
        path.unlink(missing_ok=True)
    Path(f"{prefix}{_SUMS}").unlink(missing_ok=True)


def _write_state(run: str | Path) -> None:
    # TensorFlow's own text file; relative names, so that the folder can be moved.
    names = [prefix.name for prefix in complete(run)]
    lines = [f'model_checkpoint_path: "{names[-1]}"']
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
    atomic.write_text(folder(run) / "checkpoint", "\n".join(lines) + "\n")


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a checkpoint gave to a model.

    Attributes:
        prefix: The checkpoint.
        matched: Names of the variables that took its values.
        missing: Names of the variables that it does not have.
        mismatched: Name to a pair of shapes, in the checkpoint and in the model.
    """

    prefix: Path
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @property
    def total(self) -> int:
        """The number of variables that were asked for."""
        return len(self.matched) + len(self.missing) + len(self.mismatched)

    def lines(self) -> list[str]:
        """The account for the user: one line, and one for each group that kept its values."""
        lines = [f"{self.prefix}: restored {len(self.matched)} of {self.total} variables"]
        for group, count in _groups(self.missing):
            lines.append(f"  not in the checkpoint: {group} ({count} variables)")
        shapes = {name: f"{old} there, {new} here" for name, (old, new) in self.mismatched.items()}
        for group, count in _groups(self.mismatched):
            first = next(shapes[name] for name in self.mismatched if _group(name) == group)
            lines.append(f"  another shape: {group} ({count} variables, such as {first})")
        return lines


def _groups(names: Any) -> list[tuple[str, int]]:
    return sorted(Counter(_group(name) for name in names).items())


def _group(name: str) -> str:
    return "/".join(name.split("/")[:2])


def restore_matching(root: Any, path: str | Path, wanted: list[Any]) -> Restored:
    """Restores the variables that a checkpoint has under the same path and in the same shape.

    Args:
        root: A trackable, laid out like the checkpoint's root.
        path: As for `resolve`.
        wanted: The variables that are asked for.

    Returns:
        The account. Variables that did not fit keep their values.

    Raises:
        UserError: No checkpoint there, one that cannot be read, or one of another model: fewer
            than half of the variables fit.
    """
    import tensorflow as tf

    prefix = resolve(path)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        keys = _variable_keys(tf.train.CheckpointView(str(prefix)), root)
        found = _restore(reader, keys, wanted)
    except (tf.errors.OpError, ValueError) as error:
        raise _unreadable(prefix, error) from None
    account = Restored(prefix, *found)
    if len(account.matched) < _LEAST_SHARE * account.total:
        raise _another_model(account)
    return account


def _variable_keys(view: Any, root: Any) -> dict[int, str]:
    # Maps id(variable) to its key in the checkpoint, following the graph of objects, which is how
    # TensorFlow itself restores.
    import tensorflow as tf

    nodes = view._object_graph_proto.nodes
    keys = {}
    for number, trackable in view.match(root).items():
        if isinstance(trackable, tf.Variable):
            for attribute in nodes[number].attributes:
                keys[id(trackable)] = attribute.checkpoint_key
    return keys


def _restore(reader: Any, keys: dict[int, str], wanted: list[Any]) -> tuple:
    shapes = reader.get_variable_to_shape_map()
    matched, missing, mismatched = [], [], {}
    for variable in wanted:
        name = variable.name.partition(":")[0]
        key = keys.get(id(variable))
        if key is None:
            missing.append(name)
        elif tuple(shapes[key]) != tuple(variable.shape):
            mismatched[name] = tuple(shapes[key]), tuple(variable.shape)
        else:
            variable.assign(reader.get_tensor(key))
            matched.append(name)
    return tuple(matched), tuple(missing), mismatched


def _unreadable(prefix: Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0]
    return UserError(
        prefix,
        f"not a readable TensorFlow 2 checkpoint ({reason})",
        "fetch it again, or name another one",
    )


def _another_model(account: Restored) -> UserError:
    missing = f"{len(account.missing)} are not in it"
    mismatched = f"{len(account.mismatched)} have another shape"
    return UserError(
        account.prefix,
        f"a checkpoint of another model: only {len(account.matched)} of {account.total} "
        f"variables fit ({missing}, {mismatched})",
        "use the checkpoint that belongs to this config's model",
    )


def restore_for_inference(model: Any, path: str | Path) -> Path:
    """Puts a checkpoint's weights into a detection model, all of them.

    Args:
        model: A detection model; its variables are made when they do not exist yet.
        path: As for `resolve`.

    Returns:
        The prefix of the checkpoint.

    Raises:
        UserError: No checkpoint there, or one that does not have every variable of the model.
    """
    import tensorflow as tf

    from roadmark.odapi import train_step

    train_step.build_variables(model)
    account = restore_matching(tf.train.Checkpoint(model=model), path, train_step.variables(model))
    if len(account.matched) < account.total:
        raise _another_model(account)
    return account.prefix


def fine_tune(model: Any, path: str | Path, kind: str) -> Restored:
    """Starts a model from a checkpoint of the same or a like model.

    Args:
        model: A detection model whose variables exist.
        path: As for `resolve`.
        kind: `fine_tune_checkpoint_type`: `classification` (the backbone alone, of a classifier's
            checkpoint or of a detector's), `detection` or `full`.

    Returns:
        What was restored.

    Raises:
        UserError: See `restore_matching`.
    """
    import tensorflow as tf

    from roadmark.odapi import train_step

    if kind == _CLASSIFICATION and _is_of_detector(path):
        root = _backbone(model)
    else:
        root = tf.train.Checkpoint(**model.restore_from_objects(fine_tune_checkpoint_type=kind))
    return restore_matching(root, path, train_step.variables(root))


def _is_of_detector(path: str | Path) -> bool:
    import tensorflow as tf

    prefix = resolve(path)
    try:
        names = tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError) as error:
        raise _unreadable(prefix, error) from None
    return any(name.startswith("model/") for name in names)


def _backbone(model: Any) -> Any:
    """A model's backbone, laid out as in a detector's checkpoint."""
    import tensorflow as tf

    owner, at = model._feature_extractor, ("_feature_extractor",)
    names: tuple[str, ...] = ("classification_backbone", "_efficientnet")
    if hasattr(model, "_feature_extractor_for_proposal_features"):
        # Two-stage models know their backbone by its halves.
        owner, at = model, ()
        names = (
            "_feature_extractor_for_proposal_features",
            "_feature_extractor_for_box_classifier_features",
        )
    parts = {name: getattr(owner, name) for name in names if getattr(owner, name, None) is not None}
    root = tf.train.Checkpoint(**parts)
    for name in (*at, "model"):
        root = tf.train.Checkpoint(**{name: root})
    return root


def restore_training(checkpoint: Any, prefix: Path) -> None:
    """Restores a run: weights, optimizer and step.

    Args:
        checkpoint: A `tf.train.Checkpoint` whose variables all exist.
        prefix: A checkpoint that `save` wrote.

    Raises:
        UserError: It is damaged, or of another model or optimizer.
    """
    import tensorflow as tf

    try:
        checkpoint.restore(str(prefix)).assert_existing_objects_matched()
    except tf.errors.OpError as error:
        raise _unreadable(prefix, error) from None
    except (AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            prefix,
            f"a checkpoint of another model, optimizer or recipe than this ({reason})",
            "begin anew with --restart, or choose another --model_dir",
        ) from None
