"""The JSON of requests and responses, as in /openapi.json."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from mondrian.answers import Dimension
from mondrian.api.links import Links
from mondrian.jobs.job import Job, Status, StepPhase, parse_job_id
from mondrian.jobs.queue import Place
from mondrian.purpose import GENRES
from mondrian.reports import Report

JOB_ID = "0b8f5f3e-8f0c-4c7e-9a53-3f1f5c9f2a10"
_BASE = "http://127.0.0.1:5005"


def _make_example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]})


class Problem(BaseModel):
    """An error."""

    model_config = _make_example(
        error="There is no such job. It may have been deleted, or its time may have run out.",
        code="job_not_found",
    )

    error: str = Field(description="What went wrong and what to do.")
    code: str = Field(description="A code for programs; docs/errors.md lists them.")


class ChatProblem(BaseModel):
    """An error of the routes that OpenAI's clients use."""

    error: dict[str, Any] = Field(description="`message`, `type`, `param` and `code`.")


class UploadAnswer(BaseModel):
    """A photo was accepted."""

    model_config = _make_example(
        job_id=JOB_ID,
        filename="0b8f5f3e-boats.jpg",
        advisor="ansel",
        advisors_used=["ansel"],
        status="queued",
        mode="baseline",
        enable_rag=False,
        status_url=f"{_BASE}/status/{JOB_ID}",
        stream_url=f"{_BASE}/stream/{JOB_ID}",
        analysis_url=f"{_BASE}/analysis/{JOB_ID}",
    )

    job_id: UUID
    filename: str
    advisor: str = Field(description="Who critiques; several are joined by commas.")
    advisors_used: list[str]
    status: Status
    mode: str
    enable_rag: bool
    status_url: str
    stream_url: str
    analysis_url: str

    @classmethod
    def of(cls, job: Job, links: Links) -> Self:
        """Return the answer to an upload; the same for each repetition."""
        is_pending = job.status is Status.PENDING
        return cls(
            job_id=job.id,
            filename=job.filename,
            advisor=",".join(job.advisors),
            advisors_used=list(job.advisors),
            status=Status.PENDING if is_pending else Status.QUEUED,
            mode=job.mode,
            enable_rag=job.enable_rag,
            **links.make_job_urls(job.id),
        )


class JobState(BaseModel):
    """A job, and how far it is."""

    model_config = _make_example(
        job_id=JOB_ID,
        id=JOB_ID,
        filename="0b8f5f3e-boats.jpg",
        advisor="ansel",
        mode="baseline",
        mode_used="baseline",
        enable_rag=False,
        status="analyzing",
        current_step="Ansel Adams looks at the photo",
        step_phase="advisor_analysis",
        progress_percentage=62,
        progress=62,
        llm_thinking="Generating analysis... (150 tokens, 44.1 tps)",
        current_advisor=1,
        total_advisors=1,
        attempt=1,
        error=None,
        score=None,
        intent="backlit on purpose, for a concert poster",
        genre="night",
        retry_of=None,
        queue_position=None,
        eta_seconds=14.2,
        created_at="2025-05-04T10:00:00Z",
        started_at="2025-05-04T10:00:01Z",
        completed_at=None,
        status_url=f"{_BASE}/status/{JOB_ID}",
        stream_url=f"{_BASE}/stream/{JOB_ID}",
        analysis_url=f"{_BASE}/analysis/{JOB_ID}",
    )

    job_id: UUID
    id: UUID
    filename: str
    advisor: str = Field(description="Who critiques; several are joined by commas.")
    mode: str
    mode_used: str
    enable_rag: bool
    status: Status | Literal["completed"] = Field(
        description="`completed` in place of `done` with MONDRIAN_DONE_STATUS=completed."
    )
    current_step: str
    step_phase: StepPhase
    progress_percentage: int = Field(ge=0, le=100)
    progress: int = Field(ge=0, le=100, description="The same.")
    llm_thinking: str
    current_advisor: int = Field(description="Counts from 1; 0 before the first begins.")
    total_advisors: int
    attempt: int
    error: dict[str, Any] | None = Field(description="`code`, `message` and `retryable`.")
    score: float | None = Field(
        None, description="The mean of its reports' overall scores, 1 to 10; null until it is done."
    )
    retry_of: UUID | None = Field(None, description="The job whose photo it took over.")
    intent: str = Field("", description="What the photographer meant; empty if nothing was said.")
    genre: str = Field("", description=f"Empty, or one of {', '.join(GENRES)}.")
    queue_position: int | None = Field(None, description="From 1, while it is queued.")
    eta_seconds: float | None = Field(
        None, description="Until its turn while it is queued, then until its end; null if unknown."
    )
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    status_url: str
    stream_url: str
    analysis_url: str

    @classmethod
    def of(cls, job: Job, links: Links, place: Place | None = None) -> Self:
        """Return the state of ``job``, with its ``place`` in the queue or at work."""
        same = (
            "id", "filename", "mode", "mode_used", "enable_rag", "status", "current_step",
            "step_phase", "llm_thinking", "current_advisor", "total_advisors", "attempt", "error",
            "created_at", "started_at", "completed_at", "score", "retry_of",
            "intent", "genre",
        )  # fmt: skip
        fields: dict[str, Any] = {name: getattr(job, name) for name in same}
        if place:
            fields |= {"queue_position": place.position, "eta_seconds": place.eta_seconds}
            if job.status is Status.QUEUED and place.position:
                fields["llm_thinking"] = str(place)
        return cls(
            job_id=job.id,
            advisor=",".join(job.advisors),
            progress_percentage=job.progress,
            progress=job.progress,
            **fields | links.make_job_urls(job.id),
        )

    def with_done_status(self, word: Literal["done", "completed"]) -> Self:
        """Return the state with ``word`` for a job that is done."""
        is_other = self.status is Status.DONE and word == "completed"
        return self.model_copy(update={"status": word}) if is_other else self


class JobFilter(BaseModel):
    """The filter and cursor of a list of jobs. ``sort=score`` lists jobs with a score, best first;
    its cursor is ``below`` (the last one's ``score``) with ``before`` and ``before_id``."""

    limit: int = Field(50, ge=1, le=1000)
    before: datetime | None = Field(None, description="Only jobs created before.")
    before_id: UUID | None = Field(
        None, description="With `before`: also jobs created at that time, with a lower id."
    )
    below: float | None = Field(None, description="Only jobs with a lower score, or the same and "
                                "created before.", ge=0, le=10)  # fmt: skip
    status: Status | Literal["completed"] | None = None
    advisor: str | None = Field(None, pattern=r"^[a-z0-9_-]{1,100}$")
    search: str | None = Field(None, max_length=200, description="Part of the photo's name.")
    folder: str | None = Field(None, max_length=200, description="The folder of the photos.")
    sort: Literal["newest", "score"] = "newest"
    ids: str | None = Field(
        None, max_length=4000, description="Only these jobs: ids, joined by commas; at most 100."
    )
    format: Literal["json", "array", "html"] | None = Field(
        None, description="`json` by default, and `html` for a browser."
    )

    @field_validator(
        "before", "before_id", "below", "status", "advisor", "search", "folder", mode="before"
    )
    @classmethod
    def _leave_out_empty(cls, value: Any) -> Any:
        """Treat an empty field as absent: forms send empty fields too."""
        return None if value == "" else value

    def make_conditions(self) -> dict[str, Any]:
        """Return the arguments of ``Store.list_jobs``. Raise ``JobNotFound`` for an invalid id."""
        before = self.before
        if before and before.tzinfo is None:
            before = before.replace(tzinfo=UTC)
        ids = None
        if self.ids is not None:
            ids = [parse_job_id(text) for text in self.ids.split(",")[:100] if text]
        status = Status.DONE if self.status == "completed" else self.status
        same: dict[str, Any] = {"status": status, "advisor": self.advisor, "search": self.search}
        same |= {"folder": self.folder, "before_id": self.before_id}
        is_by_score = self.sort == "score"
        below = self.below if is_by_score else None
        return {"before": before, "ids": ids, "is_by_score": is_by_score, "below": below, **same}

    def make_next_query(self, last: Job) -> str:
        """Return the query string of the page after ``last``."""
        given = self.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        given |= {"before": last.created_at.isoformat(), "before_id": last.id}
        if self.sort == "score":
            given["below"] = last.score
        return urlencode(given)


class JobList(BaseModel):
    """Jobs, newest first. The cursor is ``before`` with the last one's ``created_at``, and
    ``before_id`` with its ``job_id``."""

    jobs: list[JobState]
    count: int
    timestamp: float


class Deleted(BaseModel):
    """The number of deleted jobs."""

    model_config = _make_example(deleted=12)

    deleted: int


class Output(BaseModel):
    """The answer of an advisor's model, and the report parsed from it."""

    advisor: str
    text: str
    report: Report


class FullJob(JobState):
    """Everything stored about a job."""

    prompt: str = Field(description="The first advisor's prompt.")
    prompts: dict[str, str] = Field(description="Each advisor's prompt, by id.")
    prompt_length: int = Field(description="Of `prompt`, in characters.")
    outputs: list[Output]
    llm_outputs: dict[str, str] = Field(description="The text of each output, by advisor.")
    analysis_markdown: str = Field(description="The reports as Markdown; empty without any.")
    timestamps: dict[str, datetime | None]
    photo: dict[str, Any] = Field(description="`sha256`, `bytes`, `width`, `height` and `url`.")
    webhooks: list[dict[str, Any]] = Field(
        description="For its `callback_url`: `url`, `status` (`waiting`, `delivered`, `failed`), "
        "`attempts` and the `outcome` of the last."
    )


class ReportAnswer(Report):
    """The first advisor's report, and all advisors' in ``reports``."""

    job_id: UUID
    reports: tuple[Report, ...]

    @classmethod
    def of_reports(cls, job_id: UUID, reports: list[Report]) -> Self:
        """Return the answer for ``reports``, at least one."""
        return cls(**dict(reports[0]), job_id=job_id, reports=tuple(reports))


class AnalysisAnswer(JobState):
    """A finished job, with its reports."""

    report: Report
    reports: list[Report]
    analysis_html: str
    analysis: str = Field(description="The same as `analysis_html`.")
    summary: str = Field(
        description="The top three recommendations of the first report, a line each."
    )


class Recommendation(Dimension):
    """One of the three dimensions with most to gain; ``rank`` is 1 to 3."""

    rank: int


class Summary(BaseModel):
    """The top three recommendations of one advisor; without ``needs_repair`` they are what would
    make a good photo better."""

    job_id: UUID
    title: str
    advisor: str
    overall_score: float
    grade: str
    needs_repair: bool
    recommendations: list[Recommendation]


class FocusAreaEntry(BaseModel):
    """One thing that an advisor looks at."""

    title: str
    description: str


class ArtworkEntry(BaseModel):
    """One known work of an advisor; ``url`` is a card that we drew, not the work."""

    title: str
    year: str
    url: str


class AdvisorEntry(BaseModel):
    """An advisor. URLs are empty where there are none."""

    model_config = _make_example(
        id="ansel",
        wikipedia_url="https://en.wikipedia.org/wiki/Ansel_Adams",
        commons_url="https://commons.wikimedia.org/wiki/Category:Ansel_Adams",
        name="Ansel Adams",
        specialty="Landscape, black and white",
        bio="American photographer from San Francisco.",
        years="1902–1984",
        focus_areas=[{"title": "Tonal range", "description": "From rich black to clean white."}],
        image_url=f"{_BASE}/advisor_image/ansel.jpg",
        artworks=[
            {
                "title": "Moon and Half Dome",
                "year": "1960",
                "url": f"{_BASE}/advisor_artwork/ansel/1.jpg",
            }
        ],
    )

    id: str
    name: str
    specialty: str
    bio: str
    years: str
    focus_areas: list[FocusAreaEntry]
    image_url: str
    artworks: list[ArtworkEntry]
    wikipedia_url: str
    commons_url: str


class AdvisorDetail(AdvisorEntry):
    """One advisor, the same again in ``advisor``: clients read the one or the other."""

    advisor: AdvisorEntry
    timestamp: datetime


class AdvisorList(BaseModel):
    """All advisors."""

    advisors: list[AdvisorEntry]
    count: int
    timestamp: datetime


class SubmitBody(BaseModel):
    """A photo of the server's own source folder."""

    model_config = _make_example(
        filename="boats.jpg", advisors=["ansel", "okeefe"], enable_rag=False
    )

    filename: Annotated[str, Field(min_length=1, max_length=1000)]
    advisors: Annotated[list[str], Field(max_length=100)] = []
    mode: Annotated[str, Field(max_length=100)] = ""
    enable_rag: bool = False
    auto_analyze: bool = True
    callback_url: Annotated[str, Field(max_length=2000)] = ""
    intent: Annotated[str, Field(max_length=5000)] = ""
    genre: Annotated[str, Field(max_length=100)] = ""


class ThinkingBody(BaseModel):
    """A thinking update of an external advisor."""

    model_config = _make_example(thinking="The light comes from behind the boats.")

    thinking: Annotated[str, Field(max_length=10_000)]


class TokenBody(BaseModel):
    """The job that a token is for."""

    model_config = _make_example(job=JOB_ID)

    job: Annotated[str, Field(max_length=200, validation_alias=AliasChoices("job", "job_id"))] = ""


class SessionBody(BaseModel):
    """The key to log in with, and for a form the path of the ``next`` page."""

    model_config = _make_example(key="0123456789abcdef0123456789abcdef")

    key: Annotated[str, Field(max_length=1000)] = ""
    next: Annotated[str, Field(max_length=2000)] = ""


class Token(BaseModel):
    """A token for ``?token=`` on the stream, the pictures and the pages of one job."""

    model_config = _make_example(token="WyIwYjhmNWYzZS0…", expires_at=1746352800, expires_in=3600)

    token: str
    expires_at: int = Field(description="Seconds since 1970.")
    expires_in: int = Field(description="Seconds from now.")


class Health(BaseModel):
    """The server's health."""

    model_config = _make_example(
        status="UP", service="mondrian", version="0.1.0", database="up", update_interval=5.0
    )

    status: str
    service: str
    version: str
    database: str = Field(description="`up`, or `down` while it does not answer.")
    update_interval: float = Field(description="Seconds between two updates of a job.")
    timestamp: float
    model: str | None = Field(None, description="The model, where this process has one.")
    device: str | None = Field(None, description="The device it computes on, if known.")
    fine_tuned: bool = Field(False, description="Whether the engine has an adapter.")


class ModelStatus(BaseModel):
    """The engine's status. More figures may be present."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {"status": "ready", "engine": "llamacpp:smollm2-135m", "model": "SmolLM2-135M"}
            ]
        },
    )

    status: str = Field(description="`loading`, `ready`, `error`, `unloaded` or `remote`.")
    engine: str | None = None
    model: str | None = None
