"""What people see of the demo, and what its command makes."""

import io
import logging
import stat
import tempfile
from pathlib import Path
from unittest.mock import patch

from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client, TestCase, override_settings

from demo.private_file import read_or_make
from vestibule_admin import VestibuleError


@override_settings(VESTIBULE_URL="https://ide.example.test")
class PageTests(TestCase):
    def setUp(self):
        absent = patch("vestibule_admin.call", side_effect=VestibuleError("there is none"))
        self.enterContext(absent)
        logging.disable()
        self.addCleanup(logging.disable, logging.NOTSET)

    def log_in(self, name):
        self.client.force_login(User.objects.create(username=name))

    def test_home_needs_a_login(self):
        self.assertRedirects(self.client.get("/"), "/login/?next=/")

    def test_home_has_a_button_for_each_app_with_the_name_encoded(self):
        self.log_in("a@b+c.d")
        page = self.client.get("/")
        self.assertContains(page, "Hello, a@b+c.d")
        for app in ["codespace", "jupyter"]:
            self.assertContains(page, f'href="https://ide.example.test/{app}/a%40b%2Bc.d/"')

    def test_home_of_a_name_vestibule_would_refuse_has_words_and_no_button(self):
        self.log_in("<b>é")
        page = self.client.get("/")
        self.assertContains(page, "Hello, &lt;b&gt;é")
        self.assertContains(page, "ask for another user name")
        self.assertNotContains(page, "https://ide.example.test")

    def test_a_wrong_password_says_so(self):
        page = self.client.post("/login/", {"username": "alice", "password": "wrong"})
        self.assertContains(page, 'role="alert"')
        self.assertContains(page, 'value="alice"')
        self.assertNotContains(page, "wrong")

    def test_login_never_leaves_for_another_host(self):
        User.objects.create_user("alice", password="correct horse")
        form = {"username": "alice", "password": "correct horse", "next": "//evil.test/"}
        self.assertRedirects(self.client.post("/login/", form), "/")

    def test_logout_is_a_post_and_ends_the_login(self):
        self.log_in("alice")
        self.assertEqual(self.client.get("/logout/").status_code, 405)
        self.assertRedirects(self.client.post("/logout/"), "/login/")
        self.assertRedirects(self.client.get("/"), "/login/?next=/")

    def test_forms_want_djangos_own_token(self):
        strict = Client(enforce_csrf_checks=True)
        for path in ["/login/", "/logout/"]:
            self.assertContains(strict.post(path), "too old", status_code=403)

    def test_pages_load_nothing_from_anywhere(self):
        self.log_in("alice")
        for path in ["/", "/login/", "/no-such-page"]:
            page = self.client.get(path)
            self.assertIn("default-src 'none'", page["Content-Security-Policy"], path)
            self.assertNotRegex(
                page.text, r"<script|<link[^>]+href=\"(?!data:)|\bsrc=|@import|url\("
            )

    def test_a_login_may_end_at_vestibule(self):
        policy = self.client.get("/login/")["Content-Security-Policy"]
        self.assertIn("form-action 'self' https://ide.example.test/", policy)


class CommandTests(TestCase):
    def run_command(self, *args):
        out = io.StringIO()
        call_command("demo_users", *args, stdout=out)
        return out.getvalue()

    def setUp(self):
        self.key_file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "deep" / "key"
        settings = self.settings(
            VESTIBULE_KEY_FILE=self.key_file,
            VESTIBULE_ALGORITHM="HS256",
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # quick
        )
        self.enterContext(settings)

    def test_alice_bob_and_the_named_get_a_random_password_that_is_shown_once(self):
        for line in self.run_command("carol").splitlines():
            name, _, password = line.partition(": password ")
            self.assertTrue(User.objects.get(username=name).check_password(password), line)
        self.assertEqual(User.objects.count(), 3)
        before = list(User.objects.values())
        self.assertNotIn("password ", self.run_command("carol").replace("password as it was", ""))
        self.assertEqual(list(User.objects.values()), before)

    def test_a_given_password_is_set_and_not_shown(self):
        self.run_command()
        self.assertNotIn("correct horse", self.run_command("--password", "correct horse"))
        self.assertTrue(User.objects.get(username="bob").check_password("correct horse"))
        before = list(User.objects.values())
        self.run_command("--password", "correct horse")
        self.assertEqual(list(User.objects.values()), before)

    def test_a_name_vestibule_would_refuse_is_not_made(self):
        with self.assertRaisesMessage(CommandError, "'a b', '..'"):
            self.run_command("carol", "a b", "..")
        self.assertFalse(User.objects.exists())

    def test_the_shared_key_is_made_once_and_for_its_owner_alone(self):
        self.run_command()
        key = self.key_file.read_text()
        self.assertRegex(key, r"\A[0-9a-f]{64}\n\Z")
        self.assertEqual(stat.S_IMODE(self.key_file.stat().st_mode), 0o600)
        self.run_command()
        self.assertEqual(self.key_file.read_text(), key)

    def test_no_private_key_is_made_for_other_algorithms(self):
        with self.settings(VESTIBULE_ALGORITHM="EdDSA"):
            self.run_command()
        self.assertFalse(self.key_file.exists())

    def test_of_two_that_make_a_secret_at_once_both_get_the_first(self):
        def slow():
            read_or_make(self.key_file, lambda: "first")
            return "second"

        self.assertEqual(read_or_make(self.key_file, slow), "first")
        self.assertEqual([file.name for file in self.key_file.parent.iterdir()], ["key"])
