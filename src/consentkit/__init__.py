"""Ask for consent, obey the answer, and prove both, on the server, in any Python web framework.

The names below are loaded on first use, so that ``import consentkit`` costs next to nothing: no framework,
no JSON Schema, no database, no cryptography. Adapters are imported by name, for example
``from consentkit.adapters.asgi import ConsentMiddleware``.
"""

TYPE_CHECKING = False  # what `typing` defines too, at the price of importing it: checkers know the name
if TYPE_CHECKING:
    from consentkit.consent import Consent as Consent
    from consentkit.errors import ConsentkitError as ConsentkitError
    from consentkit.manager import ConsentManager as ConsentManager
    from consentkit.policy import Policy as Policy

__all__ = ["Consent", "ConsentManager", "ConsentkitError", "Policy", "__version__"]

__version__ = "0.1.0"

_HOMES = {
    "Consent": "consentkit.consent",
    "ConsentManager": "consentkit.manager",
    "ConsentkitError": "consentkit.errors",
    "Policy": "consentkit.policy",
}

if not TYPE_CHECKING:  # a checker that sees __getattr__ would accept any misspelt name

    def __getattr__(name: str) -> object:
        """Load a public name from its home and keep it (PEP 562)."""
        from importlib import import_module  # noqa: PLC0415  the whole module would cost a bare import

        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'consentkit' has no attribute {name!r}")
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """List the lazy names too, for completion in a shell."""
        return sorted({*globals(), *__all__})
