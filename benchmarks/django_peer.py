"""A Django site that sets cookies, bare and behind django-cookie-consent's middleware: the peer to beat."""

from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.urls import path

PEER = "cookie_consent.middleware.CleanCookiesMiddleware"
GROUPS = {"preferences": "theme", "analytics": "visitor", "marketing": "ad"}
COOKIES = "; ".join(
    [
        f"cookie_consent={'|'.join(f'{group}=2099-01-01T00:00:00' for group in GROUPS)}",
        "sessionid=0123456789abcdef",
    ]
)


def page(request: HttpRequest) -> HttpResponse:
    """Answer with a short page and one cookie that needs consent."""
    response = HttpResponse(b"<html><body>Hello</body></html>")
    response.set_cookie("visitor_0", "1")
    return response


urlpatterns = [path("", page)]


def set_up() -> None:
    """Configure Django once, with the peer's nine cookies in three groups, in memory."""
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="only for measuring",
        ALLOWED_HOSTS=["blog.example"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["cookie_consent"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        LOGGING_CONFIG=None,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from cookie_consent.models import Cookie, CookieGroup

    for group, cookie in GROUPS.items():
        row = CookieGroup.objects.create(varname=group, name=group)
        for number in range(3):
            Cookie.objects.create(cookiegroup=row, name=f"{cookie}_{number}", domain="blog.example")


def application(*middleware: str) -> Callable[..., Any]:
    """Return the site as a WSGI application behind ``middleware``."""
    set_up()
    settings.MIDDLEWARE = list(middleware)
    handler: Callable[..., Any] = WSGIHandler()
    return handler
