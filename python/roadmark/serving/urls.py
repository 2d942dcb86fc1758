"""Pictures that a request names by URL, fetched from where the service's owner allows."""

import urllib.parse
from collections.abc import Sequence

import httpx

from roadmark.serving.refusal import RefusedError


class Fetcher:
    """Fetches from URLs that begin as allowed. Redirects are not followed.

    Args:
        allowed: Beginnings: scheme, host, port and the beginning of the path.
        max_bytes: Of all pictures of one request together.
        time_s: For each step of a fetch.
    """

    def __init__(self, allowed: Sequence[str], max_bytes: int, time_s: float) -> None:
        self._allowed = [httpx.URL(beginning) for beginning in allowed]
        self._max_bytes = max_bytes
        self._client = httpx.AsyncClient(
            timeout=time_s, follow_redirects=False, headers={"accept-encoding": "identity"}
        )

    async def fetch(self, urls: Sequence[str]) -> list[bytes]:
        """What is at the URLs of one request.

        Raises:
            RefusedError: One is not allowed, cannot be fetched, or is too large.
        """
        targets = [self._allowed_url(url) for url in urls]
        left = self._max_bytes
        found = []
        for url in targets:
            found.append(await self._fetch(url, left))
            left -= len(found[-1])
        return found

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()

    def _allowed_url(self, text: str) -> httpx.URL:
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, ValueError):
            raise RefusedError(400, f"url: found {text[:100]!r}, expected a URL") from None
        if not any(_begins(url, beginning) for beginning in self._allowed):
            raise RefusedError(403, f"url: {text[:100]!r} is not among those allowed here")
        return url

    async def _fetch(self, url: httpx.URL, max_bytes: int) -> bytes:
        content = bytearray()
        try:
            async with self._client.stream("GET", url) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise RefusedError(424, f"url: {url} answered {answer.status_code}")
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > max_bytes:
                        raise RefusedError(413, f"url: {url} has more than {max_bytes} bytes left")
        except (httpx.HTTPError, UnicodeError) as error:
            reason = str(error) or type(error).__name__
            raise RefusedError(424, f"url: {url} cannot be fetched ({reason})") from None
        return bytes(content)


def _begins(url: httpx.URL, beginning: httpx.URL) -> bool:
    same_place = (url.scheme, url.host, url.port) == (
        beginning.scheme,
        beginning.host,
        beginning.port,
    )
    path = urllib.parse.unquote(url.path)
    climbs = ".." in path.replace("\\", "/").split("/")
    return same_place and not url.userinfo and not climbs and path.startswith(beginning.path)
