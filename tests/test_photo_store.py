import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mondrian.errors import (
    JobNotFound,
    PhotoStoreUnavailable,
    SettingsError,
)
from mondrian.photos import (
    PhotoStore,
)


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as a photo store asks for, over real HTTP."""

    objects: dict[str, bytes]
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (("ETag", '"0"'), ("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT")):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200)

    def do_GET(self) -> None:
        if "?" in self.path:
            self.answer(200, self.listing())
        elif self.path in self.objects:
            self.answer(200, self.objects[self.path])
        else:
            self.answer(404)

    def do_DELETE(self) -> None:
        self.objects.pop(self.path, None)
        self.answer(204)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        key = body.split("<Key>")[1].split("</Key>")[0]
        self.objects.pop(f"/bucket/{key}", None)
        deleted = f"<DeleteResult><Deleted><Key>{key}</Key></Deleted></DeleteResult>"
        self.answer(200, deleted.encode())

    def listing(self) -> bytes:
        found = "".join(
            f"<Contents><Key>{path.removeprefix('/bucket/')}</Key><Size>{len(body)}</Size>"
            "<LastModified>1970-01-01T00:00:00Z</LastModified><ETag>0</ETag></Contents>"
            for path, body in self.objects.items()
        )
        return f"<ListBucketResult>{found}</ListBucketResult>".encode()

    def log_message(self, *_: object) -> None:
        pass


def s3(monkeypatch: pytest.MonkeyPatch, port: int) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return "s3://bucket/photos"


@pytest.fixture(params=["file", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PhotoStore]:
    if request.param == "file":
        yield PhotoStore.open((tmp_path / "Fotos für #1" / "100 %").as_uri())
        assert os.listdir(tmp_path) == ["Fotos für #1"]
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Bucket,), {"objects": {}}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield PhotoStore.open(s3(monkeypatch, server.server_port))
    server.shutdown()
    server.server_close()


def test_photos_are_kept(store: PhotoStore) -> None:
    store.put("job-1.jpg", b"old")
    store.put("job-1.jpg", b"first")
    store.put("2024/job_2.jpg", b"second one")
    assert store.get("job-1.jpg") == b"first"
    store.delete("job-1.jpg")
    store.delete("job-1.jpg")
    with pytest.raises(JobNotFound, match="no longer stored"):
        store.get("job-1.jpg")
    assert store.get("2024/job_2.jpg") == b"second one"


@pytest.mark.parametrize(
    "key", ["", "/a", "../a", "a/../b", "a//b", "a\nb", "a\n", "a b", "é", "a#1"]
)
def test_odd_keys_are_refused(store: PhotoStore, key: str) -> None:
    for act in (lambda: store.put(key, b""), lambda: store.get(key), lambda: store.delete(key)):
        with pytest.raises(ValueError, match="not a key"):
            act()


def test_a_folder_url_may_be_written_plainly(tmp_path: Path) -> None:
    PhotoStore.open(f"file://{tmp_path}/two words").put("a.jpg", b"1")
    assert (tmp_path / "two words" / "a.jpg").read_bytes() == b"1"


@pytest.mark.parametrize(
    "url", ["", "/photos", "file://photos", "s3://", "ftp://host/photos", "s3:///a"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="Use file:///folder or s3://bucket/prefix"):
        PhotoStore.open(url)


def test_a_store_that_fails_is_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    store = PhotoStore.open(folder.as_uri())
    folder.rmdir()
    folder.write_text("a file where the folder was")
    for act in (lambda: store.put("a", b""), lambda: store.delete("a"), lambda: store.get("a")):
        with pytest.raises(PhotoStoreUnavailable):
            act()
    with pytest.raises(PhotoStoreUnavailable, match="Check its folder"):
        PhotoStore.open(f"{folder.as_uri()}/below")


def test_a_bucket_that_cannot_be_reached_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PhotoStoreUnavailable):
        PhotoStore.open(s3(monkeypatch, 9)).put("a", b"")


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """In a namespace of its own, so that a small file system can be mounted."""
    code = """if True:
        import sys, os
        from mondrian.errors import StorageFull
        from mondrian.photos import PhotoStore
        store = PhotoStore.open("file://" + sys.argv[1])
        store.put("a.jpg", b"small")
        try:
            store.put("b.jpg", bytes(1_000_000))
        except StorageFull:
            assert os.listdir(sys.argv[1]) == ["a.jpg"], os.listdir(sys.argv[1])
            print("full")
    """
    mount = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" -c "$3" "$1"'
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*own, 'mount -t tmpfs tmpfs "$1"', "", tmp_path], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no namespaces here")
    arguments = [*own, mount, "", str(tmp_path), sys.executable, code]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert ran.stdout == "full\n"
