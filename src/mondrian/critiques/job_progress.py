"""Estimate percent and ETA of one attempt: the photo, then each advisor's critique.

1. The steps of the job get fixed shares of 99 percent, by their typical time: percent does not
   decrease.
2. The ETA is of the whole job. An advisor without recorded critiques is expected to take as long as
   the current one.
"""

from collections.abc import Sequence
from dataclasses import replace

from mondrian.critiques.history import TimingRecord, TypicalTiming, find_typical
from mondrian.critiques.pacing import LAST_PERCENT, Update
from mondrian.critiques.progress import ProgressEstimator
from mondrian.engines.base import Basis, Engine

_PREPARING = 0.02  # of the job, while nothing is known


class JobProgress:
    """The progress of a job on ``engine``, in steps: 0 is the photo, with ``megapixels``, from 1
    the ``advisors``, by id.

    ``history`` is of the engine's model, newest first.
    """

    def __init__(
        self,
        advisors: Sequence[str],
        megapixels: float,
        engine: Engine,
        history: Sequence[TimingRecord],
    ) -> None:
        self._advisors = advisors
        self.megapixels = megapixels
        self._engine = engine
        self._is_loaded = engine.status == "ready"
        self._history = list(history)
        self._usual = self._find_typical()
        self._estimator = ProgressEstimator()
        self._shares = self._share_out()

    def begin(self, place: int) -> ProgressEstimator:
        """Begin the critique of step ``place``, and return its estimator."""
        is_loaded = place > 1 or self._is_loaded
        usual = self._usual[place - 1]
        self._estimator = ProgressEstimator(usual, is_loaded=is_loaded, is_measured=True)
        return self._estimator

    def add(self, figures: TimingRecord) -> None:
        """Record the timing of a critique of this job."""
        self._history.insert(0, figures)
        self._usual = self._find_typical()

    def scale_to_job(self, update: Update, place: int) -> Update:
        """Return ``update``, of step ``place``, with percent and ETA of the whole job."""
        eta, basis = self._estimate_eta(update, place)
        done = update.percent / LAST_PERCENT
        if place == 0:
            measuring = self._usual[0].measure_seconds if self._usual[0] else 0.0
            done = min(0.9, update.elapsed_seconds / measuring) if measuring else 0.0
        share = sum(self._shares[:place]) + self._shares[place] * done
        return replace(
            update,
            percent=round(LAST_PERCENT * min(1.0, share), 3),
            eta_seconds=eta,
            basis=basis,
        )

    def _find_typical(self) -> list[TypicalTiming | None]:
        return [
            find_typical(
                self._history,
                engine=self._engine.url,
                advisor=advisor,
                megapixels=self.megapixels,
                is_first=place == 0,
            )
            for place, advisor in enumerate(self._advisors)
        ]

    def _share_out(self) -> tuple[float, ...]:
        """Return the share of each step in the job; they sum to 1."""
        known = [usual for usual in self._usual if usual]
        if len(known) < len(self._usual):
            each = (1 - _PREPARING) / len(self._usual)
            return (_PREPARING, *(each,) * len(self._usual))
        seconds = [known[0].measure_seconds, *(usual.seconds() for usual in known)]
        if not self._is_loaded:
            seconds[1] += known[0].load_seconds - known[0].reload_seconds
        return tuple(each / (sum(seconds) or 1.0) for each in seconds)

    def _estimate_eta(self, update: Update, place: int) -> tuple[float | None, Basis]:
        """Return the seconds to the end of the job, and their basis."""
        eta, bases = update.eta_seconds, {update.basis}
        if place == 0 and (first := self._usual[0]):
            loading = 0.0 if self._is_loaded else first.load_seconds - first.reload_seconds
            eta = max(0.0, first.measure_seconds - update.elapsed_seconds) + loading
            bases = {first.basis}
        if eta is None:
            return None, Basis.UNKNOWN
        speed = self._estimator.token_seconds if place else None
        alike = update.elapsed_seconds + eta
        for usual in self._usual[place:]:
            eta += usual.seconds(speed) if usual else alike
            bases.add(usual.basis if usual else Basis.ESTIMATED)
        return eta, Basis.MEASURED if bases == {Basis.MEASURED} else Basis.ESTIMATED
