"""Folders and files in `s3://` buckets, fetched whole to a local folder.

Every object is read in blocks with retries, goes on where an earlier try stopped, appears under its
name only when it has the size and the checksum that the store states, and is not fetched again.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from roadmark import progress
from roadmark.errors import UserError

SCHEME = "s3://"
_STATE = ".fetched.json"
_PART = ".part"
_BLOCK = 8 << 20
_TRIES = 5
_FIRST_WAIT_S = 0.5


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """An object in a bucket.

    Attributes:
        key: Bucket and key.
        name: Path below what was asked for.
        size: In bytes.
        etag: Of the store; MD5 of the content unless it was uploaded in parts.
    """

    key: str
    name: str
    size: int
    etag: str

    @property
    def md5(self) -> str | None:
        """Hexadecimal MD5 of the content, where the store states it."""
        return None if "-" in self.etag or len(self.etag) != 32 else self.etag


def is_remote(path: str) -> bool:
    """Whether a path is in a bucket."""
    return path.startswith(SCHEME)


def fetch(url: str, cache: Path, endpoint: str | None = None) -> Path:
    """Fetches an object, or all below a prefix.

    Args:
        url: `s3://bucket/prefix`.
        cache: Folder to keep it in; files that are there already are not fetched again.
        endpoint: URL of another S3 server than Amazon's; None for `AWS_ENDPOINT_URL` if set.

    Returns:
        The local folder, or the local file for an object.

    Raises:
        UserError: There is no such bucket, prefix or object, no permission, no connection, or an
            object is not whole after several tries.
    """
    store = _store(endpoint)
    files = _listed(store, url)
    folder = cache / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    known = _known(folder)
    missing = [file for file in files if not _is_fetched(file, folder, known)]
    with progress.track(f"fetching {url}", len(files), "files", len(files) - len(missing)) as meter:
        for file in missing:
            _fetch(store, url, file, folder)
            known[file.name] = {"size": file.size, "etag": file.etag}
            (folder / _STATE).write_text(json.dumps(known), encoding="utf-8")
            meter.advance()
    # What has gone from the bucket does not stay in the set.
    for name in known.keys() - {file.name for file in files}:
        (folder / name).unlink(missing_ok=True)
    is_object = len(files) == 1 and files[0].key == url.removeprefix(SCHEME)
    return folder / files[0].name if is_object else folder


def _store(endpoint: str | None) -> Any:
    import s3fs  # Takes a second.

    settings = {"endpoint_url": endpoint} if endpoint else {}
    return s3fs.S3FileSystem(
        client_kwargs=settings,
        config_kwargs={"retries": {"max_attempts": _TRIES, "mode": "standard"}},
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def _listed(store: Any, url: str) -> list[RemoteFile]:
    path = url.removeprefix(SCHEME).rstrip("/")
    try:
        found = store.find(path, detail=True)
    except FileNotFoundError:
        found = {}
    except PermissionError as error:
        raise UserError(
            url, f"no permission to list: {error}",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        ) from None  # fmt: skip
    except Exception as error:  # botocore's kinds of failed connections and credentials.
        raise UserError(
            url, f"cannot be reached: {error}", "check connection, AWS_ENDPOINT_URL and credentials"
        ) from None
    files = [
        RemoteFile(key, _name(key, path), int(facts["size"]), str(facts["ETag"]).strip('"'))
        for key, facts in sorted(found.items())
        if facts["type"] == "file"
    ]
    if not files:
        raise UserError(url, "no such object or prefix, or it is empty", "check bucket and key")
    return files


def _name(key: str, path: str) -> str:
    name = key.rsplit("/", 1)[-1] if key == path else key.removeprefix(f"{path}/")
    if any(part in ("..", "") for part in name.split("/")):
        raise UserError(f"{SCHEME}{key}", "found a key that is no file path", "rename the object")
    return name


def _known(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _is_fetched(file: RemoteFile, folder: Path, known: dict[str, Any]) -> bool:
    path = folder / file.name
    same = known.get(file.name) == {"size": file.size, "etag": file.etag}
    return same and path.is_file() and path.stat().st_size == file.size


def _fetch(store: Any, url: str, file: RemoteFile, folder: Path) -> None:
    target = folder / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    # Named by its version, so that parts of another one are not mixed in.
    part = target.with_name(f".{target.name}.{file.etag[:12]}{_PART}")
    problem = ""
    for number in range(_TRIES):
        if number:
            time.sleep(_FIRST_WAIT_S * 2 ** (number - 1))
        try:
            _append(store, file, part)
        except FileNotFoundError:
            raise UserError(
                f"{SCHEME}{file.key}", f"has gone since {url} was listed", "repeat the command"
            ) from None
        except PermissionError as error:
            raise UserError(
                f"{SCHEME}{file.key}", f"no permission: {error}", "ask for s3:GetObject"
            ) from None
        except Exception as error:  # botocore's and aiohttp's kinds of broken connections.
            problem = f"{type(error).__name__}: {error}"
            continue
        problem = _fault(file, part)
        if not problem:
            part.replace(target)
            return
        part.unlink(missing_ok=True)
    raise UserError(
        f"{SCHEME}{file.key}", f"not whole after {_TRIES} tries: {problem}",
        "repeat the command, which goes on where it stopped",
    )  # fmt: skip


def _append(store: Any, file: RemoteFile, part: Path) -> None:
    """Goes on where the part ends."""
    with open(part, "ab") as stream:
        for start, end in _blocks(stream.tell(), file.size):
            stream.write(store.cat_file(file.key, start=start, end=end))


def _blocks(start: int, size: int) -> Iterator[tuple[int, int]]:
    while start < size:
        yield start, min(start + _BLOCK, size)
        start += _BLOCK


def _fault(file: RemoteFile, part: Path) -> str:
    """What is wrong with a fetched object, or nothing."""
    size = part.stat().st_size
    if size != file.size:
        return f"found {size} bytes, expected {file.size}"
    if file.md5 is None:
        return ""
    with open(part, "rb") as stream:
        found = hashlib.file_digest(stream, "md5").hexdigest()
    return "" if found == file.md5 else f"found MD5 {found}, expected {file.md5}"
