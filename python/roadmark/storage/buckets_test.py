"""Fetching from and uploading to a real S3 server, on a network that fails."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from roadmark.errors import UserError
from roadmark.storage import address, cache, mirror, store
from roadmark.testing import app_process, bucket_server, pictures
from roadmark.testing.bucket_server import BUCKET, Fault

_TEN = b"0123456789"


@pytest.fixture(scope="module")
def server():
    with bucket_server.running() as found:
        yield found


@pytest.fixture
def bucket(server, monkeypatch, tmp_path, request):
    """A server whose folder `self.folder` is the test's own."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ROADMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(mirror, "_BLOCK", 4)
    server.proxy.faults, server.proxy.requests = [], []
    digest = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    return _Bucket(server, f"{BUCKET}/{digest}")


class _Bucket:
    def __init__(self, server, folder):
        self.server, self.proxy, self.folder = server, server.proxy, folder
        self.url = f"s3://{folder}"

    def put(self, **files) -> str:
        for name, data in files.items():
            self.server.files.pipe_file(f"{self.folder}/{name.replace('__', '/')}", data)
        return self.url

    def names(self) -> list[str]:
        begin = len(self.folder) + 1
        return [key[begin:] for key in self.server.files.find(self.folder)]

    def fail(self, kind, **how) -> None:
        self.proxy.faults.append(Fault(kind, **how))


def _mirror(url):
    return mirror.Mirror(address.parse(url))


def _fetch(url):
    return _mirror(url).fetch()


def _of(bucket, name="set"):
    return f"{bucket.url}/{name}"


def test_a_folder_is_fetched_once_and_follows_the_bucket(bucket):
    bucket.put(set__a=b"one", set__b__c=b"two", set__d=b"", set__b=b"beside a folder")
    bucket.server.files.rm_file(f"{bucket.folder}/set/b")
    bucket.server.files.call_s3("put_object", Bucket=BUCKET, Key=f"{bucket.folder[8:]}/set/b/")
    folder = _fetch(_of(bucket))
    assert folder.name == "set"
    assert (folder / "a").read_bytes() == b"one"
    assert (folder / "b/c").read_bytes() == b"two"
    assert (folder / "d").read_bytes() == b""
    before = len(bucket.proxy.asked("GET", "/set/"))
    assert _fetch(_of(bucket) + "/") == folder
    assert len(bucket.proxy.asked("GET", "/set/")) == before, "fetched again"
    bucket.put(set__a=b"new")
    bucket.server.files.rm_file(f"{bucket.folder}/set/b/c")
    _fetch(_of(bucket))
    assert (folder / "a").read_bytes() == b"new"
    assert not (folder / "b/c").exists()


@pytest.mark.parametrize(
    ("asked", "found"),
    [("x.config", ["x.config"]), ("ckpt-1", ["ckpt-1.data", "ckpt-1.index"]), ("ck*", 3 * [""])],
    ids=["object", "prefix of a checkpoint", "pattern"],
)
def test_what_a_flag_may_name(bucket, asked, found):
    bucket.put(
        **{"x.config": b"1", "ckpt-1.index": b"2", "ckpt-1.data": b"3", "ckpt-10.index": b""}
    )
    local = _fetch(_of(bucket, asked))
    assert local.name == asked
    names = sorted(path.name for path in local.parent.iterdir())
    assert names == found if found[0] else len(names) == len(found)


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("cut", part="/set/a")],
        [Fault("truncated", part="/set/a")],
        [Fault("SlowDown", part="/set/a", status=503, times=3)],
        [Fault("InternalError", part="list-type", status=500)],
        [Fault("slow", part="/set/a", times=3)],
        [Fault("cut", part="/set/a", times=2), Fault("cut", part="list-type")],
    ],
    ids=lambda faults: "-".join(fault.kind for fault in faults),
)
def test_a_network_that_fails_now_and_then_costs_nothing(bucket, faults):
    url = bucket.put(set__a=_TEN)
    bucket.proxy.faults = [Fault(**vars(fault)) for fault in faults]
    assert (_fetch(f"{url}/set") / "a").read_bytes() == _TEN
    assert not any(fault.times for fault in bucket.proxy.faults), "not all faults were met"


def test_an_object_goes_on_where_it_stopped_in_the_next_run(bucket, tmp_path):
    bucket.put(set__a=_TEN)
    # The first block comes, no other does.
    bucket.fail("first", times=0)
    asked = bucket.proxy.fault

    def after_the_first(method, path):
        asks = method == "GET" and "/set/a" in path
        broken = asks and len(bucket.proxy.asked("GET", "/set/a")) > 1
        return Fault("SlowDown", status=503) if broken else asked(method, path)

    bucket.proxy.fault = after_the_first
    try:
        with pytest.raises(UserError, match=r"not whole after 6 tries: .*goes on where it stopped"):
            _fetch(_of(bucket))
    finally:
        del bucket.proxy.fault
    assert not list(tmp_path.rglob("a"))
    bucket.proxy.requests = []
    assert (_fetch(_of(bucket)) / "a").read_bytes() == _TEN
    assert bucket.proxy.asked("GET", "/set/a") == ["bytes=4-7", "bytes=8-9"]


def test_bytes_that_are_not_the_stores_are_refused(bucket, monkeypatch, tmp_path):
    bucket.put(set__a=_TEN)
    wrong = lambda self, key, start, end: b"x" * (end - start)  # noqa: E731 - a wire that lies
    monkeypatch.setattr(store.Store, "read", wrong)
    with pytest.raises(UserError, match=r"found MD5 .*, expected 781e5e245d69b566979b86e28d23f2c7"):
        _fetch(_of(bucket))
    assert not list(tmp_path.rglob("a"))


def test_what_kms_encrypted_has_no_md5_and_is_fetched(bucket, monkeypatch):
    """Its ETag looks like an MD5 and is none."""
    bucket.server.files.pipe_file(
        f"{bucket.folder}/set/a", _TEN, ServerSideEncryption="aws:kms", SSEKMSKeyId="k"
    )
    found = store.RemoteObject(f"{bucket.folder}/set/a", len(_TEN), "0" * 32)
    monkeypatch.setattr(store.Store, "find", lambda self, place: [found])
    assert (_fetch(_of(bucket)) / "a").read_bytes() == _TEN


_ARN = "arn:aws:sts::1:assumed-role/trainer/me"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            Fault("AccessDenied", part="list-type", message=f"User: {_ARN} is not authorized"),
            f"/set: access denied: {_ARN} lacks s3:ListBucket; have it granted",
        ),
        (
            Fault("AccessDenied", part="/set/a"),
            "/set/a: access denied: access key AKIATEST (env) lacks s3:GetObject;",
        ),
        (Fault("ExpiredToken", part="list-type", status=400), "AKIATEST (env) have expired"),
        (Fault("RequestTimeTooSkewed", part="list-type"), "this machine's clock is too far"),
        (Fault("InvalidAccessKeyId", part="list-type"), "are not valid (InvalidAccessKeyId)"),
        (Fault("NoSuchKey", part="/set/a", status=404), "/set/a: has gone since s3://"),
        (Fault("InvalidObjectState", part="/set/a"), "/set/a: the object is archived"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_refusal_is_one_line_at_once(bucket, fault, says):
    bucket.put(set__a=_TEN)
    bucket.proxy.faults = [Fault(**vars(fault) | {"times": 1})]
    with pytest.raises(UserError) as error:
        _fetch(_of(bucket))
    assert bucket.url in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (None, "/set/a: has gone since s3://"),
        (b"another text", "/set/a: not whole after 2 tries: found MD5"),
        (b"short", "/set/a: not whole after 2 tries: "),
    ],
    ids=["gone", "replaced", "replaced by less"],
)
def test_an_object_that_changes_while_it_is_read_is_one_line(bucket, monkeypatch, after, says):
    """The first block is the old one's; the next command takes what is there then."""
    monkeypatch.setattr(mirror, "TRIES", 2)
    bucket.put(set__a=_TEN, set__b=b"stays")
    asked = bucket.proxy.fault

    def change_behind_the_first(method, path):
        if method == "GET" and "/set/a" in path and len(bucket.proxy.asked("GET", "/set/a")) == 2:
            key = f"{bucket.folder}/set/a"
            if after is None:
                bucket.server.files.rm_file(key)
            else:
                bucket.server.files.pipe_file(key, after)
        return asked(method, path)

    bucket.proxy.fault = change_behind_the_first
    try:
        with pytest.raises(UserError) as error:
            _fetch(_of(bucket))
    finally:
        del bucket.proxy.fault
    assert says in str(error.value)
    assert "repeat the command" in str(error.value)
    assert not (_mirror(_of(bucket)).local / "a").exists()
    now = {path.name: path.read_bytes() for path in _fetch(_of(bucket)).iterdir()}
    assert now == {"b": b"stays"} | ({} if after is None else {"a": after})


def test_a_key_that_is_no_path_is_one_line(bucket, tmp_path):
    key = f"{bucket.folder.partition('/')[2]}/set//a"
    bucket.server.files.call_s3("put_object", Bucket=BUCKET, Key=key, Body=b"1")
    with pytest.raises(UserError, match="no path of a file; rename the object"):
        _fetch(_of(bucket))
    assert not list(tmp_path.rglob("a"))


def test_what_is_not_there_is_one_line(bucket, monkeypatch):
    with pytest.raises(UserError, match="set: no such object or folder, or it is empty"):
        _fetch(_of(bucket))
    with pytest.raises(UserError, match="there is no bucket 'nowhere-at-all'"):
        _fetch("s3://nowhere-at-all/set")
    with pytest.raises(UserError, match="there is no bucket 'nowhere-at-all'"):
        _mirror("s3://nowhere-at-all/out").check_writable()
    monkeypatch.setattr(store, "TRIES", 2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"gave up after 2 tries: .*check the connection"):
        _fetch("s3://streets/x")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match=r"found no credentials .*aws sso login"):
        _fetch("s3://streets/x")


def test_who_may_not_write_hears_it_before_the_work(bucket):
    bucket.fail("AccessDenied", method="POST", part="uploads")
    with pytest.raises(UserError, match=r"access key AKIATEST \(env\) lacks s3:PutObject"):
        _mirror(_of(bucket, "out")).check_writable()
    _mirror(_of(bucket, "out")).check_writable()
    assert bucket.names() == [], "the check left something"


def _write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_an_upload_is_seen_whole(bucket):
    """Data, then the index of a checkpoint, then what names the newest one; hidden files never."""
    run = _mirror(_of(bucket, "run"))
    checkpoint = {"ckpt/checkpoint": "3", "ckpt/a-1.index": "2", "ckpt/z-1.data": "1"}
    _write(run.local, **checkpoint, **{".writing/x": "0"}, metrics="4")
    bucket.fail("cut", method="PUT", part="z-1.data")
    bucket.fail("SlowDown", method="PUT", part="a-1.index", status=503)
    assert run.upload() == 4
    put = [path.split("/")[-1] for how, path, _ in bucket.proxy.requests if how == "PUT"]
    order = [name.partition("?")[0] for name in put]
    assert set(order[:-3]) == {"z-1.data", "metrics"}
    assert order[-3:] == ["a-1.index", "a-1.index", "checkpoint"]
    assert run.upload() == 0
    # What goes here goes there, and only what changed is uploaded.
    (run.local / "ckpt/z-1.data").unlink()
    _write(run.local, metrics="45")
    assert run.upload() == 1
    assert bucket.names() == ["run/ckpt/a-1.index", "run/ckpt/checkpoint", "run/metrics"]


def test_an_upload_that_arrives_wrong_is_done_again(bucket, monkeypatch):
    run = _mirror(_of(bucket, "run"))
    _write(run.local, a="whole")
    put, arrived = run._store._files.put_file, []

    def first_half(path, key, **more):
        arrived.append(key)
        if len(arrived) > 1:
            return put(path, key, **more)
        return run._store._files.pipe_file(key, b"wh")

    monkeypatch.setattr(run._store._files, "put_file", first_half)
    run.upload()
    assert bucket.server.files.cat_file(f"{bucket.folder}/run/a") == b"whole"


def test_a_folder_that_is_written_anew_leaves_nothing_of_the_old_one(bucket):
    bucket.put(**{"set/train-0-of-2": b"", "set/train-1-of-2": b"", "set/label_map.pbtxt": b"old"})
    bucket.put(**{"other": b"stays"})
    out = _mirror(_of(bucket))
    _write(out.local, **{"train-0-of-1": "new", "label_map.pbtxt": "new"})
    out.upload(replaces=True)
    assert bucket.names() == ["other", "set/label_map.pbtxt", "set/train-0-of-1"]
    changes = [
        (how, path.split("/")[-1].partition("?")[0])
        for how, path, _ in bucket.proxy.requests
        if how in ("PUT", "DELETE")
    ]
    # Between old and new there is no label map, so no reader takes one for the other.
    assert changes[0] == ("DELETE", "label_map.pbtxt")
    assert changes[-1] == ("PUT", "label_map.pbtxt")


def test_a_run_goes_on_from_what_the_bucket_has(bucket, monkeypatch, tmp_path):
    first = _mirror(_of(bucket, "run"))
    assert first.fetch(must_exist=False) == first.local
    _write(first.local, a="1", b="1")
    first.upload()
    monkeypatch.setenv("ROADMARK_CACHE", str(tmp_path / "another machine"))
    second = _mirror(_of(bucket, "run"))
    assert (second.fetch() / "a").read_text() == "1"
    _write(second.local, a="2")
    (second.local / "b").unlink()
    second.upload()
    # The first one again, which has something that never reached the bucket.
    _write(first.local, c="only here")
    first.fetch()
    assert {path.name: path.read_text() for path in first.local.iterdir()} == {
        "a": "2",
        "c": "only here",
    }


def test_a_run_is_uploaded_while_it_goes_on_whatever_the_network_does(bucket, capfd):
    run = _mirror(_of(bucket, "run"))
    _write(run.local, a="1")
    bucket.fail("AccessDenied", method="PUT", part="/run/a", times=2)
    live = mirror.LiveUpload(run, 0.02)
    try:
        deadline = threading.Event()
        for _ in range(250):
            if bucket.names():
                break
            deadline.wait(0.02)
    finally:
        live.end()
    assert bucket.names() == ["run/a"]
    assert capfd.readouterr().out.count("warning: ") == 1


def test_the_cache_keeps_to_its_limit_and_what_is_needed(bucket, monkeypatch, tmp_path):
    monkeypatch.setenv("ROADMARK_CACHE_GB", "0.000000025")
    for name in ("old", "used", "new"):
        bucket.put(**{f"{name}/a": _TEN})

    def held():
        return sorted(path.parent.name for path in (tmp_path / "cache").rglob("a"))

    def end_process(one):
        one._entry._use.close()

    old, waiting = _mirror(_of(bucket, "old")), _mirror(_of(bucket, "waits"))
    old.fetch()
    end_process(old)
    _write(waiting.local, b="up")
    end_process(waiting)
    # So small that the notes on each entry do not count.
    monkeypatch.setattr(cache, "_size", lambda entry: sum(10 for _ in entry.rglob("a")))
    _fetch(_of(bucket, "used"))
    assert held() == ["old", "used"]
    _fetch(_of(bucket, "new"))
    assert held() == ["new", "used"]
    assert (waiting.local / "b").exists(), "what waits to be uploaded is gone"
    monkeypatch.setenv("ROADMARK_CACHE_GB", "0.000000005")
    bucket.put(**{"more/a": _TEN})
    with pytest.raises(UserError, match="local cache may hold 5e-09 GB; set ROADMARK_CACHE_GB"):
        _fetch(_of(bucket, "more"))
    monkeypatch.setenv("ROADMARK_CACHE_GB", "much")
    with pytest.raises(UserError, match="ROADMARK_CACHE_GB: found 'much'"):
        _fetch(_of(bucket, "more"))


_APP = """
import sys
from pathlib import Path
from roadmark import app
from roadmark.storage import path_flags, store
store._FIRST_PAUSE_S = 0.001
IN = path_flags.define_input("records", None, "Glob.")
SET = path_flags.define_inputs("set", [], "NAME=PATH.")
OUT = path_flags.define_output("out", None, "File.")
RUN = path_flags.define_run("model_dir", None, "Run.", is_live=True)
def main(*words):
    assert "s3fs" not in sys.modules or not {local}
    {body}
app.run(main, any_words=True)
"""


def _run(body, *arguments, local=False):
    code = _APP.replace("{local}", str(local)).replace(
        "{body}", textwrap.indent(body.strip(), "    ")[4:]
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_flags_of_an_app(bucket):
    """One app reads a pattern, a path inside a value and a word, and writes a file and a run."""
    bucket.put(**{"r/t-0": b"a", "r/t-1": b"b", "r/v-0": b"", "map": b"m", "word/x": b"w"})
    body = """
import glob
print([Path(path).name for path in sorted(glob.glob(IN.value))], path_flags.as_given(IN))
print(Path(SET.value[0].removeprefix("map=")).read_text(), (Path(words[0]) / "x").read_text())
Path(OUT.value).parent.mkdir(parents=True, exist_ok=True)
Path(OUT.value).write_text("film"); Path(OUT.value).with_suffix(".json").write_text("found")
run = Path(RUN.value); run.mkdir(exist_ok=True)
file = run / "steps"; file.write_text((file.read_text() if file.exists() else "") + "1")
"""
    given = [
        f"--records={bucket.url}/r/t-*",
        f"--set=map={bucket.url}/map",
        f"--out={bucket.url}/films/x.mp4",
        f"--model_dir={bucket.url}/runs/demo",
        f"{bucket.url}/word",
    ]
    done = _run(body, *given)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"['t-0', 't-1'] {bucket.url}/r/t-*\nm w\n"
    assert f"uploaded 2 files: {bucket.url}/films/x.mp4" in done.stderr
    done = _run(body + "raise KeyboardInterrupt", *given)
    assert done.returncode == 130, done.stderr
    assert bucket.server.files.cat_file(f"{bucket.folder}/runs/demo/steps") == b"11"
    assert {"films/x.mp4", "films/x.json"} <= set(bucket.names())


def test_prepare_from_a_bucket_to_a_bucket(bucket, tmp_path):
    """The real app: its files know nothing of buckets, and name where the set came from."""
    picture = pictures.write(tmp_path / "x.jpg").read_bytes()
    bucket.put(**{f"set/make {n % 2}/{n}.jpg": picture + bytes([n]) for n in range(8)})
    given = [f"--input={bucket.url}/set", f"--out={bucket.url}/cars"]
    done = app_process.run("prepare", tmp_path, "--from=class_folders", *given)
    assert done.returncode == 0, done.stderr
    about = json.loads(bucket.server.files.cat_file(f"{bucket.folder}/cars/class_set.json"))
    assert f"{bucket.url}/set" in json.dumps(about)
    assert sum(name.endswith(".jpg") for name in bucket.names()) > 8
    puts = [path for how, path, _ in bucket.proxy.requests if how == "PUT"]
    assert "class_set.json" in puts[-1]


def test_an_app_without_buckets_imports_nothing_for_them(bucket):
    assert _run("pass", "--records=r/t-*", "word", local=True).returncode == 0


def test_an_apps_refusals(bucket):
    bucket.fail("AccessDenied", method="POST", part="uploads")
    done = _run("print('worked')", f"--out={bucket.url}/x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {bucket.url}/x: access denied: ")
    assert done.stderr.count("\n") == 1
    bucket.fail("ExpiredToken", method="PUT", part="/x", status=400, times=9)
    done = _run("path = Path(OUT.value); path.write_text('1')", f"--out={bucket.url}/x")
    assert done.returncode == 2
    assert "have expired (ExpiredToken); what was to go there is in " in done.stderr
    bucket.proxy.faults = []
    assert _run("pass", f"--out={bucket.url}/x").returncode == 0
    assert bucket.names() == ["x"], "what could not be uploaded went with the next command"
