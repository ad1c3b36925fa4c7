"""Where a visitor is: country and subdivision codes (ISO 3166), named groups, and which of them wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from consentkit.policy.wording import choice

__all__ = [
    "COUNTRIES",
    "GROUPS",
    "canonical_region",
    "describe_country_error",
    "describe_region_error",
    "find_region",
    "level_of",
    "region_table",
]


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


COUNTRIES = _codes(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE
    EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC
    LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
    """
)
"""ISO 3166-1 alpha-2, and the user-assigned XK (Kosovo) that location databases answer with."""

_SUBDIVISIONS = {
    "US": _codes(
        """
        AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY
        NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC AS GU MP PR UM VI
        """
    ),
    "CA": _codes("AB BC MB NB NL NS NT NU ON PE QC SK YT"),
    "AU": _codes("ACT NSW NT QLD SA TAS VIC WA"),
}

# The outermost regions (TFEU Art. 349) and Aland are Union territory with country codes of their own: location
# databases answer RE or MQ, and the visitor must not drop out of the group for that.
_EU = _codes(
    """
    AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK AX GF GP MF MQ
    RE YT
    """
)

GROUPS: Mapping[str, frozenset[str]] = {
    "EU": _EU,
    "EEA": _EU | {"IS", "LI", "NO"},
    "US-GPC": frozenset(f"US-{state}" for state in _codes("CA CO CT DE MD MN MT NE NH NJ OR TX")),
}
"""Named groups. US-GPC: the states where honouring an opt-out signal is a duty (state of November 2026)."""

_ALIASES = {"UK": "GB", "EL": "GR"}  # what the European Union's own offices write
_MISTAKEN = {
    **_ALIASES,
    "EUROPE": "EEA",
    "GBR": "GB",
    "USA": "US",
    "UAE": "AE",
    "CALIFORNIA": "US-CA",
}

T = TypeVar("T")


def describe_country_error(code: str) -> str:
    """Return what would be right in place of `code`, which is no country's."""
    right = _MISTAKEN.get(code.upper(), code.upper())
    return right if right in COUNTRIES else "two capital letters of ISO 3166-1, such as FR"


def describe_region_error(region: str) -> str | None:
    """Return what would be right in place of `region`, or None if it is a region a policy may name."""
    country, dash, part = region.partition("-")
    known = _SUBDIVISIONS.get(country)
    if region in GROUPS or (not dash and country in COUNTRIES):
        return None
    if dash and country in COUNTRIES and _is_part(part) and (known is None or part in known):
        return None
    upper = region.upper()
    if upper in _MISTAKEN:
        return f"{_MISTAKEN[upper]} (ISO 3166 does not use {region})"
    if upper != region and describe_region_error(upper) is None:
        return f"{upper}, in capital letters"
    if dash and known is not None and country in COUNTRIES:
        return f"a subdivision of {country}: {choice(region, sorted(f'{country}-{code}' for code in known))}"
    return f"an ISO 3166 code such as FR or US-CA, or one of the groups {', '.join(sorted(GROUPS))}"


def _is_part(part: str) -> bool:
    return 1 <= len(part) <= 3 and part.isascii() and part.isalnum() and part == part.upper()


def level_of(region: str) -> int:
    """Return how closely `region` aims: 0 subdivision, 1 group of them, 2 country, 3 group of countries."""
    members = GROUPS.get(region)
    if members is None:
        return 0 if "-" in region else 2
    return 1 if any("-" in member for member in members) else 3


def region_table(rules: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Return the rule of each country and subdivision that `rules` (region, rule) reach, closest aim first.

    A group that is named is a key too, so that a whole group can be asked for.
    """
    table: dict[str, T] = {}
    for region, rule in sorted(rules, key=lambda pair: (level_of(pair[0]), pair[0])):
        for key in (region, *sorted(GROUPS.get(region, ()))):
            table.setdefault(key, rule)
    return table


def canonical_region(region: str) -> str:
    """Return `region` as the table spells it: trimmed, in capitals, UK and EL as GB and GR."""
    country, dash, part = region.strip().upper().partition("-")
    return f"{_ALIASES.get(country, country)}{dash}{part}"


def find_region(table: Mapping[str, T], region: str | None, fallback: T) -> T:
    """Return the rule for `region`: its own, its group's, its country's, the country's group's, or `fallback`.

    Total: whatever a location database answers, None and codes unknown here included, gets a rule.
    """
    if region is None:
        return fallback
    found = table.get(region)
    if found is not None:
        return found
    code = canonical_region(region)
    found = table.get(code)
    return found if found is not None else table.get(code.partition("-")[0], fallback)
