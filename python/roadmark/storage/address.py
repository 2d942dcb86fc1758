"""Addresses of files and folders in buckets."""

import dataclasses
import posixpath
import re

from roadmark.errors import UserError

SCHEMES = ("s3", "gs")
# Flags hold several paths with commas between them, or NAME=PATH; keys with commas are left out.
URL = re.compile(rf"(?:{'|'.join(SCHEMES)})://[^,\s]*")
_GLOB = re.compile(r"[*?\[]|%\d*d")


@dataclasses.dataclass(frozen=True)
class Address:
    """A file, a folder, or files that a pattern names, in a bucket.

    Attributes:
        scheme: One of `SCHEMES`.
        parent: Bucket and folder that it is in; empty for a whole bucket.
        name: Its name there: the last part of the key, or from the first pattern on.
    """

    scheme: str
    parent: str
    name: str

    @property
    def url(self) -> str:
        """The whole address."""
        return f"{self.scheme}://{self.path}"

    @property
    def path(self) -> str:
        """Bucket and key."""
        return posixpath.join(self.parent, self.name)

    @property
    def is_pattern(self) -> bool:
        """Whether it names files by `*`, `?`, `[...]`, or by `%05d` as films of pictures do."""
        return _GLOB.search(self.name) is not None

    def matches(self, name: str) -> bool:
        """Whether a name below `parent` is one that the pattern means."""
        # As `glob` has it: only ** goes into folders.
        words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\]|%\d*d)", self.name)
        pattern = "".join(words.get(part) or _pattern(part) for part in parts)
        return re.fullmatch(pattern, name) is not None


def _pattern(part: str) -> str:
    if re.fullmatch(r"%\d*d", part):
        return r"\d+"
    if part.startswith("[") and part.endswith("]"):
        return part.replace("[!", "[^")
    return re.escape(part)


def is_remote(text: str) -> bool:
    """Whether there is an address of a bucket in a flag's value."""
    return URL.search(text) is not None


def parse(url: str) -> Address:
    """Takes an address apart.

    Args:
        url: `s3://bucket/key` or `gs://bucket/key`; the key may hold a pattern.

    Raises:
        UserError: It names no bucket, or a key that is no path of a file.
    """
    scheme, _, path = url.partition("://")
    parts = path.rstrip("/").split("/")
    if not parts[0] or _GLOB.search(parts[0]):
        raise UserError(url, "found no bucket", f"write {scheme}://BUCKET/FOLDER")
    if any(part in ("", ".", "..") for part in parts):
        raise UserError(url, "found a key with an empty part or dots", "write a/b/c")
    patterns = (number for number, part in enumerate(parts) if _GLOB.search(part))
    split = next(patterns, len(parts) - 1)
    return Address(scheme, "/".join(parts[:split]), "/".join(parts[split:]))
