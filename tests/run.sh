#!/usr/bin/env bash
# Runs every test, on real parts, and closes with what each runner said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

began=$SECONDS
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# step TITLE COMMAND...: runs it, and remembers how it went and what it said last.
step() {
    local title=$1 from=$SECONDS
    shift
    printf '\n\033[1m### %s\033[0m\n' "$title"
    local log status=0
    log=$(mktemp)
    "$@" 2>&1 | tee "$log" || status=$?
    {
        printf '%-28s %5s s  ' "$title" $((SECONDS - from))
        grep -aE '^test result|^Ran |^(OK|FAILED)|passed|checks' "$log" | tail -n 3 | paste -sd' ' || true
    } >> "$said"
    rm -f "$log"
    if [ "$status" -ne 0 ]; then
        printf '\n\033[1m### summary\033[0m\n'
        cat "$said"
        printf 'FAILED: %s\n' "$title"
        exit 1
    fi
}

django() (
    cd examples/django
    PYTHONDONTWRITEBYTECODE=1 ../../target/test-venv/bin/python manage.py test
)

step 'set-up' tests/setup.sh engine image django browser nginx prometheus ssh deny
step 'lint' make --no-print-directory lint
step 'workspace image' workspace-image/check.sh vestibule-workspace:slim
step 'Django example' django
step 'benchmark tables' python3 -B -m unittest discover -s benches
step 'units' cargo test --locked --lib --bins
# Alone, as a browser on a laptop: others' containers would come and go under it.
step 'in a real browser' cargo test --locked --test it -- browser:: --test-threads 1
step 'stories on real parts' cargo test --locked --test it -- --skip browser::

printf '\n\033[1m### summary\033[0m\n'
cat "$said"
printf 'all passed in %s s\n' $((SECONDS - began))
