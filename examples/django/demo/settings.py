"""The demo site: a login, a page with two buttons, and the hand-off to Vestibule.

Everything comes from the environment; README.md lists the variables. It speaks plain HTTP for
one machine. A site on a network serves HTTPS and sets Django's `*_SECURE` settings.
"""

import os
import secrets
from pathlib import Path

from demo.private_file import read_or_make

env = os.environ.get

# What vestibule_handoff.py reads: these, a site owner has too.
VESTIBULE_URL = env("VESTIBULE_URL") or "https://localhost:8443"
VESTIBULE_AUDIENCE = env("VESTIBULE_AUDIENCE") or "vestibule"
VESTIBULE_ISSUER = env("VESTIBULE_ISSUER") or None
VESTIBULE_ALGORITHM = env("VESTIBULE_ALGORITHM") or "HS256"
VESTIBULE_KEY_ID = env("VESTIBULE_KEY_ID") or None
VESTIBULE_CA_FILE = env("VESTIBULE_CA_FILE") or None
VESTIBULE_SHARED_COOKIE = env("VESTIBULE_SHARED_COOKIE") or None
VESTIBULE_COOKIE_DOMAIN = env("VESTIBULE_COOKIE_DOMAIN") or None

DATABASE = Path(env("DJANGO_DB") or Path(__file__).parents[1] / ".demo" / "db.sqlite3").absolute()
DATABASE.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
VESTIBULE_KEY_FILE = env("VESTIBULE_KEY_FILE") or DATABASE.with_name("vestibule.key")
SECRET_KEY = read_or_make(
    env("DJANGO_SECRET_KEY_FILE") or DATABASE.with_name("secret_key"),
    lambda: secrets.token_urlsafe(50),
)

DEBUG = env("DJANGO_DEBUG") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *env("DJANGO_ALLOWED_HOSTS", "").split()]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "demo",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "demo.views.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "vestibule_handoff.end_shared_session",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ]
        },
    }
]
ROOT_URLCONF = "demo.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_SAVE_EVERY_REQUEST = True  # each use renews it, so its end as Django knows it is exact

# As Django's own, but errors reach the console without DEBUG too. Nothing here sees a token.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["stderr"], "level": "INFO"}},
}
