"""The demo's one page of its own, and the header that guards all of them."""

import logging
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from vestibule_admin import VestibuleError, workspace
from vestibule_handoff import NAME_REFUSED, USERNAME

logger = logging.getLogger(__name__)
STATES = {
    "running": "Running",
    "starting": "Starting",
    "stopping": "Being stopped",
    "paused": "Paused: opening it wakes it",
    "stopped": "Stopped: opening it starts it again, with your files as you left them",
    "absent": "Not there yet: opening it makes it",
}


@never_cache
@login_required
def home(request):
    """Shows the user's name, how their workspace is, and a button for each app."""
    name = request.user.get_username()
    vestibule = settings.VESTIBULE_URL.rstrip("/")
    context = {
        "codespace": f"{vestibule}/codespace/{quote(name, safe='')}/",
        "jupyter": f"{vestibule}/jupyter/{quote(name, safe='')}/",
        "refused": None if USERNAME.fullmatch(name) else NAME_REFUSED,
    }
    if not context["refused"]:
        context |= status(name)
    return render(request, "home.html", context)


def status(name):
    """What the page tells of the workspace; nothing but that if Vestibule doesn't answer."""
    try:
        found = workspace(name)
    except VestibuleError as error:
        logger.warning("Vestibule does not tell how a workspace is: %s", error)
        return {"state": "unknown", "sentence": "How it is can’t be told at the moment"}
    stops = found["stops_in_seconds"]
    return {
        "state": found["state"],
        "sentence": STATES.get(found["state"], found["state"]),
        "apps": found["apps"],
        "stops_in": None if stops is None or found["open"] else max(1, round(stops / 60)),
    }


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
