"""The SQL of ``store.py``, whose rules these statements keep. Look there for what each promises.

Those that change a job share a form: ``moved`` is the changed row, its ``last_seq`` already
raised; ``logged`` writes the events; NOTIFY goes out with the answer. A row is read first (``FOR
UPDATE`` in a CTE) where its old values matter: that read returns the newest committed row, while
the snapshot of the statement may be older.
"""

from collections.abc import Iterable
from dataclasses import fields

from mondrian.critiques.history import NEWEST, TimingRecord
from mondrian.jobs.job import CLOSING, ENDED, MAX_ATTEMPTS, RUNNING, Event, Job

EVENTS_CHANNEL = "mondrian_events"
JOBS_CHANNEL = "mondrian_jobs"

_LEFT = "lease_seconds"
COLUMNS = tuple(field.name for field in fields(Job))
ADD_COLUMNS = (
    "id", "owner", "filename", "photo_key", "photo_sha256", "photo_bytes", "width", "height",
    "advisors", "mode", "mode_used", "enable_rag", "base_url", "status", "step_phase",
    "current_step",
)  # fmt: skip
FIGURES = tuple(field.name for field in fields(TimingRecord))


def statement(text: str) -> bytes:
    """``text`` without its line breaks: psycopg remembers its placeholders up to 4,096 bytes."""
    return " ".join(text.split()).encode()


def _list(words: Iterable[str]) -> str:
    return "(" + ", ".join(f"'{word}'" for word in sorted(words)) + ")"


_RUNNING = _list(RUNNING)
_ENDED = _list(ENDED)
_HELD = f"id = %(id)s AND attempt = %(attempt)s AND status IN {_RUNNING}"


def job_columns(row: str) -> str:
    """SQL for the columns of ``Job`` of ``row``."""
    columns = [f"{row}.{name}" for name in COLUMNS if name != _LEFT]
    left = f"extract(epoch FROM {row}.lease_until - clock_timestamp())::float8 AS {_LEFT}"
    return ", ".join([*columns, left])


def _payload(columns: str, source: str = "") -> str:
    """SQL for one line of compact JSON. (``json_build_object`` would put spaces in.)"""
    return f"(SELECT row_to_json(p)::text FROM (SELECT {columns} {source}) p)"


def _status_update(row: str, *, as_queued: bool = False) -> str:
    """SQL for the payload of a ``status_update`` that tells the state of ``row``."""
    status, phase, step = f"{row}.status", "step_phase", "current_step"
    if as_queued:
        status, phase, step = "'queued'", "'queued'", "'Waiting in queue'"
    state = f"""
        SELECT {row}.id AS job_id, {status} AS status, {step} AS current_step, llm_thinking,
            current_advisor, cardinality(advisors) AS total_advisors, {phase} AS step_phase,
            progress AS progress_percentage, {row}.attempt, {row}.error,
            base_url || '/status/' || {row}.id AS status_url,
            base_url || '/stream/' || {row}.id AS stream_url,
            base_url || '/analysis/' || {row}.id AS analysis_url"""
    return _payload(
        f"""'status_update' AS type, {row}.id AS job_id,
            round(extract(epoch FROM clock_timestamp()), 3)::float8 AS timestamp, d AS job_data""",
        f"FROM ({state}) d",
    )


def _attempt(reason: str) -> str:
    return _payload(f"'attempt' AS type, moved.id AS job_id, moved.attempt, {reason} AS reason")


_ERROR = _payload("'error' AS type, moved.id AS job_id, moved.error")
_DONE = _payload("'done' AS type, moved.id AS job_id, moved.status")
_THINKING = _payload(
    """'thinking_update' AS type, moved.id AS job_id, moved.llm_thinking AS thinking,
    null AS phase, null AS tokens, null AS tokens_per_second, null AS prompt_tokens,
    null AS prompt_tokens_per_second, null AS cached_tokens, null AS peak_memory_gb,
    null AS finish_reason, null AS elapsed_seconds, null AS eta_seconds, null AS percent,
    'unknown' AS basis, null AS queue_position, moved.attempt"""
)


def _logged(*entries: tuple[str, str, str], more: str = "") -> str:
    """SQL that writes each (type, payload, condition) to the log of the job in ``moved``, whose
    ``last_seq`` has already been raised by so many as have a true condition."""
    chosen = "UNION ALL ".join(
        f"SELECT {place} AS place, '{name}' AS type, {payload} AS payload WHERE {wanted} "
        for place, (name, payload, wanted) in enumerate(entries)
    )
    return f"""logged AS (
        INSERT INTO events (job_id, seq, type, attempt, payload)
        SELECT moved.id,
            moved.last_seq - count(*) OVER () + row_number() OVER (ORDER BY e.place),
            e.type, moved.attempt, e.payload
        FROM moved CROSS JOIN LATERAL ({chosen} {more}) e
    )"""


def _notified(*, is_claimable: str = "false", told: str = "''") -> str:
    return f"""pg_notify('{EVENTS_CHANNEL}', moved.id || ' ' || moved.last_seq || {told}),
        CASE WHEN {is_claimable} THEN pg_notify('{JOBS_CHANNEL}', moved.id::text) END"""


_FRESH = "i.created_at > now() - interval '24 hours'"

ADD = statement(f"""
    WITH kept AS (
        INSERT INTO idempotency AS i (owner, key, fingerprint, job_id)
        SELECT %(owner)s, %(idempotency_key)s, %(fingerprint)s, %(id)s
        WHERE %(idempotency_key)s::text IS NOT NULL
        ON CONFLICT (owner, key) DO UPDATE SET
            fingerprint = CASE WHEN {_FRESH} THEN i.fingerprint ELSE excluded.fingerprint END,
            job_id = CASE WHEN {_FRESH} THEN i.job_id ELSE excluded.job_id END,
            created_at = CASE WHEN {_FRESH} THEN i.created_at ELSE excluded.created_at END
        RETURNING i.job_id, i.fingerprint
    ), moved AS (
        INSERT INTO jobs ({", ".join(ADD_COLUMNS)}, last_seq)
        SELECT {", ".join(f"%({name})s" for name in ADD_COLUMNS)}, 1
        WHERE NOT EXISTS (SELECT FROM kept WHERE kept.job_id <> %(id)s)
        RETURNING *
    ), claimed AS (
        DELETE FROM discarded USING moved WHERE discarded.photo_key = moved.photo_key
    ), {_logged(("status_update", _status_update("moved"), "true"))}
    SELECT kept.job_id AS kept_job_id, kept.fingerprint, {job_columns("moved")},
        {_notified(is_claimable="moved.status = 'queued'")}
    FROM (SELECT) one LEFT JOIN kept ON true LEFT JOIN moved ON true""")

START = statement(f"""
    WITH moved AS (
        UPDATE jobs SET status = 'queued', last_seq = last_seq + 1
        WHERE id = %(id)s AND status = 'pending' RETURNING *
    ), {_logged(("status_update", _status_update("moved"), "true"))}
    SELECT {job_columns("moved")}, {_notified(is_claimable="true")} FROM moved""")

# Owners with queued jobs, by one index probe each; how many jobs of each run, and when it was
# served last: the price does not grow with the queue. (Materialized, else it is worked out anew for
# each job.)
_TURNS = f"""
    WITH RECURSIVE owners AS (
        (SELECT owner FROM jobs WHERE status = 'queued' ORDER BY owner LIMIT 1)
        UNION ALL
        SELECT (SELECT jobs.owner FROM jobs WHERE status = 'queued' AND jobs.owner > owners.owner
                ORDER BY jobs.owner LIMIT 1)
        FROM owners WHERE owners.owner IS NOT NULL
    ), turns AS MATERIALIZED (
        SELECT owners.owner,
            (SELECT count(*) FROM jobs WHERE jobs.owner = owners.owner AND status IN {_RUNNING})
                AS running,
            (SELECT max(started_at) FROM jobs WHERE jobs.owner = owners.owner
                AND started_at IS NOT NULL) AS served,
            (SELECT min(created_at) FROM jobs WHERE jobs.owner = owners.owner
                AND status = 'queued') AS head
        FROM owners WHERE owners.owner IS NOT NULL
    )"""

# Of the owners whose turn it is, the heads of their queues: more than one of each, since other
# workers may be claiming the first ones in this moment.
_NEXT = f"""{_TURNS}, candidates AS (
        SELECT * FROM (
            SELECT queued.id, running, served, created_at
            FROM (SELECT * FROM turns ORDER BY running, served NULLS FIRST, head LIMIT 4) turns
            CROSS JOIN LATERAL (
                SELECT id, created_at FROM jobs WHERE status = 'queued' AND owner = turns.owner
                ORDER BY created_at, id LIMIT 16
            ) queued
            UNION ALL
            SELECT id, -1, null, created_at FROM jobs
            WHERE %(take_over)s AND status IN {_RUNNING} AND lease_until < now()
        ) all_of_them
        ORDER BY running, served NULLS FIRST, created_at, id LIMIT 16
    ), next AS (
        SELECT jobs.id, status <> 'queued' AS is_lost,
            status <> 'queued' AND failures + 1 >= {MAX_ATTEMPTS} AS is_over,
            false AS makes_suspect
        FROM candidates JOIN jobs ON jobs.id = candidates.id
        WHERE status = 'queued' OR (status IN {_RUNNING} AND lease_until < now())
        ORDER BY running, served NULLS FIRST, jobs.created_at, jobs.id
        LIMIT 1 FOR UPDATE OF jobs SKIP LOCKED
    )"""

# What a claim, a takeover and a retry do with the job in ``next``: three events for a lost one
# (attempt, queued, processing; or error status, error, done when it is over), one for a queued one.
_TAKEN = f""", moved AS (
        UPDATE jobs SET
            status = CASE WHEN is_over THEN 'error' ELSE 'processing' END,
            step_phase = CASE WHEN is_over THEN step_phase ELSE 'image_processing' END,
            current_step = CASE WHEN is_over THEN %(error)s::json ->> 'message'
                ELSE 'Preparing the photo' END,
            error = CASE WHEN is_over THEN %(error)s::json END,
            attempt = attempt + (is_lost AND NOT is_over)::int,
            failures = failures + is_lost::int,
            is_suspect = is_suspect OR makes_suspect,
            current_advisor = CASE WHEN is_over THEN current_advisor ELSE 0 END,
            progress = CASE WHEN is_over THEN progress ELSE 0 END,
            llm_thinking = CASE WHEN is_over THEN llm_thinking ELSE '' END,
            last_seq = last_seq + CASE WHEN is_lost THEN 3 ELSE 1 END,
            claimed_by = CASE WHEN NOT is_over THEN %(worker)s END,
            lease_until = CASE WHEN NOT is_over
                THEN clock_timestamp() + make_interval(secs => %(lease_seconds)s) END,
            started_at = coalesce(started_at, clock_timestamp()),
            completed_at = CASE WHEN is_over THEN clock_timestamp() END
        FROM next WHERE jobs.id = next.id
        RETURNING jobs.*, next.is_lost AND NOT next.is_over AS is_again, next.is_over
    ), {
    _logged(
        ("attempt", _attempt("%(reason)s::text"), "moved.is_again"),
        ("status_update", _status_update("moved", as_queued=True), "moved.is_again"),
        ("status_update", _status_update("moved"), "true"),
        ("error", _ERROR, "moved.is_over"),
        ("done", _DONE, "moved.is_over"),
    )
}
    SELECT {job_columns("moved")}, {_notified()} FROM moved"""

CLAIM = statement(_NEXT + _TAKEN)

RETRY = statement(f"""
    WITH next AS (
        SELECT id, true AS is_lost, failures + 1 >= {MAX_ATTEMPTS} AS is_over,
            %(is_suspect)s::boolean AS makes_suspect
        FROM jobs WHERE {_HELD} FOR UPDATE
    ){_TAKEN}""")

# Appends, and ends: both write what they are given, and the end has reports and an ended status.
WRITE = statement(f"""
    WITH held AS (
        SELECT *, (status, step_phase, current_advisor) IS DISTINCT FROM (
            coalesce(%(status)s, status), coalesce(%(step_phase)s, step_phase),
            coalesce(%(current_advisor)s, current_advisor)) AS is_changed
        FROM jobs WHERE {_HELD} FOR UPDATE
    ), moved AS (
        UPDATE jobs SET
            status = coalesce(%(status)s, held.status),
            step_phase = coalesce(%(step_phase)s, held.step_phase),
            current_step = coalesce(%(current_step)s, held.current_step),
            llm_thinking = coalesce(%(llm_thinking)s, held.llm_thinking),
            current_advisor = coalesce(%(current_advisor)s, held.current_advisor),
            mode_used = coalesce(%(mode_used)s, held.mode_used),
            progress = greatest(held.progress, %(progress)s),
            error = %(error)s::json,
            last_seq = held.last_seq + held.is_changed::int + cardinality(%(types)s::text[]),
            claimed_by = CASE WHEN NOT %(is_end)s THEN held.claimed_by END,
            lease_until = CASE WHEN NOT %(is_end)s THEN held.lease_until END,
            completed_at = CASE WHEN %(is_end)s THEN clock_timestamp() END
        FROM held WHERE jobs.id = held.id
        RETURNING jobs.*, held.is_changed
    ), {
    _logged(
        ("status_update", _status_update("moved"), "moved.is_changed"),
        more='''UNION ALL SELECT g.place, g.type, g.payload
            FROM unnest(%(types)s::text[], %(payloads)s::text[])
            WITH ORDINALITY g (type, payload, place)''',
    )
}, reported AS (
        INSERT INTO reports (job_id, advisor, place, report, text)
        SELECT moved.id, r.advisor, r.place, r.report, r.text
        FROM moved, unnest(%(advisors)s::text[], %(reports)s::json[], %(texts)s::text[])
            WITH ORDINALITY r (advisor, report, text, place)
    )
    SELECT moved.last_seq, {_notified(told="%(told)s::text")} FROM moved""")

# The same for an append that changes no status: most of them, and for half the price.
APPEND = statement(f"""
    WITH moved AS (
        UPDATE jobs SET
            llm_thinking = coalesce(%(llm_thinking)s, llm_thinking),
            progress = greatest(progress, %(progress)s),
            last_seq = last_seq + cardinality(%(types)s::text[])
        WHERE {_HELD} RETURNING id, attempt, last_seq
    ), logged AS (
        INSERT INTO events (job_id, seq, type, attempt, payload)
        SELECT moved.id, moved.last_seq - cardinality(%(types)s::text[]) + g.place, g.type,
            moved.attempt, g.payload
        FROM moved, unnest(%(types)s::text[], %(payloads)s::text[])
            WITH ORDINALITY g (type, payload, place)
    )
    SELECT moved.last_seq, {_notified(told="%(told)s::text")} FROM moved""")

RENEW = statement(f"""
    UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
    WHERE {_HELD} RETURNING id""")

HAND_BACK = statement(f"""
    WITH moved AS (
        UPDATE jobs SET status = 'queued', step_phase = 'queued', current_step = 'Waiting in queue',
            llm_thinking = '', current_advisor = 0, progress = 0, attempt = attempt + 1,
            claimed_by = null, lease_until = null, last_seq = last_seq + 2
        WHERE {_HELD} RETURNING *
    ), {
    _logged(
        ("attempt", _attempt("'handed back'"), "true"),
        ("status_update", _status_update("moved"), "true"),
    )
}
    SELECT moved.id, {_notified(is_claimable="true")} FROM moved""")

CANCEL = statement(f"""
    WITH found AS (
        SELECT * FROM jobs WHERE id = %(id)s FOR UPDATE
    ), moved AS (
        UPDATE jobs SET status = 'cancelled', current_step = 'Cancelled',
            attempt = found.attempt + 1, claimed_by = null, lease_until = null,
            completed_at = clock_timestamp(), last_seq = found.last_seq + 2
        FROM found WHERE jobs.id = found.id AND found.status NOT IN {_ENDED}
        RETURNING jobs.*
    ), {
    _logged(
        ("status_update", _status_update("moved"), "true"),
        ("done", _DONE, "true"),
    )
}
    SELECT {job_columns("moved")}, {_notified()} FROM moved
    UNION ALL SELECT {job_columns("found")}, null, null FROM found WHERE status IN {_ENDED}""")

ADD_THINKING = statement(f"""
    WITH moved AS (
        UPDATE jobs SET llm_thinking = %(thinking)s, last_seq = last_seq + 1
        WHERE id = %(id)s AND status NOT IN {_ENDED} RETURNING *
    ), {_logged(("thinking_update", _THINKING, "true"))}
    SELECT {job_columns("moved")}, {_notified()} FROM moved""")

READ = statement(f"SELECT {job_columns('jobs')} FROM jobs WHERE id = %(id)s")

_FILTERS = {
    "before": "created_at < %(before)s",
    "status": "status = %(status)s",
    "advisor": "%(advisor)s = ANY (advisors)",
}


def list_jobs(filters: Iterable[str]) -> bytes:
    """The newest jobs first, with the conditions named: ``before``, ``status``, ``advisor``."""
    where = " AND ".join(_FILTERS[name] for name in filters) or "true"
    return statement(f"""
        SELECT {job_columns("jobs")} FROM jobs WHERE {where}
        ORDER BY created_at DESC, id DESC LIMIT %(limit)s""")


def events_after(*, of_types: bool) -> bytes:
    """A job's events from a number on, all or those of some types."""
    filtered = "AND type = ANY (%(types)s)" if of_types else ""
    return statement(f"""
        SELECT {", ".join(Event._fields)} FROM events
        WHERE job_id = %(id)s AND seq > %(seq)s {filtered} ORDER BY seq LIMIT %(limit)s""")


LOG_AFTER = statement("""
    SELECT seq, type, payload, (SELECT pruned_seq FROM jobs WHERE id = %(id)s)
    FROM (
        SELECT *, sum(octet_length(payload)) OVER (ORDER BY seq) AS bytes FROM events
        WHERE job_id = %(id)s AND seq > %(seq)s AND type = ANY (%(types)s)
        ORDER BY seq LIMIT %(limit)s
    ) next
    WHERE bytes <= %(max_bytes)s OR bytes = octet_length(payload) ORDER BY seq""")

# The text of a cancelled job is that of the attempt before the one that the cancel raised.
SNAPSHOT = statement(f"""
    SELECT {job_columns("jobs")}, {_status_update("jobs")} AS status_update,
        CASE WHEN status NOT IN {_ENDED} THEN last_seq ELSE (
            SELECT min(seq) - 1 FROM events WHERE job_id = jobs.id AND type IN {_list(CLOSING)}
        ) END AS covered,
        ARRAY(
            SELECT payload FROM events WHERE job_id = jobs.id AND type = 'token'
            AND events.attempt = jobs.attempt - (status = 'cancelled')::int ORDER BY seq
        ) AS tokens
    FROM jobs WHERE id = %(id)s""")

# The queued jobs, with the turn of their owner among those who have as many running jobs.
WAITING = statement(f"""{_TURNS}
    SELECT id, owner, array_to_string(advisors, ',') AS advisors, turn
    FROM jobs JOIN (
        SELECT owner, row_number() OVER (ORDER BY served NULLS FIRST, head) AS turn FROM turns
    ) turns USING (owner)
    WHERE status = 'queued' ORDER BY created_at, id""")

# An update without a time is what an outside advisor is thinking, not the worker.
RUNNING_JOBS = statement(f"""
    SELECT id, owner, advisors, lease_until < clock_timestamp() AS is_lost, told.payload AS told,
        extract(epoch FROM clock_timestamp() - coalesce(told.created_at, started_at))::float8
            AS told_seconds_ago
    FROM jobs LEFT JOIN LATERAL (
        SELECT payload, created_at FROM events
        WHERE job_id = jobs.id AND type = 'thinking_update' AND attempt = jobs.attempt
            AND payload::json ->> 'elapsed_seconds' IS NOT NULL
        ORDER BY seq DESC LIMIT 1
    ) told ON true
    WHERE status IN {_RUNNING} ORDER BY started_at""")


def _newest_figures(condition: str) -> str:
    """Of the newest 5,000 figures that meet ``condition``, the newest of each kind (advisor and
    rough size of photo): one that is done seldom is not forgotten for others."""
    return f"""(
        SELECT *, row_number() OVER (
            PARTITION BY advisor, round(ln(greatest(megapixels, 0.001))) ORDER BY id DESC) AS nth
        FROM (SELECT * FROM history WHERE {condition} ORDER BY id DESC LIMIT 5000) newest
    ) kinds WHERE nth <= {NEWEST}"""


_LATEST = "(engine, model) = (SELECT engine, model FROM history ORDER BY id DESC LIMIT 1)"

USUAL_SECONDS = statement(f"""
    SELECT advisor, percentile_cont(0.5) WITHIN GROUP (ORDER BY
        seconds - coalesce(load_seconds, 0) + coalesce(measure_seconds, 0)) AS seconds
    FROM {_newest_figures(_LATEST)}
    GROUP BY ROLLUP (advisor)""")

COUNTS = statement("""
    SELECT status, count(*) AS jobs FROM jobs WHERE status = ANY(%(statuses)s) GROUP BY status""")

REPORTS = statement(
    "SELECT advisor, report, text FROM reports WHERE job_id = %(id)s ORDER BY place"
)

DELETE = statement("DELETE FROM jobs WHERE id = %(id)s RETURNING photo_key")

# Whoever removes jobs notes their photos in the same statement: they lie elsewhere, and a process
# may die before it has deleted them.
_DISCARDED = """discarding AS (
        INSERT INTO discarded (photo_key) SELECT photo_key FROM gone ON CONFLICT DO NOTHING
    )"""

DELETE_FINISHED = statement(f"""
    WITH gone AS (DELETE FROM jobs WHERE status IN {_ENDED} RETURNING photo_key), {_DISCARDED}
    SELECT count(*) AS jobs FROM gone""")

# The ended jobs, oldest first, that have to go until the photos of all jobs fit in so many bytes.
_OVERFLOW = f"""overflow AS (
        SELECT id, photo_bytes FROM (
            SELECT id, created_at, photo_bytes,
                sum(photo_bytes) OVER (ORDER BY created_at, id) - photo_bytes AS older
            FROM jobs WHERE status IN {_ENDED}
        ) ended
        WHERE (SELECT sum(photo_bytes) FROM jobs) - older > %(max_bytes)s
        ORDER BY created_at, id LIMIT %(limit)s
    )"""

COUNT_OVERFLOW = statement(f"""
    WITH {_OVERFLOW}
    SELECT count(*) AS jobs, coalesce(sum(photo_bytes), 0)::bigint AS bytes FROM overflow""")

DELETE_OVERFLOW = statement(f"""
    WITH {_OVERFLOW}, gone AS (
        DELETE FROM jobs USING overflow WHERE jobs.id = overflow.id
        RETURNING jobs.photo_key, jobs.photo_bytes
    ), {_DISCARDED}
    SELECT count(*) AS jobs, coalesce(sum(photo_bytes), 0)::bigint AS bytes FROM gone""")

EXPECT_PHOTO = statement("""
    INSERT INTO discarded (photo_key, due) VALUES (%(photo_key)s, now() + interval '24 hours')""")

DISCARDED = statement("SELECT photo_key FROM discarded WHERE due <= now() ORDER BY photo_key")

FORGET_DISCARDED = statement("DELETE FROM discarded WHERE photo_key = %(photo_key)s")

# Jobs that ended so long ago, the first of them, with the last event before their closing ones.
_OLD = f"""old AS (
        SELECT id, (
            SELECT min(seq) - 1 FROM events WHERE job_id = jobs.id AND type IN {_list(CLOSING)}
        ) AS last FROM jobs
        WHERE pruned_seq = 0 AND completed_at < now() - make_interval(secs => %(seconds)s)
        ORDER BY completed_at LIMIT %(limit)s
    )"""

COUNT_OLD = statement(f"""
    WITH {_OLD}
    SELECT count(DISTINCT id) AS jobs, count(seq) AS events
    FROM old LEFT JOIN events ON job_id = id AND seq <= last""")

PRUNE = statement(f"""
    WITH {_OLD}, pruned AS (
        UPDATE jobs SET pruned_seq = old.last FROM old
        WHERE jobs.id = old.id AND jobs.pruned_seq = 0 RETURNING jobs.id, old.last
    ), gone AS (
        DELETE FROM events USING pruned WHERE job_id = pruned.id AND seq <= pruned.last
        RETURNING seq
    )
    SELECT (SELECT count(*) FROM pruned) AS jobs, (SELECT count(*) FROM gone) AS events""")

FORGET_KEYS = statement("DELETE FROM idempotency WHERE created_at < now() - interval '24 hours'")

TRY_LOCK = statement("SELECT pg_try_advisory_lock(%(lock)s) AS is_ours")

UNLOCK = statement("SELECT pg_advisory_unlock(%(lock)s)")

RECORD_HISTORY = statement(
    f"INSERT INTO history ({', '.join(FIGURES)}) "
    f"VALUES ({', '.join(f'%({name})s' for name in FIGURES)})"
)


def history(*, of_others: bool) -> bytes:
    """The newest figures of a model on an engine, or on all others, of each kind."""
    is_of = "<>" if of_others else "="
    condition = f"engine {is_of} %(engine)s AND model = %(model)s"
    return statement(f"""
        SELECT {", ".join(FIGURES)} FROM {_newest_figures(condition)} ORDER BY id DESC""")
