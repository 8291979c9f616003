"""Webhooks: their messages, receivers, retries and forbidden addresses."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from mondrian.errors import InvalidRequest, SettingsError
from mondrian.jobs.webhooks import Deliverer, check_settings, deliver, read_target
from mondrian.jobs.webhooks.urls import is_allowed
from mondrian.settings import Settings
from support.receiver import SECRET, Receiver, dripping, receiving
from support.service import Service, another
from support.uploads import assert_problem, jpeg
from support.working import wait_for

LOCAL = ("127.0.0.0/8",)


@pytest.fixture(scope="module")
def one_told(one_service: Service) -> Iterator[Service]:
    """The server with a secret, which lets callbacks lead to this machine."""
    with another(one_service, webhook_secret=SECRET, webhook_networks=LOCAL) as service:
        yield service


@pytest.fixture
def told(one_told: Service, service: Service) -> Service:
    return one_told


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def deliverer(service: Service, *delays: float, **settings: Any) -> Deliverer:
    given = {"webhook_secret": SECRET, "webhook_networks": LOCAL} | settings
    return Deliverer(
        service.store,
        Settings(**given),
        base_url="http://photos.test",
        delays_seconds=delays or (0.0, 0.0),
    )


def deliver_next(service: Service, *delays: float, **settings: Any) -> bool:
    """Deliver a webhook that is due, and say whether there was one."""
    delivery = service.store.claim_webhook(60)
    if delivery:
        deliverer(service, *delays, **settings).deliver(delivery)
    return delivery is not None


def callbacks(service: Service, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.client.get(f"/job/{job}/full-data").json()["webhooks"]
    return found


def test_the_end_of_a_job_is_told_with_its_scores(told: Service, receiver: Receiver) -> None:
    job = told.done(advisor="ansel,okeefe", callback_url=receiver.url)
    assert deliver_next(told)
    [message] = receiver.messages()
    assert message["type"] == "critique.done"
    said = message["data"]
    state = told.client.get(f"/status/{job}").json()
    assert (said["job_id"], said["status"], said["score"]) == (job, "done", state["score"])
    assert [each["advisor"] for each in said["scores"]] == ["ansel", "okeefe"]
    assert len(said["scores"][0]["dimensions"]) == 8
    assert told.client.get(said["links"]["report"]).status_code == 200
    [kept] = callbacks(told, job)
    assert kept == {
        "url": receiver.url,
        "status": "delivered",
        "attempts": 1,
        "outcome": "answered 204",
    }
    assert not deliver_next(told)


def test_nothing_is_told_before_the_end(told: Service, receiver: Receiver) -> None:
    told.send(callback_url=receiver.url)
    assert not deliver_next(told)
    claim = told.claim()
    assert not deliver_next(told)
    error = {"code": "engine_failed", "message": "No.", "retryable": True}
    told.store.finish(claim, error=error)
    assert deliver_next(told)
    [message] = receiver.messages()
    assert (message["type"], message["data"]["error"]) == ("critique.failed", error)


def test_a_cancelled_job_is_told_too(told: Service, receiver: Receiver) -> None:
    told.client.post(f"/jobs/{told.send(callback_url=receiver.url)}/cancel")
    assert deliver_next(told)
    assert receiver.messages()[0]["type"] == "critique.cancelled"


def test_a_failed_attempt_is_made_again_with_the_same_id(told: Service) -> None:
    with receiving(500, 404, 204) as receiver:
        job = told.done(callback_url=receiver.url)
        for _ in range(3):
            assert deliver_next(told)
        assert len(receiver.messages()) == 3
    assert len(set(receiver.ids)) == 1
    assert callbacks(told, job)[0]["status"] == "delivered"


def test_it_is_given_up_in_the_end(told: Service) -> None:
    with receiving(503) as receiver:
        job = told.done(callback_url=receiver.url)
        while deliver_next(told):
            pass
    assert len(receiver.got) == 3
    [kept] = callbacks(told, job)
    assert (kept["status"], kept["outcome"]) == ("failed", "answered 503")
    assert b'mondrian_webhooks{status="failed"} 1.0' in told.client.get("/metrics").content


def test_a_receiver_that_is_gone_is_not_asked_again(told: Service) -> None:
    with receiving(410) as receiver:
        told.done(callback_url=receiver.url)
        while deliver_next(told):
            pass
    assert len(receiver.got) == 1


def test_a_receiver_may_say_when_to_come_again(told: Service, receiver: Receiver) -> None:
    with receiving(429, headers=[("Retry-After", "600")]) as busy:
        told.done(callback_url=busy.url)
        assert deliver_next(told)
        assert not deliver_next(told)


def test_delays_grow() -> None:
    assert list(deliver.DELAYS_SECONDS) == sorted(deliver.DELAYS_SECONDS)
    assert timedelta(hours=24) < timedelta(seconds=sum(deliver.DELAYS_SECONDS)) < timedelta(days=3)


def test_a_claim_is_for_one_server_until_its_lease_is_over(
    told: Service, receiver: Receiver
) -> None:
    told.done(callback_url=receiver.url)
    taken = told.store.claim_webhook(lease_seconds=0.5)
    assert taken
    assert not told.store.claim_webhook(lease_seconds=0.5)
    again = wait_for(lambda: told.store.claim_webhook(lease_seconds=60))
    assert (again.id, again.attempts) == (taken.id, 2)
    told.store.finish_webhook(taken, "failed", "too late")
    told.store.finish_webhook(again, "delivered", "answered 204")
    assert callbacks(told, str(taken.job_id))[0]["outcome"] == "answered 204"


def test_one_host_does_not_take_all_the_slots(told: Service, receiver: Receiver) -> None:
    for _ in range(3):
        told.done(callback_url=receiver.url)
    told.done(callback_url=receiver.url.replace("127.0.0.1", "127.0.0.2"))
    hosts = [told.store.claim_webhook(60) for _ in range(4)]
    assert [each and each.host for each in hosts] == ["127.0.0.1", "127.0.0.1", "127.0.0.2", None]


def test_the_server_tells_of_every_job(service: Service, receiver: Receiver) -> None:
    settings = {"webhook": receiver.url, "webhook_secret": SECRET}
    with another(service, **settings) as told:
        told.done()
        told.done(callback_url="http://nowhere.invalid/")
        assert deliver_next(told, **settings, webhook_networks=())
        wait_for(lambda: not deliver_next(told, **settings, webhook_networks=()))
    assert [each["type"] for each in receiver.messages()] == ["critique.done"] * 2
    assert receiver.messages()[0]["data"]["links"]["job"].startswith("http://photos.test/jobs/")


def test_a_thread_delivers(told: Service, receiver: Receiver) -> None:
    left = threading.Event()
    thread = threading.Thread(target=deliverer(told).run, args=[left])
    thread.start()
    for _ in range(3):
        told.done(callback_url=receiver.url)
    wait_for(lambda: len(receiver.got) == 3)
    left.set()
    thread.join(10)
    assert len(set(receiver.ids)) == 3


def test_a_retry_keeps_the_callback(told: Service, receiver: Receiver) -> None:
    job = told.done(callback_url=receiver.url)
    again = told.client.post(f"/jobs/{job}/retry").json()["job_id"]
    assert [each["url"] for each in callbacks(told, again)] == [receiver.url]


def test_one_key_and_another_callback_are_a_conflict(told: Service, receiver: Receiver) -> None:
    headers, photo = {"Idempotency-Key": "k1"}, {"image": ("p.jpg", jpeg())}

    def send(**fields: str) -> Any:
        return told.client.post("/upload", files=photo, data=fields, headers=headers)

    job = send(callback_url=receiver.url).json()["job_id"]
    assert send(callback_url=receiver.url).json()["job_id"] == job
    assert_problem(send(), 409, "job_conflict")
    assert len(callbacks(told, job)) == 1


def test_two_secrets_sign_while_one_replaces_the_other(told: Service, receiver: Receiver) -> None:
    other = "whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhlc2UgdGVzdHM="
    told.done(callback_url=receiver.url)
    deliver_next(told, webhook_secret=f"{other},{SECRET}")
    [(headers, body)] = receiver.got
    assert Webhook(other).verify(body, headers) == Webhook(SECRET).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


# where it is never told


def test_no_redirect_is_followed(told: Service, receiver: Receiver) -> None:
    with receiving(307, headers=[("Location", receiver.url)]) as elsewhere:
        job = told.done(callback_url=elsewhere.url)
        deliver_next(told)
    assert not receiver.got
    assert callbacks(told, job)[0]["outcome"] == "answered 307: redirects are not followed"


def test_a_name_is_checked_when_it_is_resolved(
    service: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebind(host: str, port: int, *args: Any, **named: Any) -> Any:
        if host != "rebinds.test":
            return real(host, port, *args, **named)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    url = receiver.url.replace("127.0.0.1", "rebinds.test")
    with another(service, webhook_secret=SECRET) as told:
        job = told.done(callback_url=url)
        deliver_next(told, webhook_networks=())
        assert (len(asked), receiver.got) == (1, [])
        [kept] = callbacks(told, job)
        assert kept["status"] == "failed"
        assert "private" in kept["outcome"]
        told.done(callback_url=url)
        deliver_next(told)
    assert len(asked) == 2  # one answer of the DNS is checked and used
    assert receiver.got[0][0]["host"].startswith("rebinds.test:")


def test_an_answer_without_end_is_left(told: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "TIMEOUT_SECONDS", 0.6)
    with dripping() as url:
        job = told.done(callback_url=url)
        deliver_next(told)
    assert callbacks(told, job)[0]["outcome"] == "no answer in 1 s"


def test_a_certificate_must_be_of_a_known_authority(told: Service, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
         "-days", "2", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.timeout = 10
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    job = told.done(callback_url=f"https://127.0.0.1:{server.server_port}/")
    deliver_next(told)
    thread.join()
    server.server_close()
    assert callbacks(told, job)[0]["outcome"] == "its certificate is not accepted"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://127.1/", "http://[::1]/", "http://localhost:8000/x",
        "http://169.254.169.254/latest/meta-data/", "http://10.1.2.3/", "http://192.168.0.1/",
        "http://[fd00:ec2::254]/", "http://[fe80::1]/", "http://[::ffff:127.0.0.1]/",
        "http://metadata.google.internal/", "http://printer.local/", "http://0.0.0.0/",
        "http://100.100.100.200/", "http://168.63.129.16/", "http://[64:ff9b::7f00:1]/",
        "ftp://example.org/", "example.org/x", "http://", "http://a:b@example.org/",
        "https://example.org/#x", "http://[", f"https://example.org/{'x' * 2000}",
    ],
)  # fmt: skip
def test_callbacks_that_are_refused_at_once(url: str) -> None:
    if url == "http://127.1/":  # a spelling of the resolver's, found when it resolves it
        assert read_target(url).host == "127.1"
        return
    with pytest.raises(InvalidRequest, match="callback_url"):
        read_target(url)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), ())


def test_names_of_all_scripts_are_understood() -> None:
    assert read_target("https://bücher.example/x?y=1").host == "xn--bcher-kva.example"


def test_without_a_secret_there_are_no_callbacks(service: Service) -> None:
    answer = service.client.post(
        "/upload",
        files={"image": ("p.jpg", jpeg())},
        data={"callback_url": "https://example.org/told"},
    )
    assert_problem(answer, 400, "invalid_request")
    assert "MONDRIAN_WEBHOOK_SECRET" in answer.json()["error"]
    assert service.store.list_jobs() == []


@pytest.mark.parametrize(
    "settings",
    [
        {"webhook": "https://example.org/"},
        {"webhook_secret": "whsec_short"},
        {"webhook_secret": "c2VjcmV0cyBvZiB0aGVzZSB0ZXN0cyBvbmx5"},
        {"webhook": "file:///etc/passwd", "webhook_secret": SECRET},
        {"webhook_secret": SECRET, "webhook_networks": "home"},
    ],
)
def test_settings_that_cannot_be_used(settings: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        check_settings(Settings.read(**settings))
    assert "c2VjcmV0" not in caught.value.message
