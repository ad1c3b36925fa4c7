"""What the application's own question costs: ``consent.allows("analytics")``."""

from collections.abc import Callable

from benchmarks.core import Outcome, benchmark, race
from benchmarks.site import POLICY
from consentkit.consent import NO_SIGNALS, NOTHING, resolve
from consentkit.policy import PolicyHistory

REPEATS = 1000


def repeated(question: Callable[[str], object]) -> Callable[[], None]:
    """Return a call that asks ``REPEATS`` times, so that the loop weighs little."""

    def ask() -> None:
        for _ in range(REPEATS):
            question("analytics")

    return ask


@benchmark("Consent.allows", budget="<= 0.2 us", reference="dict.get")
def allows() -> Outcome:
    """Ask a resolved consent, and a plain dictionary."""
    consent = resolve(PolicyHistory(POLICY), "FR", NOTHING, NO_SIGNALS, 1_793_620_800_000)
    plain = {"analytics": True}
    ours, reference = race(repeated(consent.allows), repeated(plain.get))
    return Outcome(ours.over(REPEATS), reference.over(REPEATS), limit=0.2e-6)
