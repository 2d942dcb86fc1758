"""What whoever starts the service may choose."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from roadmark import locations
from roadmark.errors import UserError
from roadmark.inference.engine import AUTO, EXPORTED

TOKEN_VARIABLE = "ROADMARK_TOKEN"
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_ORIGIN = ("http://", "https://")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Attributes:
        body_bytes: Of its body, and of all that its URLs lead to.
        pixels: Of one picture.
        pictures: Of all requests to one model that are not yet answered; and so of one request.
        time_s: Until it is answered, counted from its first byte.
    """

    body_bytes: int = 25_000_000
    pixels: int = 50_000_000
    pictures: int = 64
    time_s: float = 30.0


@dataclasses.dataclass(frozen=True)
class ServeOptions:
    """How the service runs.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any free one, which the first line of the log names.
        engine: As `Detector.load` takes it.
        device: As `Detector.load` takes it.
        precision: As `Detector.load` takes it.
        trust: As `manifest.load` takes it.
        threads: Processor threads of the network; 0 for one per core.
        batch_size: Pictures that go through the network at a time, at most.
        delay_s: How long a picture waits for others when the network has nothing to do.
        score_threshold: Objects with this score or less are left out where a request says nothing.
        limits: See `Limits`.
        allowed_urls: Beginnings of URLs that pictures may be fetched from, as `https://host/path/`.
        token: What clients must show; empty for none.
        drain_s: How long requests are still taken after SIGTERM.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    engine: str = AUTO
    device: str = AUTO
    precision: str = EXPORTED
    trust: bool = False
    threads: int = 0
    batch_size: int = 8
    delay_s: float = 0.002
    score_threshold: float = 0.4
    limits: Limits = dataclasses.field(default_factory=Limits)
    allowed_urls: tuple[str, ...] = ()
    token: str = dataclasses.field(default="", repr=False)
    drain_s: float = 5.0

    def __post_init__(self) -> None:
        for url in self.allowed_urls:
            if not url.startswith(_ORIGIN) or url.count("/") < 3:
                raise UserError(
                    "--allow_urls",
                    f"found {url!r}, expected the beginning of a URL",
                    "give it with scheme, host and path, as https://bucket.example.com/",
                )


def models(words: Sequence[str]) -> dict[str, Path]:
    """Folders of models by name, the first of which answers where a request names none.

    Args:
        words: `FOLDER` or `NAME=FOLDER` each; the newest export under runs/ when there are none.
            A folder without a name is called as its run is.

    Raises:
        UserError: A name is not fit for a URL, or is given twice, or there is no export.
    """
    named: dict[str, Path] = {}
    for word in words or [str(locations.newest_export())]:
        name, is_named, folder = word.partition("=")
        if not is_named:
            folder, name = word, _run_name(Path(word))
        if not name or not folder or not _NAME_CHARACTERS.issuperset(name):
            raise UserError(
                "--model",
                f"found {word!r}",
                "give --model=NAME=FOLDER, the name of letters, digits, '.', '_' and '-'",
            )
        if name in named:
            raise UserError("--model", f"found the name {name!r} twice", "name them apart")
        named[name] = Path(folder)
    return named


def _run_name(folder: Path) -> str:
    whole = folder.absolute()
    is_in_run = whole.name == locations.export_dir("").name
    return whole.parent.name if is_in_run else whole.name


def token(file: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The bearer token out of a file, or of the variable `ROADMARK_TOKEN`; empty for none.

    Raises:
        UserError: The file cannot be read; or what is given is empty, or more than one word.
    """
    if file is None and TOKEN_VARIABLE not in environment:
        return ""
    where = file or TOKEN_VARIABLE
    try:
        text = Path(file).read_text(encoding="ascii") if file else environment[TOKEN_VARIABLE]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not ASCII"
        raise UserError(where, f"cannot be read ({reason})", "write the token into it") from None
    words = text.split()
    if len(words) != 1 or not words[0].isascii():
        found = "nothing" if not words else "more than one word"
        raise UserError(where, f"found {found}, expected one token", "write one word into it")
    return words[0]
