"""Starts an absl app: the user's folder, one-line errors, exit codes.

Exit codes: 0 done, 2 the user's mistake (one line on stderr), 130 stopped by Ctrl-C,
141 nobody reads the output any more (`| head`), 143 stopped by SIGTERM.
Anything else is a bug of ours and shows its traceback.
"""

import atexit
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

from absl import app as absl_app
from absl import flags, logging

from roadmark.errors import DISK_CURES, UserError
from roadmark.storage import path_flags

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
EXIT_TERMINATED = 143


def run(
    main: Callable[..., int | None], commands: Sequence[str] = (), any_words: bool = False
) -> None:
    """Parses flags, runs `main`, and ends the process with its exit code.

    Args:
        main: Takes nothing (flags are parsed by then), or with `commands` the one that was given,
            or with `any_words` each as an argument, and returns an exit code or None for 0.
        commands: Words, one of which the user gives besides the flags.
        any_words: Whether the user gives as many words of their own as they like.

    Flags defined by `roadmark.storage.path_flags` take files and folders in buckets too.
    """
    _enter_invocation_directory()
    signal.signal(signal.SIGTERM, _terminate)
    process = _Process()
    atexit.register(process.end)
    process.exit_code = _guarded(main, commands, any_words)
    sys.exit(process.exit_code)


def refuse_beside(chosen: flags.FlagHolder, others: Sequence[flags.FlagHolder], cure: str) -> None:
    """Raises UserError when one of `others` is given beside the flag `chosen`."""
    for flag in others:
        if flag.present:
            raise UserError(f"--{chosen.name}", f"found --{flag.name} beside it", cure)


class _Process:
    """Ends the process before the interpreter is taken apart.

    What TensorFlow's input pipelines still read by then needs Python threads, which an interpreter
    that is taken apart stops: the pipeline's end would wait for them for ever. Exit handlers run
    last in, first out, and this is put before those of all that `main` imports.

    Attributes:
        exit_code: What it ends with; 1, as for any uncaught exception, until `main` is done.
    """

    exit_code = 1

    def end(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(self.exit_code)


def _guarded(main: Callable[..., int | None], commands: Sequence[str], any_words: bool) -> int:
    try:
        code = _exit_code(main, commands, any_words)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _report(str(error))
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # What is still buffered would raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        cure = DISK_CURES.get(error.errno or 0)
        if cure is None:
            raise
        return _report(f"{error.filename or 'disk'}: {error.strerror}; {cure}")


def _exit_code(main: Callable[..., int | None], commands: Sequence[str], any_words: bool) -> int:
    def words(argv: list[str]) -> list[str]:
        return argv[1:] if any_words else _command(argv, commands)

    try:
        absl_app.run(lambda argv: path_flags.call(main, words(argv)), flags_parser=_parse_flags)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    return 0


def _report(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return EXIT_USER_ERROR


def _parse_flags(argv: list[str]) -> list[str]:
    absl_app.define_help_flags()
    try:
        rest = flags.FLAGS(argv)
    except SystemExit:
        # absl ends --help with 1, as if asking were a mistake.
        raise SystemExit(0) from None
    except flags.Error as error:
        program = os.path.basename(argv[0])
        raise UserError("command line", str(error), f"see {program} --help") from None
    if flags.FLAGS["verbosity"].using_default_value:
        # absl would show what libraries log at level info.
        flags.FLAGS.verbosity = logging.WARNING
    return rest


def _command(argv: list[str], commands: Sequence[str]) -> list[str]:
    """The command, if one is expected, as the arguments for `main`."""
    given = argv[1:]
    if commands and (not given or given[0] not in commands):
        found = repr(given[0]) if given else "no command"
        raise UserError("command line", f"found {found}", f"give one of: {', '.join(commands)}")
    expected = 1 if commands else 0
    if len(given) > expected:
        raise UserError(
            "command line",
            f"found {given[expected]!r} where a --flag was expected",
            "give every value as --flag=value; see --help",
        )
    return given


def _enter_invocation_directory() -> None:
    # `bazel run` starts programs in their runfiles tree and records the user's own folder here;
    # flags such as --config=configs/x.config are relative to that one.
    folder = os.environ.get("BUILD_WORKING_DIRECTORY")
    if folder and os.path.isdir(folder):
        sys.path[:] = [os.path.abspath(entry) if entry else entry for entry in sys.path]
        os.chdir(folder)


def _terminate(signum: int, frame: object) -> None:
    del signum, frame
    raise SystemExit(EXIT_TERMINATED)
