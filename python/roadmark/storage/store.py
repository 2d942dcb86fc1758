"""Requests to a bucket: tried again with growing pauses, refused in one line.

Credentials come from the cloud's own chain alone.
"""

import base64
import contextlib
import dataclasses
import hashlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from roadmark.errors import UserError
from roadmark.storage import refusals
from roadmark.storage.address import Address

TRIES = 6
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 20.0
_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 60
_PART = 16 << 20
_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class RemoteObject:
    """An object in a bucket.

    Attributes:
        key: Bucket and key.
        size: In bytes.
        version: Changes with the content: S3's ETag, or GCS's MD5.
    """

    key: str
    size: int
    version: str

    @property
    def md5(self) -> str | None:
        """Hexadecimal MD5 of the content, where the version is one."""
        is_md5 = len(self.version) == 32 and "-" not in self.version
        return self.version if is_md5 else None


class TransientError(Exception):
    """A request that another try may bring to a good end."""


class Store:
    """The objects behind one scheme.

    Args:
        scheme: One of `address.SCHEMES`.
    """

    def __init__(self, scheme: str):
        self._scheme = scheme
        self._files = _open(scheme)

    def find(self, place: Address) -> list[RemoteObject]:
        """The objects that an address means: one, all below a folder, or those of a pattern.

        Of a name that is neither object nor folder, those that have it and an ending, as the files
        of a checkpoint do. Sorted by key; empty where there are none.

        Raises:
            UserError: No such bucket, no permission, no connection.
        """
        root = place.parent if place.is_pattern else place.path
        found = self._list(root)
        if place.is_pattern:
            begin = len(root) + 1
            return [one for one in found if place.matches(one.key[begin:])]
        if found or not place.parent:
            return found
        siblings = self._list(place.parent)
        return [one for one in siblings if one.key.startswith(f"{place.path}.")]

    def read(self, key: str, start: int, end: int) -> bytes:
        """Bytes of an object, asked for once.

        Raises:
            FileNotFoundError: It has gone.
            TransientError: Another try may do.
            UserError: No permission.
        """
        return self._once(refusals.READ, key, self._files.cat_file, key, start=start, end=end)

    def read_whole(self, one: RemoteObject) -> bytes:
        """All of a small object.

        Raises:
            FileNotFoundError: It has gone.
            UserError: No permission, no connection.
        """

        def read() -> bytes:
            found = self.read(one.key, 0, one.size)
            if len(found) != one.size:
                raise TransientError(f"found {len(found)} bytes, expected {one.size}")
            return found

        return self._often(one.key, read)

    def write(self, path: Path, key: str) -> RemoteObject:
        """Uploads a file, which is seen under the key once it is whole.

        Raises:
            UserError: No permission, no connection, or what arrived is not the file.
            FileNotFoundError: The file has gone.
        """

        def put() -> RemoteObject:
            before = path.stat()
            self._once(
                refusals.WRITE, key, self._files.put_file, str(path), key, chunksize=_PART
            )  # fmt: skip
            found = self._once(refusals.READ, key, self._stat, key)
            after = path.stat()
            if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
                self.check(path, found)
            return found

        return self._often(key, put)

    def remove(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""

        def remove() -> None:
            try:
                self._once(refusals.DELETE, key, self._files.rm_file, key)
            except FileNotFoundError:
                return

        self._often(key, remove)

    def check_writable(self, key: str) -> None:
        """Makes sure that an object may be written, without one being seen.

        Raises:
            UserError: No such bucket, no permission, no connection.
        """
        bucket, _, name = key.partition("/")
        self._list(key)
        # An upload in parts that is begun and never ended.
        begin = self._begin_gs if self._scheme == "gs" else self._begin_s3
        self._often(key, lambda: self._once(refusals.WRITE, key, begin, bucket, name))

    def check(self, path: Path, found: RemoteObject) -> None:
        """Compares a file with what the store says of its object.

        Raises:
            TransientError: Size or checksum differ.
        """
        size = path.stat().st_size
        if size != found.size:
            raise TransientError(f"found {size} bytes here, {found.size} in the bucket")
        if found.md5 is None:
            return
        with open(path, "rb") as stream:
            here = hashlib.file_digest(stream, "md5").hexdigest()
        if here != found.md5 and not self._is_enciphered(found.key):
            raise TransientError(f"found MD5 {here}, expected {found.md5}")

    def _is_enciphered(self, key: str) -> bool:
        """Whether the object's ETag is no MD5, because KMS or the client's key encrypted it."""
        if self._scheme != "s3":
            return False
        bucket, _, name = key.partition("/")
        head = self._once(
            refusals.READ, key, self._files.call_s3, "head_object", Bucket=bucket, Key=name
        )
        kms = str(head.get("ServerSideEncryption", "")).startswith("aws:kms")
        return kms or "SSECustomerAlgorithm" in head

    def _begin_s3(self, bucket: str, name: str) -> None:
        place = {"Bucket": bucket, "Key": name}
        begun = self._files.call_s3("create_multipart_upload", **place)
        # Whoever may write need not have the right to abort.
        with contextlib.suppress(Exception):
            self._files.call_s3("abort_multipart_upload", **place, UploadId=begun["UploadId"])

    def _begin_gs(self, bucket: str, name: str) -> None:
        from fsspec import asyn
        from gcsfs import core

        asyn.sync(self._files.loop, core.initiate_upload, self._files, bucket, name)

    def _list(self, path: str) -> list[RemoteObject]:
        def find() -> dict[str, Any]:
            return self._once(refusals.LIST, path, self._files.find, path, detail=True)

        found = self._often(path, find).items()
        # Consoles make empty objects in place of folders.
        files = [(key, facts) for key, facts in sorted(found) if facts["type"] == "file"]
        return [_described(key, facts) for key, facts in files if not facts["name"].endswith("/")]

    def _stat(self, key: str) -> RemoteObject:
        return _described(key, self._files.info(key, refresh=True))

    def _once(self, kind: str, key: str, call: Callable[..., _T], *given: Any, **named: Any) -> _T:
        url = f"{self._scheme}://{key}"
        try:
            return call(*given, **named)
        except TransientError:
            raise
        except Exception as error:  # botocore's, aiohttp's and google's kinds.
            refused = refusals.explained(error, url, kind, self._files)
            if refused is not None:
                raise refused from None
            if isinstance(error, FileNotFoundError):
                raise
            raise TransientError(f"{type(error).__name__}: {error}") from None

    def _often(self, key: str, call: Callable[[], _T]) -> _T:
        problem = ""
        for number in range(TRIES):
            pause(number)
            try:
                return call()
            except TransientError as error:
                problem = str(error)
        raise UserError(
            f"{self._scheme}://{key}",
            f"gave up after {TRIES} tries: {problem}",
            "check the connection and repeat the command",
        )


def pause(number: int) -> None:
    """Waits before a try: not before the first, and longer each time, never all at once."""
    if number:
        longest = min(_FIRST_PAUSE_S * 2 ** (number - 1), _LONGEST_PAUSE_S)
        time.sleep(random.uniform(longest / 2, longest))


def _open(scheme: str) -> Any:
    if scheme == "gs":
        # Else every request asks first of what kind the bucket is, which takes another permission.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        import gcsfs  # Takes a second.

        return gcsfs.GCSFileSystem(use_listings_cache=False, skip_instance_cache=True)
    import s3fs  # Takes a second.

    store = s3fs.S3FileSystem(
        config_kwargs={
            # One loop of tries: that of this module.
            "retries": {"total_max_attempts": 1},
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "read_timeout": _READ_TIMEOUT_S,
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    store.retries = 1
    return store


def _described(key: str, facts: dict[str, Any]) -> RemoteObject:
    version = str(facts.get("ETag", "")).strip('"')
    if "md5Hash" in facts:
        version = base64.b64decode(facts["md5Hash"]).hex()
    elif not version:
        version = str(facts.get("etag") or facts.get("generation") or facts.get("crc32c"))
    return RemoteObject(key, int(facts["size"]), version)
