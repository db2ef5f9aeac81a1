"""Session and hand-off tokens as a web application signs them (HS256)."""

import base64
import hashlib
import hmac
import json
import secrets
import time

SECRET = secrets.token_hex(32)
SESSION = "vestibule-session+jwt"
HANDOFF = "vestibule-handoff+jwt"


def sign(kind, **claims):
    """A token of this `typ` with `claims` beside the usual ones."""
    usual = {"aud": "vestibule", "iat": now(), "jti": secrets.token_hex(8)}
    message = part({"alg": "HS256", "typ": kind}) + "." + part(usual | claims)
    digest = hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).digest()
    return message + "." + encode(digest)


def session(user):
    """A session token of `user` that outlives any run."""
    return sign(SESSION, sub=user, exp=now() + 86400)


def now():
    """Unix seconds, as tokens count."""
    return int(time.time())


def part(value):
    return encode(json.dumps(value, separators=(",", ":")).encode())


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
