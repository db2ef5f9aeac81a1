#!/usr/bin/env bash
# demo.sh: the main job on this machine. Installs and starts what is missing, and ends on
# Ctrl-C what it started. State and files stay in .demo/ for the next time.
#
#   DEMO_PORT, DEMO_SITE_PORT, DEMO_SSH_PORT   other ports than 8443, 8000 and 2200
#   DEMO_IMAGE=full             the full image (R, Python's libraries) instead of the slim one
#   DEMO_CHECK=1                log in, open the editor, and end: does the demo work?
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

port=${DEMO_PORT:-8443}
site_port=${DEMO_SITE_PORT:-8000}
ssh_port=${DEMO_SSH_PORT:-2200}
# Slim is there in a few minutes; the full one takes three times as long.
kind=${DEMO_IMAGE:-slim}
dir=$PWD/.demo
# The editor at one name and the site at another, as in real life: a browser sends a host's
# cookies to all its ports, so at one name Django's would reach the workspace.
url=https://localhost:$port
site=http://127.0.0.1:$site_port

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

pids=()
cleanup() {
    trap - EXIT
    # A second Ctrl-C, or make's own word after a signal to both of us, must not leave it half done.
    trap '' INT TERM
    [ ${#pids[@]} -gt 0 ] || return 0
    say "ending the demo, in a few seconds (files stay in .demo/)"
    "$vestibule" --config "$dir/proxy.toml" ps --json 2> /dev/null |
        sed -n 's/.*"user": "\(.*\)".*/\1/p' | while read -r user; do
        "$vestibule" --config "$dir/proxy.toml" stop "$user" > /dev/null 2>&1 || true
    done
    kill "${pids[@]}" 2> /dev/null || true
    wait "${pids[@]}" 2> /dev/null || true
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# free PORT: whether nobody listens there.
free() { ! (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# answers URL: waits until it does, or what should answer has ended.
answers() {
    for _ in $(seq 120); do
        ! curl -s -o /dev/null --cacert certs/dev/ca.pem "$1" || return 0
        kill -0 "$2" 2> /dev/null || break
        sleep 0.25
    done
    tail -n 20 "$3" >&2
    die "$1 does not answer; its log is $3"
}

free "$port" || die "port $port is taken; set DEMO_PORT to another"
free "$ssh_port" || die "port $ssh_port is taken; set DEMO_SSH_PORT to another"
free "$site_port" || die "port $site_port is taken; set DEMO_SITE_PORT to another"

VESTIBULE_IMAGE_TARGET=$kind tests/setup.sh engine image django
certs/make.sh
say "building vestibule"
cargo build --release --locked
vestibule=${CARGO_TARGET_DIR:-target}/release/vestibule

umask 077
mkdir -p "$dir/users"
# The containers' user must get through to its own directory.
chmod 711 "$dir" "$dir/users"
password=$(cat "$dir/password" 2> /dev/null || openssl rand -hex 6 | tee "$dir/password")
django() (
    cd examples/django
    export VESTIBULE_URL=$url VESTIBULE_KEY_FILE=$dir/vestibule.key DJANGO_DB=$dir/site/db.sqlite3
    exec ../../target/test-venv/bin/python manage.py "$@"
)
mkdir -p "$dir/site"
django demo_users --password "$password" > "$dir/site.log" 2>&1 || {
    cat "$dir/site.log" >&2
    die "Django's demo users could not be made"
}

[ "$kind" = full ] && tag=latest || tag=$kind
cat > "$dir/proxy.toml" << EOF
public_url = "$url"
login_url = "$site/vestibule/open"
state_dir = "state"

[listen]
https = ["127.0.0.1:$port"]

[tls]
cert = "$PWD/certs/dev/cert.pem"
key = "$PWD/certs/dev/key.pem"

[session]
keys = [{ algorithm = "HS256", file = "vestibule.key" }]

[workspace]
image = "vestibule-workspace:$tag"
data_root = "users"
network = "vestibule-demo"

[ssh]
listen = ["127.0.0.1:$ssh_port"]
EOF

# Both in sessions of their own: Ctrl-C is for us, and we end them in order.
setsid "$vestibule" --config "$dir/proxy.toml" serve > "$dir/proxy.log" 2>&1 &
pids+=($!)
proxy=$!
(
    cd examples/django
    export VESTIBULE_URL=$url VESTIBULE_KEY_FILE=$dir/vestibule.key DJANGO_DB=$dir/site/db.sqlite3
    export VESTIBULE_CA_FILE=$PWD/../../certs/dev/ca.pem
    exec setsid ../../target/test-venv/bin/python manage.py runserver --noreload "127.0.0.1:$site_port"
) >> "$dir/site.log" 2>&1 &
pids+=($!)
answers "$url/_vestibule/healthz" "$proxy" "$dir/proxy.log"
answers "$site/login/" "${pids[1]}" "$dir/site.log"

# log_in_and_open: as a browser would, by curl.
log_in_and_open() {
    local jar=$dir/check.jar page token code
    rm -f "$jar"
    local browser=(curl -s --cacert certs/dev/ca.pem -b "$jar" -c "$jar"
        -H 'Accept: text/html' -H 'Sec-Fetch-Mode: navigate' -H 'Sec-Fetch-Dest: document')
    page=$("${browser[@]}" "$site/login/")
    token=$(sed -n 's/.*csrfmiddlewaretoken" value="\([^"]*\)".*/\1/p' <<< "$page" | head -n 1)
    "${browser[@]}" -o /dev/null --data-urlencode "csrfmiddlewaretoken=$token" \
        --data-urlencode username=alice --data-urlencode "password=$password" -H "Referer: $site/login/" "$site/login/"
    for _ in $(seq 60); do
        code=$("${browser[@]}" -L --max-redirs 10 -o "$dir/check.html" -w '%{http_code}' "$url/codespace/alice/")
        [ "$code" != 202 ] || { sleep 1 && continue; }
        break
    done
    rm -f "$jar"
    [ "$code" = 200 ] && grep -q 'vscode-workbench' "$dir/check.html"
}

if [ -n "${DEMO_CHECK:-}" ]; then
    log_in_and_open || die "logging in did not lead to the editor"
    say "alice logged in, and her editor opened"
    exit
fi

cat << EOF

  Open      $site/
  Log in    alice, password $password   (or bob, with the same)
  Then      click "Open Codespace" or "Open JupyterLab"
  Or        ssh -p $ssh_port alice@localhost     and open the link that it prints

  The certificate is this machine's own: have your browser trust it with
  certs/make.sh --trust, or click past its warning (previews will be missing).
EOF
# As root, Vestibule sees to it that no browser here notices (src/engine/bridge.rs).
[ "$(id -u)" = 0 ] || cat << EOF
  Chromium on this same machine may leave a workspace's first page blank, as it sees the
  container's network come (ERR_NETWORK_CHANGED): reload it.
EOF
cat << EOF
  Logs are in .demo/; Ctrl-C ends all of this, files stay.

EOF
wait -n "${pids[@]}" || true
die "something ended by itself; see .demo/proxy.log and .demo/site.log"
