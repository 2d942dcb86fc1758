"""Fetching from a real S3 server: moto's, on the loopback."""

import hashlib

import pytest
import s3fs
from moto.server import ThreadedMotoServer

from roadmark.classification import class_preparation, class_set, remote
from roadmark.classification.class_preparation import Options
from roadmark.errors import UserError
from roadmark.testing import pictures


@pytest.fixture(scope="module")
def server():
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch, request):
    """The name of a bucket of the test's own, and its file system."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", server),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote, "_FIRST_WAIT_S", 0.01)
    store = s3fs.S3FileSystem(endpoint_url=server, skip_instance_cache=True)
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    store.mkdir(name)
    return name, store


def _put(bucket, **files) -> str:
    name, store = bucket
    for path, data in files.items():
        store.pipe_file(f"{name}/cars/{path.replace('__', '/')}.bin", data)
    return f"s3://{name}/cars"


def _count_reads(monkeypatch) -> list:
    reads, read = [], s3fs.S3FileSystem.cat_file

    def counted(self, path, start=None, end=None, **more):
        reads.append((path.rsplit("/", 1)[-1], start))
        return read(self, path, start=start, end=end, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "cat_file", counted)
    return reads


def test_a_prefix_is_fetched_once(bucket, tmp_path, monkeypatch):
    url = _put(bucket, a__1=b"one", a__2=b"two", b__3=b"")
    reads = _count_reads(monkeypatch)
    folder = remote.fetch(url, tmp_path)
    assert (folder / "a" / "1.bin").read_bytes() == b"one"
    assert (folder / "b" / "3.bin").read_bytes() == b""
    assert len(reads) == 2
    assert remote.fetch(url + "/", tmp_path) == folder
    assert len(reads) == 2
    _put(bucket, a__2=b"new")
    remote.fetch(url, tmp_path)
    assert reads[2:] == [("2.bin", 0)]
    assert (folder / "a" / "2.bin").read_bytes() == b"new"


def test_what_has_gone_from_the_bucket_goes_here_too(bucket, tmp_path):
    url = _put(bucket, a__1=b"one", a__2=b"two")
    folder = remote.fetch(url, tmp_path)
    bucket[1].rm_file(f"{bucket[0]}/cars/a/2.bin")
    remote.fetch(url, tmp_path)
    assert not (folder / "a" / "2.bin").exists()


def test_a_single_object(bucket, tmp_path):
    url = _put(bucket, one=b"1")
    assert remote.fetch(f"{url}/one.bin", tmp_path).read_bytes() == b"1"


def test_a_broken_connection_is_tried_again_where_it_stopped(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "_BLOCK", 4)
    url = _put(bucket, a=b"0123456789")
    reads, read, failures = [], s3fs.S3FileSystem.cat_file, [ConnectionResetError("gone")]

    def sometimes(self, path, start=None, end=None, **more):
        reads.append(start)
        if start == 4 and failures:
            raise failures.pop()
        return read(self, path, start=start, end=end, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "cat_file", sometimes)
    folder = remote.fetch(url, tmp_path)
    assert (folder / "a.bin").read_bytes() == b"0123456789"
    assert reads == [0, 4, 4, 8]


def test_a_half_downloaded_object_goes_on_in_the_next_run(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "_BLOCK", 4)
    url = _put(bucket, a=b"0123456789")
    read = s3fs.S3FileSystem.cat_file

    def broken(self, path, start=None, end=None, **more):
        if start:
            raise ConnectionResetError("gone")
        return read(self, path, start=start, end=end, **more)

    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "cat_file", broken)
        with pytest.raises(UserError, match="not whole after 5 tries: Connection") as error:
            remote.fetch(url, tmp_path)
    assert "repeat the command" in str(error.value)
    assert not list(tmp_path.rglob("a.bin"))
    reads = _count_reads(monkeypatch)
    assert (remote.fetch(url, tmp_path) / "a.bin").read_bytes() == b"0123456789"
    assert [start for _, start in reads] == [4, 8]


def test_bytes_that_are_not_the_stores_are_refused(bucket, tmp_path, monkeypatch):
    url = _put(bucket, a=b"0123456789")
    monkeypatch.setattr(
        s3fs.S3FileSystem, "cat_file", lambda self, path, start, end: b"x" * (end - start)
    )
    with pytest.raises(UserError, match=r"found MD5 .*, expected 781e5e245d69b566979b86e28d23f2c7"):
        remote.fetch(url, tmp_path)
    monkeypatch.setattr(s3fs.S3FileSystem, "cat_file", lambda self, path, start, end: b"x")
    with pytest.raises(UserError, match="found 1 bytes, expected 10"):
        remote.fetch(url, tmp_path)
    assert not list(tmp_path.rglob("a.bin"))


@pytest.mark.parametrize("path", ["{}/none", "no-such-bucket-anywhere/cars"])
def test_what_is_not_there_is_one_line(bucket, tmp_path, path):
    with pytest.raises(UserError, match="no such object or prefix"):
        remote.fetch(f"s3://{path.format(bucket[0])}", tmp_path)


def test_no_server_is_one_line(bucket, tmp_path, monkeypatch):
    del bucket
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(remote, "_TRIES", 1)
    with pytest.raises(UserError, match="cannot be reached"):
        remote.fetch("s3://cars/x", tmp_path)


def test_prepare_takes_a_bucket(bucket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, store = bucket
    for number in range(6):
        path = pictures.write(tmp_path / f"{number}.jpg")
        store.put_file(str(path), f"{name}/set/make {number % 2}/{number}.jpg")
    url = f"s3://{name}/set"
    class_preparation.prepare(Options("class_folders", url, tmp_path / "out"))
    found = class_set.load(tmp_path / "out")
    assert found.classes == ("make 0", "make 1")
    assert found.about["input"] == url
    assert len(found.entries) == 6
