"""What a site declares: one JSON document, checked as a whole, with a digest that names it for good.

`Policy.load` reads it; `diff` and `PolicyHistory` say which consents outlive a change of it, and `rule_changes` what
else a change brings.
"""

from consentkit.policy.canonical import canonical_form, short_digest
from consentkit.policy.diff import Change, PolicyDiff, diff
from consentkit.policy.history import PolicyHistory
from consentkit.policy.model import Policy
from consentkit.policy.regions import COUNTRIES, GROUPS
from consentkit.policy.rules import RuleChange, rule_changes
from consentkit.policy.values import (
    BUILT_IN_CATEGORIES,
    NECESSARY,
    Category,
    Controller,
    CookieDeclaration,
    Lifetime,
    Model,
    Provider,
    Recipient,
    Regime,
    Service,
    StorageDeclaration,
    Text,
    localized,
)

__all__ = [
    "BUILT_IN_CATEGORIES",
    "COUNTRIES",
    "GROUPS",
    "NECESSARY",
    "Category",
    "Change",
    "Controller",
    "CookieDeclaration",
    "Lifetime",
    "Model",
    "Policy",
    "PolicyDiff",
    "PolicyHistory",
    "Provider",
    "Recipient",
    "Regime",
    "RuleChange",
    "Service",
    "StorageDeclaration",
    "Text",
    "canonical_form",
    "diff",
    "localized",
    "rule_changes",
    "short_digest",
]
