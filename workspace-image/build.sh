#!/usr/bin/env bash
# Builds the workspace image. See --help and README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

VERSION=$(<VERSION)
readonly VERSION
readonly UBUNTU=ubuntu:22.04
readonly DEBIAN=vestibule-base:bookworm
# How long a registry may take to begin to answer.
readonly PATIENCE=${VESTIBULE_REGISTRY_PATIENCE:-15}

usage() {
    cat << EOF
Usage: ./build.sh [OPTION...]

Builds the workspace image, version $VERSION (from the file VERSION).

  --target slim|full   full (default): NAME:$VERSION and NAME:latest;
                       slim, for tests: NAME:$VERSION-slim and NAME:slim
  --name NAME          repository name (default vestibule-workspace); for --push
                       with the registry: registry.example.org/vestibule-workspace
  --base IMAGE         image to build on: Ubuntu 22.04 or Debian 12. Default:
                       $UBUNTU if it is here or can be pulled, else $DEBIAN,
                       which is made by debootstrap when it isn't here (as root)
  --mirror URL         Debian mirror for debootstrap (default: this machine's own)
  --build-arg K=V      passed on to docker build; may be repeated. Known:
                       WITH_PYTORCH=1 WITH_TENSORFLOW=1 WITH_JULIA=1 (full only)
                       and the versions and sources in the Dockerfile's ARG lines
  --ca FILE            certificates that downloads in build stages need; no image
                       keeps them. Default: the host's bundle, if the host has
                       certificate authorities of its own
  --no-ca              none
  --no-cache           build everything anew
  --push               push both tags when built
  -h, --help           this text
EOF
}

say() { printf '==> %s\n' "$*"; }
die() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

# The base: what this machine can have. Sets `base`.
choose_base() {
    if docker image inspect "$UBUNTU" > /dev/null 2>&1; then
        say "base: $UBUNTU, which is here"
        base=$UBUNTU
    elif pull_ubuntu; then
        base=$UBUNTU
    elif docker image inspect "$DEBIAN" > /dev/null 2>&1; then
        say "base: no registry gave $UBUNTU; $DEBIAN is here from an earlier run"
        base=$DEBIAN
    else
        say "base: no registry gave $UBUNTU; making $DEBIAN by debootstrap"
        make_debian
        base=$DEBIAN
    fi
}

# Asks the daemon, not the network from here: it may have a mirror or a proxy of
# its own. Only the first answer is timed, the download may take what it takes.
pull_ubuntu() {
    say "base: pulling $UBUNTU (given up if nothing answers within $PATIENCE s)"
    local log pull waited=0
    log=$(mktemp -p "$scratch")
    docker pull "$UBUNTU" > "$log" 2>&1 &
    pull=$!
    until grep -q 'Pulling from' "$log"; do
        if ! kill -0 "$pull" 2> /dev/null || ((waited++ >= PATIENCE * 2)); then
            kill "$pull" 2> /dev/null || true
            wait "$pull" 2> /dev/null && return # so quick that it was never seen at work
            say "base: no answer: $(tail -n 1 "$log" | cut -c1-160)"
            return 1
        fi
        sleep 0.5
    done
    tail -f --pid="$pull" "$log" &
    wait "$pull" || die "pulling $UBUNTU broke off; run this again, or choose a base by --base"
    wait
}

# A minimal Debian from packages alone, for where no image registry answers.
make_debian() {
    local root
    [[ $EUID -eq 0 ]] || die "debootstrap needs root. Run this script as root once (later runs find
$DEBIAN and don't), or load an Ubuntu 22.04 or Debian 12 image (docker load) and name it by --base."
    if ! command -v debootstrap > /dev/null; then
        command -v apt-get > /dev/null || die "debootstrap is missing and this machine has no apt: install it, or choose a base by --base"
        say "base: installing debootstrap"
        { apt-get update -qq && apt-get install -y -qq debootstrap debian-archive-keyring; } ||
            die "can't install debootstrap (see above): install it by hand, or choose a base by --base"
    fi
    if [[ -z $mirror ]] && command -v apt-get > /dev/null; then
        mirror=$(own_sources bookworm | head -n 1 | cut -d' ' -f2)
    fi
    say "base: debootstrap from ${mirror:-its default mirror} (about half a minute)"
    root=$scratch/root
    # Without a mirror debootstrap takes its own default.
    debootstrap --variant=minbase bookworm "$root" ${mirror:+"$mirror"} |
        sed -u -n 's/^I: \(Configuring\|Unpacking\|Base\|Extracting\) \(.*\)/    \1 \2/p'
    # Security fixes as well, where this machine's apt knows where they are.
    if command -v apt-get > /dev/null; then
        own_sources bookworm-updates >> "$root/etc/apt/sources.list"
        own_sources bookworm-security >> "$root/etc/apt/sources.list"
    fi
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
    say "base: importing it as $DEBIAN"
    tar -C "$root" -c --one-file-system . |
        docker import --change 'CMD ["bash"]' \
            --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
            - "$DEBIAN" > /dev/null
}

# The deb lines of this machine's apt for one Debian suite, main only. (apt knows
# its mirrors in one form, whichever way the files in /etc/apt spell them.)
own_sources() {
    # shellcheck disable=SC2016 # the $(...) are apt's
    apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' "Codename: $1" 'Component: main' 2> /dev/null || true
}

# Has the host certificate authorities that a plain system would not know?
host_has_own_ca() {
    local var
    for var in SSL_CERT_FILE NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE CURL_CA_BUNDLE; do
        [[ -z ${!var:-} ]] || return 0
    done
    compgen -G '/usr/local/share/ca-certificates/*.crt' > /dev/null ||
        compgen -G '/etc/pki/ca-trust/source/anchors/*' > /dev/null
}

# Lays the certificates for the build stages into the context. Same bytes, same
# cache: the builder looks at content, not at times.
lay_certificates() {
    local file
    if [[ $ca == auto ]]; then
        ca=
        for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
            if [[ -s $file ]] && host_has_own_ca; then
                ca=$file
                break
            fi
        done
    fi
    rm -f certs/*.crt
    [[ -n $ca ]] || return 0
    say "certificates: build stages trust $ca (the images don't keep it)"
    install -m 644 "$ca" certs/host.crt
}

name=vestibule-workspace target=full base="" mirror="" push="" ca=auto
build_args=()
while (($#)); do
    case $1 in
        --name | --target | --base | --mirror | --build-arg | --ca)
            [[ -n ${2:-} ]] || die "$1 needs a value (see --help)"
            ;;&
        --name) name=$2 && shift ;;
        --target) target=$2 && shift ;;
        --base) base=$2 && shift ;;
        --mirror) mirror=$2 && shift ;;
        --build-arg)
            [[ $2 != WITH_* || $2 == WITH_*=[01] ]] || die "$2: a WITH_ argument is 0 or 1"
            build_args+=(--build-arg "$2")
            shift
            ;;
        --ca) ca=$2 && shift ;;
        --no-ca) ca= ;;
        --no-cache) build_args+=(--no-cache) ;;
        --push) push=1 ;;
        -h | --help)
            usage
            exit
            ;;
        *) die "unknown option $1 (see --help)" ;;
    esac
    shift
done

case $target in
    full) tags=("$name:$VERSION" "$name:latest") ;;
    slim) tags=("$name:$VERSION-slim" "$name:slim") ;;
    *) die "--target is slim or full, not $target" ;;
esac
docker version > /dev/null 2>&1 || die "no Docker answers: is it running, and are you in the group docker? (docker version says more)"

# One at a time: builds share the folder certs.
exec 9< VERSION
if command -v flock > /dev/null && ! flock -n 9; then
    say "waiting for another build.sh of this folder"
    flock 9
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch" certs/*.crt' EXIT

if [[ -n $base ]]; then say "base: $base, as told"; else choose_base; fi
lay_certificates

say "building ${tags[*]} on $base"
docker build --target "$target" --build-arg "BASE_IMAGE=$base" --build-arg "VERSION=$VERSION" \
    "${build_args[@]}" "${tags[@]/#/--tag=}" .

if [[ $push ]]; then
    for tag in "${tags[@]}"; do
        say "pushing $tag"
        docker push "$tag"
    done
fi
say "done in $SECONDS s: ${tags[*]} ($(docker image inspect --format '{{.Size}}' "${tags[0]}" | awk '{printf "%.2f GB", $1 / 1e9}'))"
