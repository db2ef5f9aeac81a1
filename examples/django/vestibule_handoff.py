"""Lets the users of a Django site into their Vestibule workspaces: copy this file into your site.

README.md says which settings it reads and which line goes into your `urls.py`.
"""

import re
import secrets
import time
from pathlib import Path
from urllib.parse import urlencode

import jwt
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.dispatch import receiver
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.encoding import iri_to_uri
from django.views.decorators.http import require_GET

USERNAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.@+-]{1,64}")  # Vestibule takes no other
OWN_PATH = re.compile(r"/(?!/)[^\\\x00-\x1f\x7f]{0,2000}")  # what no browser reads as a host
SESSIONS = "vestibule_sessions"  # in Django's session: ids of the sessions it began at Vestibule
NAME_REFUSED = (
    "Your user name can't open a workspace: it must be 1 to 64 letters A to Z or a to z, digits"
    " or _ . @ + - and not just one or two dots. Please ask for another user name.\n"
)


def token(request, kind, seconds, **claims):
    """Signs a JWT of this kind about the logged-in user, good for so many seconds."""
    user, now = request.user, int(time.time())
    uid = user.pk if isinstance(user.pk, int) else str(user.pk)
    claims |= {"sub": user.get_username(), "uid": uid, "iat": now, "exp": now + seconds}
    claims["aud"] = getattr(settings, "VESTIBULE_AUDIENCE", "vestibule")
    headers = {"typ": f"vestibule-{kind}+jwt"}  # so that neither kind passes for the other
    if issuer := getattr(settings, "VESTIBULE_ISSUER", None):
        claims["iss"] = issuer
    if key_id := getattr(settings, "VESTIBULE_KEY_ID", None):
        headers["kid"] = key_id
    key = Path(settings.VESTIBULE_KEY_FILE).read_bytes().removesuffix(b"\n")
    return jwt.encode(claims, key, getattr(settings, "VESTIBULE_ALGORITHM", "HS256"), headers)


def new_session(request):
    """A new id for a session at Vestibule, remembered so that vestibule_admin.py can end it."""
    session = secrets.token_urlsafe(16)
    request.session[SESSIONS] = [*request.session.get(SESSIONS, []), session][-8:]
    return session


@require_GET
@login_required
def open_workspace(request):
    """Sends a logged-in user's browser on to Vestibule with a proof of who they are."""
    if not USERNAME.fullmatch(request.user.get_username()):
        return HttpResponse(NAME_REFUSED, status=403, content_type="text/plain; charset=utf-8")
    path = request.GET.get("next", "")
    path = iri_to_uri(path) if OWN_PATH.fullmatch(path) else "/"
    vestibule = settings.VESTIBULE_URL.rstrip("/")
    session_end = int(request.session.get_expiry_date().timestamp())
    if getattr(settings, "VESTIBULE_SHARED_COOKIE", None):
        response = HttpResponseRedirect(vestibule + path)
        share_session(request, response, session_end)
    else:
        claims = {"jti": new_session(request), "session_exp": session_end}
        if state := request.GET.get("state"):
            claims["state"] = state
        query = urlencode({"token": token(request, "handoff", 30, **claims), "next": path})
        response = HttpResponseRedirect(f"{vestibule}/_vestibule/callback?{query}")
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"  # the token is in the URL for one request
    return response


# The rest is for VESTIBULE_SHARED_COOKIE alone.


def share_session(request, response, session_end):
    """Puts a session token into the shared cookie, for 12 hours or as long as Django's session."""
    if f"{__name__}.end_shared_session" not in settings.MIDDLEWARE:  # logout would not end it
        raise ImproperlyConfigured(f"add {__name__}.end_shared_session to MIDDLEWARE")
    seconds = min(12 * 60 * 60, session_end - int(time.time()))
    session = token(request, "session", seconds, sid=new_session(request))
    set_shared_cookie(response, session, seconds)


def set_shared_cookie(response, value, seconds):
    """Sets the shared cookie; 0 seconds delete it."""
    response.set_cookie(
        settings.VESTIBULE_SHARED_COOKIE,
        value,
        max_age=seconds,
        domain=getattr(settings, "VESTIBULE_COOKIE_DOMAIN", None),
        secure=True,
        httponly=True,
        samesite="Lax",
    )


@receiver([user_logged_in, user_logged_out])
def note_change_of_user(request, **_):
    """Notes that the shared cookie, if there is one, speaks of somebody else from now on."""
    if request is not None:
        request.META["vestibule.user_changed"] = True  # META outlives wrappers of a request


def end_shared_session(get_response):
    """Middleware: deletes the shared cookie in the response to a login or logout."""

    def middleware(request):
        response = get_response(request)
        name = getattr(settings, "VESTIBULE_SHARED_COOKIE", None)
        if name and request.META.get("vestibule.user_changed"):
            set_shared_cookie(response, "", 0)
        return response

    return middleware
