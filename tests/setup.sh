#!/usr/bin/env bash
# setup.sh PART...: installs and starts what the demo and the tests need and this machine has
# not. Says what it does, asks nothing, and has nothing to do the second time.
# Parts: engine, image, django, browser, nginx, prometheus, ssh, deny, peers, profile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Where Debian has servers, which not every user has in the path.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() {
    printf 'setup.sh: %s\n' "$*" >&2
    exit 1
}
# Commands alone: the parts below are functions, some of the same name.
has() { type -P "$1" > /dev/null; }
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
        return
    fi
    has sudo || die "please have an administrator run: $*"
    sudo "$@"
}

# packages COMMAND:PACKAGE...: installs each Debian package whose command is missing.
packages() {
    local pair missing=()
    for pair in "$@"; do
        has "${pair%%:*}" || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    has apt-get || die "please install: ${missing[*]}"
    say "installing ${missing[*]}"
    local options=(-qq -o DPkg::Lock::Timeout=300)
    as_root apt-get "${options[@]}" update
    DEBIAN_FRONTEND=noninteractive as_root apt-get "${options[@]}" install -y \
        --no-install-recommends "${missing[@]}" > target/apt.log 2>&1 || {
        tail -n 20 target/apt.log >&2
        die "the packages could not be installed"
    }
}

engine() {
    packages curl:curl openssl:openssl git:git
    if has docker && docker info > /dev/null 2>&1; then
        return
    fi
    if [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ]; then
        die "a container engine is there, but not for $(id -un): add yourself to the group docker"
    fi
    packages docker:docker.io dockerd:docker.io iptables:iptables
    [ "$(id -u)" -eq 0 ] || die "no container engine answers; start Docker and try again"
    if [ -d /run/systemd/system ]; then
        say "starting Docker"
        systemctl start docker
    else
        say "starting dockerd (its log: target/dockerd.log); it goes on running afterwards"
        setsid nohup dockerd > target/dockerd.log 2>&1 < /dev/null &
    fi
    for _ in $(seq 120); do
        ! docker info > /dev/null 2>&1 || return 0
        sleep 0.5
    done
    tail -n 20 target/dockerd.log >&2 || true
    die "Docker did not start within a minute"
}

# Builds the slim image unless this very source was built and is here still.
image() {
    local target=${VESTIBULE_IMAGE_TARGET:-slim} tag source stamp
    [ "$target" = full ] && tag=latest || tag=$target
    stamp=target/image-$target
    source=$(find workspace-image -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1)
    local have
    have=$(docker image inspect --format '{{.Id}}' "vestibule-workspace:$tag" 2> /dev/null || true)
    if [ -n "$have" ] && [ "$(cat "$stamp" 2> /dev/null)" = "$source $have" ]; then
        return
    fi
    say "building vestibule-workspace:$tag (5 to 15 minutes the first time)"
    workspace-image/build.sh --target "$target"
    have=$(docker image inspect --format '{{.Id}}' "vestibule-workspace:$tag")
    printf '%s %s' "$source" "$have" > "$stamp"
}

# A virtual environment with what is listed in a file, made again when the list changes.
environment() {
    local folder=$1 list=$2
    if cmp -s "$list" "$folder/installed.txt"; then
        return
    fi
    python3 -c 'import ensurepip' 2> /dev/null || packages ensurepip:python3-venv
    say "installing the Python packages of $list"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$list"
    cp "$list" "$folder/installed.txt"
}

django() {
    environment target/test-venv examples/django/requirements.txt
}

browser() {
    has chromium || has google-chrome || packages chromium:chromium
    has node || die "please install Node.js 20 or newer"
    if [ tests/browser/still.c -nt target/still.so ]; then
        packages cc:gcc
        cc -shared -fPIC -O2 -o target/still.so tests/browser/still.c -ldl
    fi
    if ! cmp -s tests/browser/package-lock.json tests/browser/node_modules/installed.json; then
        say "installing playwright-core"
        (cd tests/browser && npm ci --silent --no-audit --no-fund)
        cp tests/browser/package-lock.json tests/browser/node_modules/installed.json
    fi
}

# A front proxy for the stories that have one.
nginx() {
    packages nginx:nginx
}

# Prometheus and promtool out of Debian's package, beside the system: nothing is installed, and
# no service begins to run.
prometheus() {
    local folder=target/tools/prometheus
    [ ! -x "$folder/usr/bin/promtool" ] || return 0
    has apt-get || die "please put prometheus and promtool into $folder/usr/bin"
    say "fetching Prometheus"
    mkdir -p "$folder"
    (
        cd "$folder"
        apt-get -qq download prometheus 2> /dev/null || {
            # The lists of packages are missing or old.
            as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
            apt-get -qq download prometheus
        }
        dpkg-deb --extract prometheus_*.deb .
        rm prometheus_*.deb
    )
}

# What people come in with by SSH: OpenSSH's clients, and tmux as the emulator of a terminal.
ssh() {
    packages ssh:openssh-client ssh-agent:openssh-client tmux:tmux
    environment target/ssh-venv tests/ssh-clients.txt
}

deny() {
    local version=0.20.2
    if [ "$(target/tools/bin/cargo-deny --version 2> /dev/null)" = "cargo-deny $version" ]; then
        return
    fi
    say "building cargo-deny (a minute or two)"
    # Unoptimised: it is quicker to build so than its checks become slower.
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$PWD/target/tools/build \
        cargo install --quiet --debug --locked --root target/tools --version "$version" cargo-deny
    rm -rf target/tools/build
}

# What the benchmark compares us with, and its load generator.
peers() {
    packages nginx:nginx haproxy:haproxy h2load:nghttp2-client openssl:openssl
    has node || die "please install Node.js 20 or newer"
    local tools=target/bench-tools
    mkdir -p $tools
    environment $tools/venv benches/tools/requirements.txt
    if ! cmp -s benches/tools/package-lock.json $tools/node_modules/installed.json; then
        say "installing configurable-http-proxy"
        cp benches/tools/package.json benches/tools/package-lock.json $tools
        (cd $tools && npm ci --silent --no-audit --no-fund)
        cp $tools/package-lock.json $tools/node_modules/installed.json
    fi
}

# What reads the counts of a proxy that was compiled to count: of the LLVM that rustc has.
profile() {
    local version
    version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    packages "llvm-profdata-$version:llvm-$version"
}

mkdir -p target
for part in "$@"; do
    case $part in
        engine | image | django | browser | nginx | prometheus | ssh | deny | peers | profile) "$part" ;;
        *) die "there is no part $part" ;;
    esac
done
