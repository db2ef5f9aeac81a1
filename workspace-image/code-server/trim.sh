#!/bin/sh
# Takes out of /opt/code-server what a running one never opens. Each line was
# measured (README.md, "Size"); check.sh and a browser saw the rest at work.
set -eu
cd /opt/code-server/lib/node_modules/code-server
before=$(du -sm . | cut -f1)

# Left over from compiling.
find . -type d \( -name obj.target -o -name .deps -o -name deps \) -path '*/node_modules/*' \
    \( -path '*/build/*' -o -path '*/sqlite3/deps' -o -path '*/spdlog/deps' -o -path '*/cpu-features/deps' \) \
    -prune -exec rm -rf {} +
find . -name '*.o' -delete
find . -name '*.a' -delete
# Prebuilt for other machines. The names carry Node's word for the platform.
here=linux-$(/opt/node/bin/node -p process.arch)
for dir in node_modules/argon2/prebuilds lib/vscode/node_modules/node-pty/prebuilds \
    lib/vscode/node_modules/@vscode/ripgrep-universal/bin; do
    for platform in "$dir"/*; do
        [ "${platform##*/}" = "$here" ] || rm -rf "$platform"
    done
done
rm -rf lib/vscode/node_modules/node-pty/third_party lib/vscode/node_modules/@koromix/koffi-linux-*/musl_*
# For debugging and building code-server itself.
find . -name '*.map' -delete
rm -rf lib/vscode/extensions/node_modules/esbuild lib/vscode/extensions/node_modules/@esbuild
# The AI assistant and its agents' runtimes: no account for them goes with a
# workspace, and the chat panel is off by default (code-server-defaults.json).
rm -rf lib/vscode/extensions/copilot lib/vscode/node_modules/@github/copilot-sdk-linux-* \
    lib/vscode/node_modules/@microsoft/mxc-sdk

echo "code-server: $before MB, trimmed to $(du -sm . | cut -f1) MB"
