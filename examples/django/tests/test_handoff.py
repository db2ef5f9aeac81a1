"""What vestibule_handoff.py promises Vestibule and the site that copied it."""

import tempfile
import time
import uuid
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.http import QueryDict
from django.test import TestCase, override_settings

from vestibule_handoff import token

SECRET = b"0123456789abcdef0123456789abcdef"
VESTIBULE = "https://ide.example.test:8443"


@override_settings(
    VESTIBULE_URL=VESTIBULE,
    VESTIBULE_ALGORITHM="HS256",
    VESTIBULE_AUDIENCE="vestibule",
    VESTIBULE_ISSUER=None,
    VESTIBULE_KEY_ID=None,
    VESTIBULE_SHARED_COOKIE=None,
    VESTIBULE_COOKIE_DOMAIN=None,
)
class Handoff(TestCase):
    """A logged-in alice, a key in a file, and verbs to hand her off."""

    @classmethod
    def setUpTestData(cls):
        cls.alice = User.objects.create_user("alice")

    def setUp(self):
        self.key_file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "key"
        self.key_file.write_bytes(SECRET + b"\n")
        self.enterContext(self.settings(VESTIBULE_KEY_FILE=self.key_file))
        self.client.force_login(self.alice)
        # There is no Vestibule here to be told of a logout.
        self.enterContext(patch("vestibule_admin.call"))

    def open(self, **query):
        return self.client.get("/vestibule/open", query)

    def handed_off(self, **query):
        """Follows one hand-off; returns the token and the `next` Vestibule gets."""
        response = self.open(**query)
        self.assertEqual(response.status_code, 302)
        url = urlsplit(response["Location"])
        self.assertEqual(
            f"{url.scheme}://{url.netloc}{url.path}", f"{VESTIBULE}/_vestibule/callback"
        )
        sent = parse_qs(url.query, strict_parsing=True)
        self.assertEqual(list(sent), ["token", "next"])
        return sent["token"][0], sent["next"][0]

    def claims(self, encoded, key=SECRET, algorithm="HS256", **options):
        return jwt.decode(encoded, key, [algorithm], audience="vestibule", **options)


class TokenTests(Handoff):
    def test_header_and_claims_are_those_agreed_on(self):
        before = int(time.time())
        encoded, path = self.handed_off(next="/codespace/alice/", state="nonce-1")
        self.assertEqual(
            jwt.get_unverified_header(encoded), {"alg": "HS256", "typ": "vestibule-handoff+jwt"}
        )
        claims = self.claims(encoded)
        self.assertEqual(
            set(claims), {"aud", "sub", "uid", "jti", "iat", "exp", "state", "session_exp"}
        )
        self.assertEqual(claims["aud"], "vestibule")
        self.assertEqual(claims["sub"], "alice")
        self.assertEqual(claims["uid"], self.alice.pk)
        self.assertEqual(claims["state"], "nonce-1")
        self.assertEqual(path, "/codespace/alice/")
        self.assertLessEqual(before, claims["iat"])
        self.assertEqual(claims["exp"], claims["iat"] + 30)

    def test_audience_issuer_and_key_id_come_from_the_settings(self):
        with self.settings(
            VESTIBULE_AUDIENCE="ide", VESTIBULE_ISSUER="https://www", VESTIBULE_KEY_ID="k1"
        ):
            encoded, _ = self.handed_off()
        claims = jwt.decode(encoded, SECRET, ["HS256"], audience="ide", issuer="https://www")
        self.assertEqual(claims["iss"], "https://www")
        self.assertEqual(jwt.get_unverified_header(encoded)["kid"], "k1")

    def test_without_a_state_there_is_no_state(self):
        self.assertNotIn("state", self.claims(self.handed_off()[0]))

    def test_no_two_tokens_share_an_id(self):
        ids = {self.claims(self.handed_off()[0])["jti"] for _ in range(20)}
        self.assertEqual(len(ids), 20)

    def test_session_exp_is_the_end_of_djangos_session(self):
        session = self.client.session
        session.set_expiry(timedelta(minutes=5))
        session.save()
        claims = self.claims(self.handed_off()[0])
        self.assertAlmostEqual(claims["session_exp"], time.time() + 300, delta=5)

    def test_a_key_of_each_algorithm_verifies(self):
        for algorithm, private in [
            ("RS256", rsa.generate_private_key(65537, 2048)),
            ("ES256", ec.generate_private_key(ec.SECP256R1())),
            ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
        ]:
            self.key_file.write_bytes(
                private.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            with self.subTest(algorithm), self.settings(VESTIBULE_ALGORITHM=algorithm):
                encoded, _ = self.handed_off()
                claims = self.claims(encoded, private.public_key(), algorithm)
                self.assertEqual(claims["sub"], "alice")
                self.assertEqual(jwt.get_unverified_header(encoded)["alg"], algorithm)

    def test_one_final_newline_is_no_part_of_a_shared_secret(self):
        for content, secret in [
            (SECRET, SECRET),
            (SECRET + b"\n", SECRET),
            (SECRET + b"\n\n", SECRET + b"\n"),
            (b" " + SECRET + b" \n", b" " + SECRET + b" "),
        ]:
            self.key_file.write_bytes(content)
            self.assertEqual(self.claims(self.handed_off()[0], secret)["sub"], "alice", content)

    def test_a_user_id_that_is_no_number_is_sent_as_text(self):
        pk = uuid.uuid4()
        user = SimpleNamespace(pk=pk, get_username=lambda: "alice")
        claims = self.claims(token(SimpleNamespace(user=user), "handoff", 30))
        self.assertEqual(claims["uid"], str(pk))


class ViewTests(Handoff):
    def test_next_is_a_path_of_vestibules_or_the_root(self):
        for sent, arrives in [
            (None, "/"),
            ("", "/"),
            ("/", "/"),
            ("/codespace/alice/", "/codespace/alice/"),
            ("/codespace/alice/?folder=/home/user&x=1", "/codespace/alice/?folder=/home/user&x=1"),
            ("/codespace/a%40b/%2fx", "/codespace/a%40b/%2fx"),
            ("/jupyter/alice/lab/tree/My file.ipynb", "/jupyter/alice/lab/tree/My%20file.ipynb"),
            ("/jupyter/alice/é", "/jupyter/alice/%C3%A9"),
            ("//evil", "/"),
            ("///evil", "/"),
            ("/\\evil", "/"),
            ("\\evil", "/"),
            ("/x\\y", "/"),
            ("/\t/evil", "/"),
            ("\t//evil", "/"),
            ("/\r\nSet-Cookie:x=1", "/"),
            ("/x\n", "/"),
            ("/\x00", "/"),
            ("/\x7f", "/"),
            (" /x", "/"),
            ("https:evil", "/"),
            ("https://evil/", "/"),
            ("javascript:1", "/"),
            ("codespace/alice/", "/"),
            ("?x", "/"),
            ("/" + "x" * 2000, "/" + "x" * 2000),
            ("/" + "x" * 2001, "/"),
        ]:
            query = {} if sent is None else {"next": sent}
            with self.subTest(sent):
                self.assertEqual(self.handed_off(**query)[1], arrives)
                with self.settings(VESTIBULE_SHARED_COOKIE="ide"):
                    self.assertEqual(self.open(**query)["Location"], VESTIBULE + arrives)

    def test_a_stranger_logs_in_first_and_the_query_survives(self):
        self.client.logout()
        self.alice.set_password("correct horse")
        self.alice.save()
        wanted = urlencode({"next": "/jupyter/alice/lab?a=1&b=2", "state": "n+/&=once"})
        response = self.client.get(f"/vestibule/open?{wanted}")
        self.assertEqual(response.status_code, 302)
        login = urlsplit(response["Location"])
        self.assertEqual((login.netloc, login.path), ("", "/login/"))
        page = self.client.get(response["Location"])
        back = page.context["next"]
        self.assertContains(page, f'name="next" value="{back.replace("&", "&amp;")}"')
        response = self.client.post(
            "/login/", {"username": "alice", "password": "correct horse", "next": back}
        )
        self.assertEqual(urlsplit(response["Location"]).path, "/vestibule/open")
        query = QueryDict(urlsplit(response["Location"]).query).dict()
        encoded, path = self.handed_off(**query)
        self.assertEqual(path, "/jupyter/alice/lab?a=1&b=2")
        self.assertEqual(self.claims(encoded)["state"], "n+/&=once")

    def test_a_user_who_was_switched_off_gets_no_token(self):
        self.alice.is_active = False
        self.alice.save()
        self.assertEqual(urlsplit(self.open()["Location"]).path, "/login/")

    def test_the_redirect_is_neither_kept_nor_told_on(self):
        response = self.open(next="/codespace/alice/")
        self.assertEqual(response["Cache-Control"], "no-store")
        self.assertEqual(response["Referrer-Policy"], "no-referrer")
        self.assertEqual(response.content, b"")

    def test_only_get_hands_off(self):
        for method in ["post", "put", "delete", "head"]:
            self.assertEqual(
                getattr(self.client, method)("/vestibule/open").status_code, 405, method
            )

    def test_a_name_vestibule_would_refuse_gets_a_message_and_no_token(self):
        for name, fits in [
            ("A.b@c+d-e_f", True),
            ("...", True),
            ("x" * 64, True),
            ("x" * 65, False),
            (".", False),
            ("..", False),
            ("josé", False),
            ("a b", False),
            ("a/b", False),
            ("a\n", False),
            ("ａlice", False),
            ("٣", False),
        ]:
            self.client.force_login(User.objects.create(username=name))
            for cookie in [None, "ide"]:
                with (
                    self.subTest(name, cookie=cookie),
                    self.settings(VESTIBULE_SHARED_COOKIE=cookie),
                ):
                    response = self.open(next="/codespace/x/")
                    self.assertEqual(response.status_code, 302 if fits else 403)
                    if not fits:
                        self.assertContains(response, "user name", status_code=403)
                        self.assertEqual(response["Content-Type"], "text/plain; charset=utf-8")
                        self.assertNotIn("Location", response)
                        self.assertNotIn("ide", response.cookies)

    def test_no_token_is_logged(self):
        with self.assertLogs("django", "DEBUG") as logs:
            encoded, _ = self.handed_off(next="/codespace/alice/")
            self.open(next="/x", state="y" * 20000)  # longer than Django lets a redirect be
        self.assertNotIn(encoded.split(".")[1], "".join(logs.output))
        self.assertNotIn("token=", "".join(logs.output))


@override_settings(VESTIBULE_SHARED_COOKIE="__Secure-ide", VESTIBULE_COOKIE_DOMAIN="example.test")
class SharedCookieTests(Handoff):
    def assert_deletes_the_cookie(self, response):
        cookie = response.cookies["__Secure-ide"]
        self.assertEqual(cookie.value, "")
        self.assertEqual(cookie["max-age"], 0)
        self.assertEqual((cookie["path"], cookie["domain"]), ("/", "example.test"))
        self.assertTrue(cookie["secure"])

    def test_the_cookie_holds_a_session_token_and_the_browser_goes_straight_on(self):
        response = self.open(next="/codespace/alice/", state="n")
        self.assertEqual(response["Location"], f"{VESTIBULE}/codespace/alice/")
        encoded = response.cookies["__Secure-ide"].value
        self.assertEqual(
            jwt.get_unverified_header(encoded), {"alg": "HS256", "typ": "vestibule-session+jwt"}
        )
        claims = self.claims(encoded)
        self.assertEqual(set(claims), {"aud", "sub", "uid", "sid", "iat", "exp"})
        self.assertEqual((claims["sub"], claims["uid"]), ("alice", self.alice.pk))
        self.assertAlmostEqual(claims["exp"] - claims["iat"], 12 * 3600, delta=2)
        again = self.claims(self.open().cookies["__Secure-ide"].value)
        self.assertNotEqual(claims["sid"], again["sid"])

    def test_the_cookies_attributes_keep_it_to_https_and_from_scripts(self):
        cookie = self.open().cookies["__Secure-ide"]
        self.assertTrue(cookie["secure"])
        self.assertTrue(cookie["httponly"])
        self.assertEqual(cookie["samesite"], "Lax")
        self.assertEqual(cookie["path"], "/")
        self.assertEqual(cookie["domain"], "example.test")
        with self.settings(VESTIBULE_COOKIE_DOMAIN=None):
            self.assertEqual(self.open().cookies["__Secure-ide"]["domain"], "")

    def test_it_ends_with_djangos_session_if_that_is_sooner(self):
        session = self.client.session
        session.set_expiry(timedelta(minutes=5))
        session.save()
        cookie = self.open().cookies["__Secure-ide"]
        self.assertAlmostEqual(cookie["max-age"], 300, delta=5)
        self.assertAlmostEqual(self.claims(cookie.value)["exp"], time.time() + 300, delta=5)

    def test_logout_deletes_it(self):
        self.open()
        self.assert_deletes_the_cookie(self.client.post("/logout/"))

    def test_logging_in_as_somebody_else_deletes_it(self):
        self.open()
        User.objects.create_user("bob", password="correct horse")
        response = self.client.post("/login/", {"username": "bob", "password": "correct horse"})
        self.assertEqual(response.status_code, 302)
        self.assert_deletes_the_cookie(response)

    def test_other_responses_leave_it_alone(self):
        self.open()
        self.assertNotIn("__Secure-ide", self.client.get("/").cookies)
        with self.settings(VESTIBULE_SHARED_COOKIE=None):
            self.assertEqual(set(self.client.post("/logout/").cookies), {"sessionid"})

    def test_without_the_middleware_no_cookie_is_set_that_logout_would_leave(self):
        with self.settings(MIDDLEWARE=[m for m in settings.MIDDLEWARE if "end_shared" not in m]):
            with self.assertRaisesMessage(ImproperlyConfigured, "vestibule_handoff.end_shared"):
                self.open()
