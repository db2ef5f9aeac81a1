"""The demo's one page of its own, and the header that guards all of them."""

from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from vestibule_handoff import NAME_REFUSED, USERNAME


@never_cache
@login_required
def home(request):
    """Shows the user's name and a button for each app."""
    name = request.user.get_username()
    vestibule = settings.VESTIBULE_URL.rstrip("/")
    context = {
        "codespace": f"{vestibule}/codespace/{quote(name, safe='')}/",
        "jupyter": f"{vestibule}/jupyter/{quote(name, safe='')}/",
        "refused": None if USERNAME.fullmatch(name) else NAME_REFUSED,
    }
    return render(request, "home.html", context)


def content_security_policy(get_response):
    """Middleware: pages load nothing but their own style and send forms to nobody else.

    Vestibule stands in `form-action` because browsers hold it against every redirect that
    follows a form, and a login ends in the redirect to Vestibule (CSP 3, `form-action`).
    """
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
        f" frame-ancestors 'none'; form-action 'self' {settings.VESTIBULE_URL.rstrip('/')}/"
    )

    def middleware(request):
        response = get_response(request)
        response["Content-Security-Policy"] = policy
        return response

    return middleware
