"""Advisors travel with their jobs: a worker needs no files of them."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from mondrian.advisors import Advisor, load_advisors
from mondrian.advisors.encode import decode_advisor, encode_advisor, hash_advisor
from mondrian.errors import InvalidAdvisor
from mondrian.jobs.job import Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.worker.advisors import JobAdvisors
from support.processes import started_at_once
from support.store import new_job
from support.working import Hire, add_job, at_work, jpeg, recording, wait_for, wait_for_end

OWN = """---
name: Zoe Quill
weights: {Lighting: 4}
---
Look for the quill.
"""


@pytest.fixture
def zoe(tmp_path: Path) -> Advisor:
    (tmp_path / "advisors").mkdir()
    (tmp_path / "advisors" / "zoe.md").write_text(OWN)
    return load_advisors(tmp_path)["zoe"]


@pytest.mark.parametrize("name", load_advisors())
def test_an_advisor_survives_encoding(name: str) -> None:
    advisor = load_advisors()[name]
    text = encode_advisor(advisor)
    assert decode_advisor(text) == advisor
    assert hash_advisor(text) != hash_advisor(encode_advisor(replace(advisor, prompt="Other.")))


def test_what_is_no_advisor_is_said() -> None:
    with pytest.raises(InvalidAdvisor, match="advisor of the job"):
        decode_advisor("{}")


def test_a_worker_finds_advisors_as_they_were(store: Store, zoe: Advisor) -> None:
    versions = store.keep_advisors({"zoe": zoe, "ansel": load_advisors()["ansel"]})
    assert store.keep_advisors({"zoe": zoe}) == {"zoe": versions["zoe"]}
    job = store.add(
        new_job(advisors=("zoe", "ansel"), advisor_versions=(versions["zoe"], versions["ansel"]))
    )
    changed = {"zoe": replace(zoe, prompt="Changed since.")}
    found = JobAdvisors(store, changed).find(store.read(job.id))
    assert found == [zoe, load_advisors()["ansel"]]


def test_jobs_of_older_programs_and_lost_versions_take_the_workers_own(
    store: Store, zoe: Advisor
) -> None:
    advisors = JobAdvisors(store, {"zoe": zoe})
    assert advisors.find(new_job(advisors=("zoe",))) == [zoe]
    assert advisors.find(new_job(advisors=("zoe",), advisor_versions=("gone",))) == [zoe]


def test_a_job_is_done_by_a_worker_that_does_not_know_its_advisor(
    store: Store, photos: PhotoStore, hire: Hire, tmp_path: Path, zoe: Advisor
) -> None:
    versions = store.keep_advisors({"zoe": zoe})
    with at_work(hire(recording(tmp_path))):
        known = add_job(store, photos, "zoe", advisor_versions=(versions["zoe"],))
        unknown = add_job(store, photos, "zoe")
        assert wait_for_end(store, known).status is Status.DONE
        assert wait_for_end(store, unknown).error["code"] == "unknown_advisor"  # type: ignore[index]
    [report] = store.read_reports(known.id)
    assert report.report["advisor_name"] == "Zoe Quill"


@pytest.mark.slow
def test_a_server_sends_its_advisors_with_its_jobs(
    database: str, tmp_path: Path, store: Store, zoe: Advisor
) -> None:
    common = ("--database", database, "--photos", (tmp_path / "photos").as_uri())
    with started_at_once(
        ("serve", "--port", 0, "--no-worker", "--home", tmp_path, *common),
        ("worker", "--home", tmp_path / "other", "--engine", recording(tmp_path), *common),
    ) as [(_, url), _]:
        photo = {"image": jpeg()}
        answer = httpx.post(f"{url}/upload", files=photo, data={"advisor": "zoe"}, timeout=60)
        [job] = store.list_jobs()
        assert (str(job.id), len(job.advisor_versions)) == (answer.json()["job_id"], 1)
        wait_for(lambda: store.read(job.id).status is Status.DONE)
