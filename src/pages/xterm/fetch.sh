#!/usr/bin/env bash
# Fetches the files beside this script again, as package-lock.json pins them: npm refuses a
# package whose SHA-512 is another. For a new version: change package.json, `npm install
# --package-lock-only --omit-lockfile-registry-resolved` here, then this.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/package.json" "$here/package-lock.json" "$work"
(cd "$work" && npm ci --silent --ignore-scripts --no-audit --no-fund)
cd "$work/node_modules/@xterm"
cp xterm/lib/xterm.mjs xterm/css/xterm.css addon-fit/lib/addon-fit.mjs \
    addon-web-links/lib/addon-web-links.mjs "$here"
for package in xterm addon-fit addon-web-links; do
    cp "$package/LICENSE" "$here/LICENSE.$package"
done
