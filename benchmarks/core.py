"""How a benchmark measures itself and its reference, and how the results are told.

Contestants take turns, round by round, so that whatever else the machine does hits all of them alike.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import attrs

ROUND_SECONDS = 0.03  # long enough for the timer, short enough that rounds interleave


@attrs.frozen
class Sample:
    """Seconds for one operation, as each round found it."""

    rounds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The round that was disturbed least."""
        return min(self.rounds)

    @property
    def median(self) -> float:
        """The round in the middle."""
        return statistics.median(self.rounds)

    def minus(self, other: "Sample") -> "Sample":
        """Return what remains without ``other``: the best less the best, each round less its peer."""
        extra = tuple(mine - theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))
        floor = self.best - other.best
        return Sample((floor, *(max(one, floor) for one in extra)))

    def over(self, count: int) -> "Sample":
        """Return the share of one out of ``count`` operations done together."""
        return Sample(tuple(one / count for one in self.rounds))


@attrs.frozen
class Outcome:
    """A benchmark's figures: it holds when ``ours`` (best, or median if so judged) is within ``limit``."""

    ours: Sample
    reference: Sample
    limit: float
    judge_median: bool = False
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the budget is kept."""
        return (self.ours.median if self.judge_median else self.ours.best) <= self.limit

    @property
    def ratio(self) -> float:
        """Ours over the reference, by whichever figure is judged."""
        if self.judge_median:
            return self.ours.median / self.reference.median
        return self.ours.best / self.reference.best


@attrs.frozen
class Benchmark:
    """One line of the table; ``run`` measures, and may take its time to set up."""

    name: str
    budget: str
    reference: str
    run: Callable[[], Outcome]
    show: Callable[[float], str]


REGISTRY: list[Benchmark] = []


def seconds(value: float) -> str:
    """Return a duration in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if abs(value) * scale >= 1:
            return f"{value * scale:.3g} {unit}" if value * scale < 1000 else f"{value * scale:.0f} {unit}"
    return f"{value * 1e9:.0f} ns"


def octets(value: float) -> str:
    """Return a size in bytes."""
    return f"{value:,.0f} B"


def benchmark(
    name: str, *, budget: str, reference: str, show: Callable[[float], str] = seconds
) -> Callable[[Callable[[], Outcome]], Callable[[], Outcome]]:
    """Register the decorated function as the benchmark ``name``."""

    def register(run: Callable[[], Outcome]) -> Callable[[], Outcome]:
        REGISTRY.append(Benchmark(name, budget, reference, run, show))
        return run

    return register


@contextmanager
def no_collector() -> Iterator[None]:
    """Keep the garbage collector from charging one contestant for another's litter."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def race(*contestants: Callable[[], object], rounds: int = 25) -> tuple[Sample, ...]:
    """Return each contestant's processor seconds per call, over ``rounds`` rounds in which they take turns.

    What waits or uses other threads or processes is for `race_once`, which goes by the clock on the wall.
    """
    counts = [_calls_per_round(contestant) for contestant in contestants]
    times: list[list[float]] = [[] for _ in contestants]
    with no_collector():
        for _ in range(rounds):
            for contestant, count, mine in zip(contestants, counts, times, strict=True):
                mine.append(_time(contestant, count, time.process_time) / count)
    return tuple(Sample(tuple(mine)) for mine in times)


def race_once(*contestants: Callable[[], object], rounds: int = 15) -> tuple[Sample, ...]:
    """Like `race` for calls that are slow or leave something behind: one a round, after one to warm up."""
    times: list[list[float]] = [[] for _ in contestants]
    for contestant in contestants:
        contestant()
    for _ in range(rounds):
        for contestant, mine in zip(contestants, times, strict=True):
            mine.append(_time(contestant, 1, time.perf_counter))
    return tuple(Sample(tuple(mine)) for mine in times)


def _time(contestant: Callable[[], object], count: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(count):
        contestant()
    return clock() - start


def _calls_per_round(contestant: Callable[[], object]) -> int:
    count = 1
    while (taken := _time(contestant, count, time.process_time)) < ROUND_SECONDS / 4:
        count *= 4
    return max(1, round(count * ROUND_SECONDS / taken))


HEADINGS = ("benchmark", "best", "median", "reference", "best", "median", "ratio", "budget", "")


def row(bench: Benchmark, outcome: Outcome) -> tuple[str, ...]:
    """Return one benchmark's cells, in the order of `HEADINGS`."""
    ours, reference, show = outcome.ours, outcome.reference, bench.show
    verdict = "pass" if outcome.holds else "MISS"
    return (
        bench.name, show(ours.best), show(ours.median), bench.reference, show(reference.best),
        show(reference.median), f"{outcome.ratio:.2f}", bench.budget, verdict,
    )  # fmt: skip


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Return the rows under their headings, columns aligned."""
    lines = [HEADINGS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
