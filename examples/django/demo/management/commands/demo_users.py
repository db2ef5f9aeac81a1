"""`manage.py demo_users`: makes all that the demo needs, as often as you like."""

import os
import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand

from demo.private_file import read_or_make
from vestibule_handoff import USERNAME


class Command(BaseCommand):
    help = "Makes the database, the users alice and bob, and the shared key if it is HS256."

    def add_arguments(self, parser):
        parser.add_argument("names", nargs="*", help="further users, beside alice and bob")
        parser.add_argument(
            "--password",
            default=os.environ.get("DJANGO_DEMO_PASSWORD") or None,
            help="the password of all of them, also $DJANGO_DEMO_PASSWORD; without it new users"
            " get one of their own, shown once, and the others keep theirs",
        )

    def handle(self, *, names, password, verbosity, **options):
        if bad := [name for name in names if not USERNAME.fullmatch(name)]:
            raise CommandError(f"not a user name for Vestibule: {', '.join(map(repr, bad))}")
        call_command("migrate", interactive=False, verbosity=0)
        if settings.VESTIBULE_ALGORITHM == "HS256":
            read_or_make(settings.VESTIBULE_KEY_FILE, lambda: secrets.token_hex(32))
        for name in dict.fromkeys(["alice", "bob", *names]):
            self.stdout.write(f"{name}: {self.ensure(name, password)}")

    def ensure(self, name, password):
        """Makes the user if absent and says what the password is, as far as we know it."""
        user, made = get_user_model().objects.get_or_create(username=name)
        if not made and not password:
            return "there already, password as it was"
        secret = password or secrets.token_urlsafe(9)
        if not user.check_password(secret):  # a new hash would end the user's logins
            user.set_password(secret)
            user.save()
        return "password as given" if password else f"password {secret}"
