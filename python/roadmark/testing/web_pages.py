"""Checks of HTML files, as text and in a browser."""

import html
import html.parser
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import pytest

Attributes = list[tuple[str, str | None]]

_VOID = {"meta", "link", "img", "br"}


class Page(html.parser.HTMLParser):
    """Tags that open and close in order, what they refer to, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.references, self.text = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: Attributes) -> None:
        """Notes the tag and its references."""
        self.tags.append(tag)
        self.references += [value for key, value in attributes if key in ("src", "href")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Attributes) -> None:
        """Notes the tag."""
        del attributes
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Checks that the tag is the one that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Notes the text."""
        self.text += data


# A frame of a phone's width: a browser's own window may not be made as narrow.
_ON_A_PHONE = """<!DOCTYPE html><meta charset="utf-8"><style>body {{ margin: 0 }}</style>
<iframe srcdoc="{page}" style="width: 390px; height: 2000px; border: 0" onload="measure(this)">
</iframe>
<script>
function measure(frame) {{
  const page = frame.contentDocument.documentElement;
  if (page.scrollWidth > 390) console.error("on a phone it is " + page.scrollWidth + " wide");
}}
</script>
"""


def complaints(text: str, folder: Path) -> list[str]:
    """What a browser's console says while it opens a page at a phone's width and pictures it.

    And whether the page is wider than the phone.

    Skips the test where there is no browser.

    Args:
        text: The page.
        folder: For its file, its picture and the browser's own files.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on the PATH; get it with: apt-get install chromium")
    page = folder / "page.html"
    page.write_text(_ON_A_PHONE.format(page=html.escape(text)), encoding="utf-8")
    picture = page.with_suffix(".png")
    answer = subprocess.run(
        [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--window-size=390,2000",
            f"--user-data-dir={folder}",
            f"--screenshot={picture}",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | {"HOME": str(folder)},
    )
    assert cv2.imread(str(picture)).std() > 10, "an empty page"
    return [line for line in answer.stderr.splitlines() if ":CONSOLE" in line]
