"""Asks Vestibule about workspaces, and ends sessions: copy this file beside vestibule_handoff.py.

README.md says which settings it reads. docs/api.md of Vestibule describes the calls.
"""

import json
import logging
import secrets
import ssl
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

import jwt
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver

from vestibule_handoff import SESSIONS

SECONDS = 3  # longest that a page of ours waits for Vestibule
logger = logging.getLogger(__name__)


class VestibuleError(Exception):
    """Vestibule can't be reached, or refused; the text says why."""


class NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: the token is for nobody else."""

    def redirect_request(self, *_):
        return None


def admin_token(scope):
    """Signs a token that is good for `scope` ("status", "stop", "revoke") for a minute."""
    now = int(time.time())
    claims = {
        "sub": getattr(settings, "VESTIBULE_SITE", "django"),  # for Vestibule's audit log
        "aud": getattr(settings, "VESTIBULE_AUDIENCE", "vestibule") + "/admin",
        "jti": secrets.token_urlsafe(16),
        "iat": now,
        "exp": now + 60,
        "scope": scope,
    }
    headers = {"typ": "vestibule-admin+jwt"}
    if issuer := getattr(settings, "VESTIBULE_ISSUER", None):
        claims["iss"] = issuer
    if key_id := getattr(settings, "VESTIBULE_KEY_ID", None):
        headers["kid"] = key_id
    key = Path(settings.VESTIBULE_KEY_FILE).read_bytes().removesuffix(b"\n")
    return jwt.encode(claims, key, getattr(settings, "VESTIBULE_ALGORITHM", "HS256"), headers)


def call(scope, method, path, body=None):
    """Makes a call and returns what Vestibule answers."""
    try:
        request = Request(
            f"{settings.VESTIBULE_URL.rstrip('/')}/_vestibule/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {admin_token(scope)}"},
        )
        trust = ssl.create_default_context()
        if authority := getattr(settings, "VESTIBULE_CA_FILE", None):
            trust.load_verify_locations(authority)
        opener = build_opener(HTTPSHandler(context=trust), NoRedirects)
        with opener.open(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except HTTPError as error:  # a problem of RFC 9457
        raise VestibuleError(f"{error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise VestibuleError(str(error)) from error


def workspace(username):
    """How a user's workspace is: a dict with `state`, `apps`, `open`, `stops_in_seconds`..."""
    return call("status", "GET", f"/workspaces/{quote(username, safe='')}")


def stop(username):
    """Stops a user's workspace; files stay."""
    return call("stop", "POST", f"/workspaces/{quote(username, safe='')}/stop")


def revoke(**what):
    """Ends sessions and the sockets they hold: `user=<name>`, `session=<id>` or `token=<id>`."""
    return call("revoke", "POST", "/revocations", what)["ended"]


@receiver(user_logged_out)
def end_sessions(request, **_):
    """Ends the Vestibule sessions that this browser's login began. Others of the user go on."""
    for session in request.session.get(SESSIONS, []) if request is not None else []:
        try:
            revoke(session=session)
        except VestibuleError as error:  # logging out here goes on; theirs ends by itself
            logger.warning("a Vestibule session could not be ended: %s", error)
