"""Intent and genre on their whole way: form, job, retry, worker, command line, report, page."""

import json
from pathlib import Path

import httpx
import pytest

from mondrian.jobs.job import Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.purpose import GENRES, MAX_INTENT, Purpose, clean_intent, parse_genre
from mondrian.reports import Report, render_fragment, render_markdown, render_pdf
from support.demo_reports import demo_report
from support.processes import run
from support.service import Service
from support.uploads import assert_problem, jpeg
from support.working import Hire, add_job, at_work, recording, wait_for_end

SAID = "backlit on purpose, for a <b>concert</b> poster"


def test_an_intent_is_one_clean_line() -> None:
    assert clean_intent("  dark \n\x1b[2J\u202e on\tpurpose\0 ") == "dark [2J on purpose"
    assert clean_intent("Größe, 写真 📷") == "Größe, 写真 📷"
    assert clean_intent("x" * MAX_INTENT + "\x00 \n") == "x" * MAX_INTENT
    for long in ("x" * 501, "暗" * 501, " x" * 300, "\0" * 6000):
        with pytest.raises(ValueError, match="at most 500 characters"):
            clean_intent(long)


def test_a_genre_is_one_of_those() -> None:
    assert parse_genre(" Night ") == "night"
    assert parse_genre("") == ""
    with pytest.raises(ValueError, match=r"Did you mean portrait\? There are: portrait, landscape"):
        parse_genre("portrit")


def status(service: Service, job: str) -> tuple[str, str]:
    told = service.client.get(f"/status/{job}").json()
    return told["intent"], told["genre"]


def test_a_form_carries_both_and_a_retry_takes_them_over(service: Service) -> None:
    job = service.send(intent=f" {SAID}\x07 ", genre="NIGHT")
    assert status(service, job) == (SAID, "night")
    service.client.post(f"/jobs/{job}/cancel")
    retried = service.client.post(f"/jobs/{job}/retry").json()["job_id"]
    assert status(service, retried) == (SAID, "night")
    fields = {"advisor": "weston", "intent": "", "genre": "street"}
    other = service.client.post(f"/jobs/{job}/retry", data=fields).json()["job_id"]
    assert status(service, other) == ("", "street")


def test_a_bad_field_is_refused_with_what_to_do(service: Service) -> None:
    for fields, words in (
        ({"intent": "x" * 501}, "An intent has at most 500 characters"),
        ({"genre": "selfie"}, "There are: portrait, landscape, street"),
    ):
        files = {"image": ("p.jpg", jpeg())}
        answer = service.client.post("/upload", files=files, data=fields)
        assert_problem(answer, 400, "invalid_request")
        assert words in answer.json()["error"]


def test_the_same_key_with_another_intent_is_a_conflict(service: Service) -> None:
    def send(**fields: str) -> httpx.Response:
        files, headers = {"image": ("p.jpg", jpeg())}, {"Idempotency-Key": "purpose"}
        return service.client.post("/upload", files=files, data=fields, headers=headers)

    first = send(intent="dark")
    assert send(intent="dark").json() == first.json()
    assert send(intent="bright").status_code == send().status_code == 409


def test_the_page_asks_and_shows(service: Service) -> None:
    html = {"accept": "text/html"}
    form = service.client.get("/", headers=html).text
    assert 'name="intent" maxlength="500"' in form
    assert all(f"<option>{genre}</option>" in form for genre in GENRES)
    page = service.client.get(f"/jobs/{service.send(intent=SAID)}", headers=html).text
    assert "“backlit on purpose, for a &lt;b&gt;concert&lt;/b&gt; poster”" in page


@pytest.mark.slow
def test_a_job_is_critiqued_by_its_purpose_also_after_its_worker_was_lost(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    said = recording(tmp_path)
    only_if = {"when": 'The photographer\'s words: "dark on purpose"', "text": "Thinking: "}
    path = Path(said.removeprefix("replay:"))
    path.write_text(json.dumps(only_if) + "\n" + path.read_text())
    job = add_job(store, photos, intent="dark on purpose", genre="night")
    assert store.claim("lost", 0.0)  # and never heard of again
    with at_work(hire(said)):
        done = wait_for_end(store, job)
    assert (done.status, done.attempt) == (Status.DONE, 2)
    [answer] = store.read_reports(job.id)
    assert answer.text.startswith("Thinking: ")
    report = Report.model_validate(answer.report)
    assert (report.intent, report.genre) == ("dark on purpose", "night")


@pytest.mark.slow
def test_the_command_line_shows_it_in_every_format(tmp_path: Path) -> None:
    photo, html, md = tmp_path / "p.jpg", tmp_path / "p.html", tmp_path / "p.md"
    photo.write_bytes(jpeg(colour="#040404"))
    options = ("--engine", recording(tmp_path), "--intent", SAID, "--genre", "Night")
    done = run("critique", photo, *options, "--html", html)
    assert done.returncode == 0, done.stderr
    for shown in (done.stdout, html.read_text()):
        words = " ".join(shown.replace("│", " ").split())
        assert "Judged as a night photograph." in words
        assert "Not counted as a fault: " in words
    assert "&lt;b&gt;concert" in html.read_text()
    assert run("critique", photo, *options, "-o", md, "-q").returncode == 0
    assert "“backlit on purpose, for a \\<b\\>concert\\</b\\> poster”" in md.read_text()
    long = run("critique", photo, "--intent", "x" * 501)
    assert long.returncode == 78
    assert "at most 500 characters" in long.stderr
    assert len(long.stderr) < 400
    assert "Did you mean night?" in run("critique", photo, "--genre", "nigt").stderr


@pytest.mark.slow
def test_a_folder_is_judged_anew_for_another_purpose(tmp_path: Path) -> None:
    folder, home = tmp_path / "photos", tmp_path / "home"
    folder.mkdir()
    (folder / "p.jpg").write_bytes(jpeg())
    options = ("-r", "-e", recording(tmp_path), "--home", home, "-q")
    for purpose in ((), ("--genre", "night"), ("--genre", "night"), ("--intent", "dark"), ()):
        assert run("critique", folder, *options, *purpose).returncode == 0
    lines = [json.loads(line) for line in (home / "judgements.jsonl").read_text().splitlines()]
    assert [line["purpose"] for line in lines] == ["", "night: ", ": dark"]


def test_a_purpose_as_text_tells_one_from_another() -> None:
    texts = {str(Purpose(intent=i, genre=g)) for i in ("", "night", "x") for g in ("", "night")}
    assert len(texts) == 6


def test_reports_show_it_everywhere_as_text() -> None:
    report = demo_report().model_copy(
        update={"intent": SAID, "genre": "macro", "choices": ("dark on purpose, as you said",)}
    )
    fragment = render_fragment(report)
    assert "<p>What the photographer meant: “backlit on purpose, for a &lt;b&gt;" in fragment
    assert "<p>Not counted as a fault: dark on purpose, as you said.</p>" in fragment
    assert "Judged as a macro photograph." in render_markdown(report)
    assert len(render_pdf([report])) > len(render_pdf([demo_report()]))
    assert "purpose" not in render_fragment(demo_report())
    old = demo_report().model_dump(mode="json")
    for name in ("intent", "genre", "choices"):
        del old[name]
    assert Report.model_validate(old) == demo_report()
