"""Which batch size fits into memory, found by trying, each time in a process of its own.

TensorFlow gives a GPU's memory back only when its process ends. So what ran out of memory hands
over: the search takes its place, and starts a process for each try. Needs no TensorFlow.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from roadmark import progress
from roadmark.errors import UserError
from roadmark.training import cluster
from roadmark.training.memory_watch import Memory
from roadmark.training.options import TrainOptions, TrainResult

# Steps of a try. The second one finds the first one's values still held.
STEPS = 2
_OUT_OF_MEMORY = 3
# Not `-m`: this module would be there twice, and so would its exception.
# And ended at once: an interpreter that is taken apart hangs on an input that is still being read.
_MAIN = (
    "import os, sys; from roadmark.training import batch_fit; code = batch_fit.{}(sys.argv[1]); "
    "sys.stderr.flush(); os._exit(code)"
)


class OutOfMemoryError(UserError):
    """A batch takes more memory than there is.

    Args:
        batch_size: Images of the batch.
        memory: What was left of the processor's; None where TensorFlow was refused some.
    """

    def __init__(self, batch_size: int, memory: Memory | None = None):
        self.batch_size = batch_size
        found = f": {memory}" if memory is not None else ""
        super().__init__(
            "train_config.batch_size",
            f"{batch_size} images at a time take more memory than there is{found}",
            "give a smaller --batch_size, or work through it in parts: --set recipe.accumulate=2",
        )


def train(options: TrainOptions) -> TrainResult:
    """Trains as `loop.train`, whose errors it raises; out of memory, it does not return.

    The process becomes one that says which batch size fits, and ends with exit code 2.

    Raises:
        OutOfMemoryError: There are several workers: no search with all of them.
    """
    from roadmark.training import loop

    try:
        return loop.train(options, lambda error: _replace_process(options, error))
    except OutOfMemoryError as error:
        if cluster.here().workers > 1:
            raise
        _replace_process(options, error)


def largest(limit: int, unit: int, fits: Callable[[int], bool]) -> int:
    """The largest batch size below a limit that fits, by bisection.

    Args:
        limit: A batch size that does not fit.
        unit: What a batch size must be a multiple of.
        fits: Tries a batch size.

    Returns:
        A multiple of `unit`; 0 where not even one of them fits.
    """
    low, high = 0, -(-limit // unit)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * unit) else (low, middle)
    return low * unit


def _replace_process(options: TrainOptions, error: OutOfMemoryError) -> NoReturn:
    # Perhaps from another thread than the one that trains: nothing but this ends that at once.
    progress.stop()
    print(f"error: {error}", file=sys.stderr)
    print("trying smaller batch sizes, two steps each ...", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os.execve(sys.executable, _command("search", options, error.batch_size), _environment())


def _command(function: str, options: TrainOptions, batch_size: int) -> list[str]:
    given = dataclasses.asdict(dataclasses.replace(options, batch_size=batch_size))
    text = json.dumps(given, default=str)
    return [sys.executable, "-P", "-c", _MAIN.format(function), text]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def _fits(options: TrainOptions, batch_size: int) -> bool:
    tried = subprocess.run(
        _command("try_once", options, batch_size),
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    # A process that the system killed, or that gave up by itself, ran out of memory as well.
    if tried.returncode not in (0, _OUT_OF_MEMORY) and tried.returncode > 0:
        last = (tried.stderr.strip().splitlines() or ["no word"])[-1]
        raise UserError(
            f"--batch_size={batch_size}", f"could not be tried: {last}", "correct that first"
        )
    fits = tried.returncode == 0
    print(f"  {batch_size}: {'fits' if fits else 'does not fit'}", file=sys.stderr, flush=True)
    return fits


def try_once(text: str) -> int:
    """Trains two steps; `text` is the options as JSON. The process's exit code."""
    from roadmark.training import loop

    options = _options(text)
    with tempfile.TemporaryDirectory() as folder:
        once = dataclasses.replace(
            options,
            model_dir=Path(folder, "run"),
            steps=STEPS,
            eval_every=0,
            patience=0,
            show_inputs=0,
            profile=False,
            track=None,
            restart=False,
            check_learning_rate=False,
        )
        try:
            loop.train(once, lambda _: os._exit(_OUT_OF_MEMORY))
        except OutOfMemoryError:
            return _OUT_OF_MEMORY
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
    return 0


def _options(text: str) -> TrainOptions:
    given = json.loads(text)
    for name in ("config", "label_map", "model_dir", "recipe"):
        given[name] = given[name] and Path(given[name])
    return TrainOptions(**given | {"overrides": tuple(given["overrides"])})


def search(text: str) -> int:
    """Says which batch size fits; `text` is the options as JSON. The process's exit code."""
    from roadmark.training import run_config

    options = _options(text)
    accumulate = run_config.prepare(options).recipe.accumulate
    try:
        found = largest(options.batch_size, accumulate, lambda size: _fits(options, size))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not found:
        print(
            f"not even a batch of {accumulate} fits: make image_resizer smaller, or take a "
            "smaller model",
            file=sys.stderr,
        )
        return 2
    print(f"a batch of {found} fits: give --batch_size={found} (and --restart)", file=sys.stderr)
    return 2
