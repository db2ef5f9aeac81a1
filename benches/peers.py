"""The other proxies, each as its operator would run it with one worker for this one task.

All get the same certificate, TLS 1.3, HTTP/1.1 and 2 where they can, and the same upstream:
`/codespace/` is nginx, `/echo/` echoes WebSockets and swallows uploads. None writes an access
log; none but nginx-auth and haproxy asks who is there.
"""

import dataclasses
import json
import urllib.request

import tokens
from stage import TOOLS, is_open, wait_until

SMALL = "/codespace/alice/small"
BIG = "/codespace/alice/big"
ECHO = "/echo/alice/socket"
SINK = "/echo/alice/sink"


@dataclasses.dataclass
class Target:
    """A running proxy, and how to get in."""

    name: str
    port: int
    child: object
    headers: tuple = ()
    has_h2: bool = True
    beside: tuple = ()

    @property
    def pid(self):
        return self.child.pid

    def children(self):
        """What ends with it: itself, and what it alone needs."""
        return [self.child, *self.beside]


@dataclasses.dataclass
class Upstream:
    """What stands behind all of them."""

    files: int
    sockets: int

    @classmethod
    def start(cls, stage):
        files, sockets = stage.port(), stage.port()
        config = stage.dir / "upstream.conf"
        config.write_text(
            NGINX_HEAD.format(name="upstream", dir=stage.dir, files=stage.files)
            + f"""
  sendfile on;
  server {{
    listen 127.0.0.1:{files} backlog=4096;
    root {stage.www};
    rewrite ^/codespace/[^/]+/(.*)$ /$1 last;
    location = /auth {{ return 204; }}
    location / {{ }}
  }}
}}
"""
        )
        stage.spawn("upstream", ["nginx", "-c", config, "-p", stage.dir], cpus=stage.other_cpus)
        stage.python("sockets", "upstream.py", sockets)
        for port in (files, sockets):
            wait_until("the upstream's start", lambda: is_open(port))
        return cls(files, sockets)


NGINX_HEAD = """
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {dir}/{name}.pid;
error_log {dir}/{name}.err;
events {{ worker_connections 25000; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 1h;
  client_body_temp_path {dir}/temp;
  proxy_temp_path {dir}/temp;
  fastcgi_temp_path {dir}/temp;
  uwsgi_temp_path {dir}/temp;
  scgi_temp_path {dir}/temp;
"""

# Bodies stream both ways, which is what an IDE needs and also what costs nginx least.
NGINX = """
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
  proxy_read_timeout 1h;
  proxy_set_header Host $http_host;
  upstream files {{
    server 127.0.0.1:{upstream.files};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  upstream sockets {{ server 127.0.0.1:{upstream.sockets}; keepalive 64; }}
  map $http_upgrade $link {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port} ssl http2 backlog=4096;
    ssl_certificate {stage.cert};
    ssl_certificate_key {stage.key};
    ssl_protocols TLSv1.3;
    {server}
    location /codespace/ {{ {each} proxy_pass http://files; proxy_set_header Connection ''; }}
    location /echo/ {{
      {each}
      proxy_pass http://sockets;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $link;
    }}
  }}
}}
"""

AUTH = """
    location = /auth {{
      internal;
      proxy_pass http://files;
      proxy_set_header Connection '';
      proxy_set_header Content-Length '';
      proxy_pass_request_body off;
    }}
"""


def nginx(stage, upstream, name="nginx", each="", server=""):
    port = stage.port()
    config = stage.dir / f"{name}.conf"
    config.write_text(
        NGINX_HEAD.format(name=name, dir=stage.dir, files=stage.files)
        + NGINX.format(stage=stage, upstream=upstream, port=port, each=each, server=server)
    )
    argv = ["nginx", "-c", config, "-p", stage.dir]
    return Target(name, port, stage.spawn(name, argv))


def nginx_auth(stage, upstream):
    return nginx(stage, upstream, "nginx-auth", "auth_request /auth;", AUTH.format())


HAPROXY = """
global
  nbthread 1
  maxconn {most}
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  timeout connect 5s
  option http-keep-alive
frontend all
  bind 127.0.0.1:{port} ssl crt {stage.both} alpn h2,http/1.1 backlog 4096
  http-request set-var(txn.token) req.cook(session)
  http-request deny unless {{ var(txn.token),jwt_header_query('$.alg') -m str HS256 }}
  http-request deny unless {{ var(txn.token),jwt_verify("HS256","{secret}") 1 }}
  use_backend sockets if {{ path_beg /echo/ }}
  default_backend files
backend files
  http-reuse always
  server s 127.0.0.1:{upstream.files}
backend sockets
  server s 127.0.0.1:{upstream.sockets}
"""


def haproxy(stage, upstream):
    port = stage.port()
    config = stage.dir / "haproxy.cfg"
    config.write_text(
        HAPROXY.format(
            stage=stage,
            upstream=upstream,
            port=port,
            secret=tokens.SECRET,
            most=stage.most_sockets + 200,
        )
    )
    child = stage.spawn("haproxy", ["haproxy", "-f", config])
    cookie = (("Cookie", "session=" + tokens.session("alice")),)
    return Target("haproxy-jwt", port, child, cookie)


CADDY = """
{{
  admin off
  auto_https off
  servers {{
    protocols h1 h2
  }}
}}
https://localhost:{port}, https://127.0.0.1:{port} {{
  tls {stage.cert} {stage.key} {{
    protocols tls1.3
  }}
  handle /echo/* {{
    reverse_proxy 127.0.0.1:{upstream.sockets}
  }}
  handle {{
    reverse_proxy 127.0.0.1:{upstream.files} {{
      transport http {{
        keepalive_idle_conns_per_host 64
      }}
    }}
  }}
}}
"""


def caddy(stage, upstream):
    port = stage.port()
    config = stage.dir / "Caddyfile"
    config.write_text(CADDY.format(stage=stage, upstream=upstream, port=port))
    argv = [TOOLS / "venv/bin/caddy", "run", "--config", config, "--adapter", "caddyfile"]
    env = {"GOMAXPROCS": "1", "HOME": str(stage.dir)}
    return Target("caddy", port, stage.spawn("caddy", argv, env=env))


def chp(stage, upstream):
    port, api = stage.port(), stage.port()
    command = TOOLS / "node_modules/.bin/configurable-http-proxy"
    argv = ["node", command, "--ip", "127.0.0.1", "--port", port, "--log-level", "error"]
    argv += ["--api-ip", "127.0.0.1", "--api-port", api, "--ssl-key", stage.key]
    argv += ["--ssl-cert", stage.cert]
    argv += ["--default-target", f"http://127.0.0.1:{upstream.files}"]
    child = stage.spawn("chp", argv)
    wait_until("chp's start", lambda: is_open(api), child=child, stage=stage)
    route = f"http://127.0.0.1:{api}/api/routes/echo"
    body = json.dumps({"target": f"http://127.0.0.1:{upstream.sockets}"}).encode()
    urllib.request.urlopen(urllib.request.Request(route, data=body, method="POST")).close()
    return Target("chp", port, child, has_h2=False)


PEERS = {
    "nginx": nginx,
    "nginx-auth": nginx_auth,
    "haproxy-jwt": haproxy,
    "caddy": caddy,
    "chp": chp,
}
VERSIONS = {
    "nginx": (["nginx", "-v"], "nginx/"),
    "haproxy-jwt": (["haproxy", "-v"], "version "),
    "caddy": ([TOOLS / "venv/bin/caddy", "version"], "v"),
    "chp": (["node", TOOLS / "node_modules/.bin/configurable-http-proxy", "--version"], ""),
    "h2load": (["h2load", "--version"], "nghttp2/"),
}
