"""The errors for a photo store that cannot be used."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mondrian.errors import SettingsError
from mondrian.photos import PhotoStore
from support.processes import run

REFUSALS = {
    "none": (404, "NoSuchBucket", "bucket of the photo store is not there"),
    "denied": (403, "AccessDenied", "refuses these credentials"),
}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a bucket store that refuses as S3 does, by the bucket's name."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, code, _ = REFUSALS[self.path.split("/")[1]]
            body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    for name, value in (
        ("ENDPOINT_URL", url), ("REGION", "eu-1"), ("ACCESS_KEY_ID", "me"),
        ("SECRET_ACCESS_KEY", "hush"), ("ALLOW_HTTP", "true"),
    ):  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    yield url
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("bucket", REFUSALS)
def test_a_bucket_that_is_refused_is_said(s3: str, bucket: str) -> None:
    with pytest.raises(SettingsError, match=REFUSALS[bucket][2]) as caught:
        PhotoStore.open(f"s3://{bucket}/photos").check()
    assert "hush" not in str(caught.value)


def test_an_endpoint_in_the_clear_is_said(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(SettingsError, match="AWS_ALLOW_HTTP"):
        PhotoStore.open("s3://none/photos").check()


@pytest.mark.parametrize(("value", "state"), [("", "is empty"), ("sure", "is not understood")])
@pytest.mark.parametrize("name", ["AWS_ALLOW_HTTP", "AWS_SKIP_SIGNATURE"])
def test_a_variable_that_is_no_truth_is_named(
    s3: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, state: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name} {state}. Set it to true or") as caught:
        PhotoStore.open("s3://none/photos")
    assert "hush" not in str(caught.value)


def test_a_folder_is_checked_and_nothing_stays(tmp_path: Path) -> None:
    PhotoStore.open(tmp_path.as_uri()).check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_service_does_not_start_on_a_bucket_that_is_not_there(s3: str, tmp_path: Path) -> None:
    options = ("--port", 0, "--no-worker", "--home", tmp_path, "--photos", "s3://none/photos")
    ran = run("serve", *options)
    assert ran.returncode == 78
    assert "bucket of the photo store is not there" in ran.stderr
