#!/usr/bin/env bash
# make.sh: a local certificate authority, and a development certificate signed by it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat << EOF
Usage: certs/make.sh [--out DIR] [--trust | --untrust] [NAME...]

Makes DIR/ca.pem, DIR/cert.pem and DIR/key.pem (DIR: certs/dev) for localhost,
127.0.0.1, ::1 and every further NAME. What is there and good for another week is kept.

  --trust     have this machine and this user's browsers trust the authority
  --untrust   take that back
EOF
}

say() { printf '==> %s\n' "$*"; }
die() {
    printf 'make.sh: %s\n' "$*" >&2
    exit 1
}

out=$here/dev trust=
names=(localhost 127.0.0.1 ::1)
while [ $# -gt 0 ]; do
    case $1 in
        --out)
            [ $# -gt 1 ] || die "--out needs a directory"
            out=$2
            shift
            ;;
        --trust | --untrust) trust=${1#--} ;;
        -h | --help)
            usage
            exit
            ;;
        -*) die "there is no option $1; see --help" ;;
        *) names+=("$1") ;;
    esac
    shift
done
command -v openssl > /dev/null || die "openssl is missing"

# As an extension of the certificate: addresses and names (RFC 5280 4.2.1.6).
alternatives() {
    local name list=()
    for name in "${names[@]}"; do
        if [[ $name == *:* || $name =~ ^[0-9.]+$ ]]; then
            list+=("IP:$name")
        else
            list+=("DNS:$name")
        fi
    done
    local IFS=,
    printf '%s' "${list[*]}"
}

good() {
    [ -s "$1" ] && openssl x509 -in "$1" -noout -checkend 604800 > /dev/null
}

make() {
    umask 077
    mkdir -p "$out"
    if ! good "$out/ca.pem" || [ ! -s "$out/ca.key" ]; then
        say "making a certificate authority in $out"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
            -subj "/CN=Vestibule development authority on $(hostname)" \
            -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' \
            -addext 'keyUsage=critical,keyCertSign,cRLSign' \
            -keyout "$out/ca.key" -out "$out/ca.pem" 2> /dev/null
        rm -f "$out/cert.pem"
    fi
    if good "$out/cert.pem" && [ -s "$out/key.pem" ] && [ "$(cat "$out/names" 2> /dev/null)" = "${names[*]}" ]; then
        return
    fi
    say "making a certificate for ${names[*]}"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=${names[0]}" \
        -keyout "$out/key.pem" -out "$out/request.pem" 2> /dev/null
    # Browsers refuse more than 398 days, and Apple's more than 825 from a private authority.
    openssl x509 -req -in "$out/request.pem" -CA "$out/ca.pem" -CAkey "$out/ca.key" -days 365 \
        -set_serial "0x$(openssl rand -hex 16)" -out "$out/own.pem" -extfile <(
            printf '%s\n' "subjectAltName=$(alternatives)" 'basicConstraints=CA:FALSE' \
                'keyUsage=critical,digitalSignature' 'extendedKeyUsage=serverAuth'
        ) 2> /dev/null
    cat "$out/own.pem" "$out/ca.pem" > "$out/cert.pem"
    rm -f "$out/own.pem" "$out/request.pem"
    printf '%s' "${names[*]}" > "$out/names"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        say "skipped, as it needs root: $*"
    fi
}

# Where Chromium and Firefox keep whom they trust (NSS Shared DB).
databases() {
    local profile
    printf '%s\n' "$HOME/.pki/nssdb"
    for profile in "$HOME"/.mozilla/firefox/*/cert9.db "$HOME"/snap/firefox/common/.mozilla/firefox/*/cert9.db; do
        [ ! -e "$profile" ] || dirname "$profile"
    done
}

readonly NAME=vestibule-development

trust() {
    if [ -d /usr/local/share/ca-certificates ]; then
        say "trusted by this machine"
        as_root install -m 0644 "$out/ca.pem" "/usr/local/share/ca-certificates/$NAME.crt"
        as_root update-ca-certificates > /dev/null
    elif command -v trust > /dev/null; then
        say "trusted by this machine"
        as_root trust anchor "$out/ca.pem"
    fi
    command -v certutil > /dev/null || die "for browsers, install certutil (Debian: libnss3-tools) and try again"
    databases | while read -r database; do
        say "trusted by the browser of $database"
        if [ ! -e "$database/cert9.db" ]; then
            mkdir -p "$database"
            certutil -d "sql:$database" -N --empty-password
        fi
        certutil -d "sql:$database" -D -n "$NAME" 2> /dev/null || true
        certutil -d "sql:$database" -A -n "$NAME" -t C,, -i "$out/ca.pem"
    done
}

untrust() {
    if [ -e "/usr/local/share/ca-certificates/$NAME.crt" ]; then
        as_root rm -f "/usr/local/share/ca-certificates/$NAME.crt"
        as_root update-ca-certificates --fresh > /dev/null
    elif command -v trust > /dev/null && [ -e "$out/ca.pem" ]; then
        as_root trust anchor --remove "$out/ca.pem" || true
    fi
    if command -v certutil > /dev/null; then
        databases | while read -r database; do
            certutil -d "sql:$database" -D -n "$NAME" 2> /dev/null || true
        done
    fi
    say "no longer trusted"
}

if [ "$trust" = untrust ]; then
    untrust
    exit
fi
make
[ -z "$trust" ] || trust
