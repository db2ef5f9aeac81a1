"""What vestibule_admin.py asks of Vestibule, which a small server stands for here."""

import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jwt
from django.contrib.auth.models import User
from django.test import TestCase, override_settings

import vestibule_admin
from vestibule_handoff import SESSIONS

SECRET = b"0123456789abcdef0123456789abcdef"


class Vestibule(HTTPServer):
    """Answers every call with `answer`, and keeps what was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.answer, self.asked = 200, {}, []


class Handler(BaseHTTPRequestHandler):
    def respond(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = self.headers["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, SECRET, ["HS256"], audience="vestibule/admin")
        kind = jwt.get_unverified_header(token)["typ"]
        sent = json.loads(body) if body else None
        self.server.asked.append((self.command, self.path, claims["scope"], sent, kind, claims))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    do_GET = do_POST = respond

    def log_message(self, *_):
        pass


@override_settings(
    VESTIBULE_ALGORITHM="HS256",
    VESTIBULE_AUDIENCE="vestibule",
    VESTIBULE_ISSUER=None,
    VESTIBULE_KEY_ID=None,
    VESTIBULE_CA_FILE=None,
    VESTIBULE_SHARED_COOKIE=None,
)
class AdminTests(TestCase):
    def setUp(self):
        self.vestibule = Vestibule()
        threading.Thread(target=self.vestibule.serve_forever, args=[0.02], daemon=True).start()
        self.addCleanup(self.vestibule.server_close)
        self.addCleanup(self.vestibule.shutdown)
        key_file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "key"
        key_file.write_bytes(SECRET + b"\n")
        url = f"http://127.0.0.1:{self.vestibule.server_port}"
        self.enterContext(self.settings(VESTIBULE_KEY_FILE=key_file, VESTIBULE_URL=url))
        self.client.force_login(User.objects.create(username="a@b"))

    def asked(self):
        """Method, path, scope and body of each call so far."""
        return [call[:4] for call in self.vestibule.asked]

    def test_a_call_bears_a_short_token_for_it_alone(self):
        self.vestibule.answer = {"state": "running"}
        self.assertEqual(vestibule_admin.workspace("a@b"), {"state": "running"})
        vestibule_admin.stop("a@b")
        self.vestibule.answer = {"ended": 2}
        self.assertEqual(vestibule_admin.revoke(user="a@b"), 2)
        door = "/_vestibule/api/v1"
        self.assertEqual(
            self.asked(),
            [
                ("GET", f"{door}/workspaces/a%40b", "status", None),
                ("POST", f"{door}/workspaces/a%40b/stop", "stop", None),
                ("POST", f"{door}/revocations", "revoke", {"user": "a@b"}),
            ],
        )
        for *_, kind, claims in self.vestibule.asked:
            self.assertEqual(kind, "vestibule-admin+jwt")
            self.assertEqual(claims["exp"] - claims["iat"], 60)
            self.assertEqual(claims["sub"], "django")
        self.assertEqual(len({call[-1]["jti"] for call in self.vestibule.asked}), 3)

    def test_logging_out_ends_the_sessions_this_login_began_and_no_other(self):
        other = self.client_class()
        other.force_login(User.objects.get())
        ids = []
        for client in [self.client, self.client, other]:
            location = client.get("/vestibule/open")["Location"]
            token = location.split("token=")[1].split("&")[0]
            ids.append(jwt.decode(token, options={"verify_signature": False})["jti"])
        self.vestibule.answer = {"ended": 1}
        self.client.post("/logout/")
        self.assertEqual([call[3] for call in self.asked()], [{"session": id} for id in ids[:2]])
        self.assertNotIn(SESSIONS, self.client.session)

    def test_only_so_many_sessions_are_remembered(self):
        for _ in range(12):
            self.client.get("/vestibule/open")
        self.assertEqual(len(self.client.session[SESSIONS]), 8)

    def test_logging_out_works_without_vestibule(self):
        self.client.get("/vestibule/open")
        self.vestibule.status = 503
        with self.assertLogs("vestibule_admin", "WARNING"):
            self.assertRedirects(self.client.post("/logout/"), "/login/")

    def test_a_redirect_gets_no_token(self):
        self.vestibule.status = 302
        with self.assertRaises(vestibule_admin.VestibuleError):
            vestibule_admin.workspace("a@b")
        self.assertEqual(len(self.asked()), 1)

    def test_the_page_says_how_the_workspace_is(self):
        running = {"state": "running", "apps": ["codespace", "jupyter"], "open": 0}
        for answer, sentence in [
            (running | {"stops_in_seconds": 1490}, "Running: codespace and jupyter. It stops in 25 minutes"),
            (running | {"stops_in_seconds": 20}, "It stops in 1 minute unless"),
            (running | {"stops_in_seconds": 1490, "open": 2}, "Running: codespace and jupyter.</p>"),
            ({"state": "stopped", "apps": [], "open": 0, "stops_in_seconds": None}, "Stopped: "),
            ({"state": "absent", "apps": [], "open": 0, "stops_in_seconds": None}, "Not there yet"),
        ]:
            self.vestibule.answer = answer
            self.assertContains(self.client.get("/"), sentence)

    def test_the_page_comes_without_vestibule(self):
        self.vestibule.status = 500
        with self.assertLogs("demo.views", "WARNING"):
            page = self.client.get("/")
        self.assertContains(page, "can’t be told")
        self.assertContains(page, "Open Codespace")
