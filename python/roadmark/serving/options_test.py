from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.serving import options


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["runs/day/export"], {"day": "runs/day/export"}),
        (["runs/day/export/"], {"day": "runs/day/export"}),
        (["models/day"], {"day": "models/day"}),
        (["a=x/1", "b=y=2"], {"a": "x/1", "b": "y=2"}),
    ],
)
def test_models_have_names(words, named):
    assert options.models(words) == {name: Path(folder) for name, folder in named.items()}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a b=x"], "--model: found 'a b=x'; give --model=NAME=FOLDER"),
        (["=x"], "--model: found '=x'"),
        (["a="], "--model: found 'a='"),
        (["a/b=x"], "--model: found 'a/b=x'"),
        (["a=x", "a=y"], "found the name 'a' twice"),
    ],
)
def test_names_that_do_not_fit(words, says):
    with pytest.raises(UserError, match=says):
        options.models(words)


def test_without_a_model_the_newest_export_is_served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no exported model here"):
        options.models([])
    Path("runs/street/export").mkdir(parents=True)
    Path("runs/street/export/manifest.json").touch()
    assert options.models([]) == {"street": Path("runs/street/export")}


def test_the_token_is_in_a_file_or_the_environment(tmp_path):
    (tmp_path / "token").write_text("  secret\n")
    environment = {options.TOKEN_VARIABLE: "other"}
    assert options.token(None, {}) == ""
    assert options.token(None, environment) == "other"
    assert options.token(str(tmp_path / "token"), environment) == "secret"
    assert "secret" not in repr(options.ServeOptions(token="secret"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"cannot be read \(No such file"),
        (b"", "found nothing"),
        (b" \n", "found nothing"),
        (b"two words", "more than one word"),
        (b"\xff\xfe", "not ASCII"),
    ],
)
def test_no_token_where_one_should_be(tmp_path, content, says):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=says):
        options.token(str(file), {})


def test_an_empty_variable_is_not_taken_for_no_token():
    with pytest.raises(UserError, match=f"{options.TOKEN_VARIABLE}: found nothing"):
        options.token(None, {options.TOKEN_VARIABLE: ""})


@pytest.mark.parametrize("url", ["host/path/", "ftp://host/", "https://host", "file:///etc/"])
def test_urls_are_allowed_with_scheme_host_and_path(url):
    with pytest.raises(UserError, match="--allow_urls"):
        options.ServeOptions(allowed_urls=(url,))
