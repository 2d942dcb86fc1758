import pytest

from roadmark.serving import accept
from roadmark.serving.refusal import RefusedError

OFFERED = ("application/json", "image/jpeg", "image/png")


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/jpeg", "image/jpeg"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/jpeg"),
        ("image/png, image/jpeg;q=0.5", "image/png"),
        ("application/json;q=0.1, image/*;q=0.9, image/jpeg;q=0.2", "image/png"),
        ("text/html, */*;q=0.1", "application/json"),
        ("image/png;q=x, image/jpeg", "image/jpeg"),
    ],
)
def test_the_client_chooses(header, chosen):
    assert accept.choose(header, OFFERED) == chosen


@pytest.mark.parametrize(
    "header", ["text/html", "image/webp", "application/json;q=0", "image", ",", ";;q=1"]
)
def test_what_there_is_not(header):
    with pytest.raises(RefusedError, match="Accept: found") as refused:
        accept.choose(header, OFFERED)
    assert refused.value.status == 406
