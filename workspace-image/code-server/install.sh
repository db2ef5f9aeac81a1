#!/bin/sh
# install.sh VERSION: code-server from its npm package into /opt/code-server,
# less what a running one never opens.
set -eu
PATH=/opt/nodevenv/bin:/opt/nodehome/bin:$PATH
# The headers of our own node: node-gyp would download them.
export npm_config_nodedir=/opt/nodehome npm_config_fund=false npm_config_audit=false

npm install -g --prefix /opt/code-server "code-server@$1" > /tmp/npm.log 2>&1 &
npm=$!
# npm says nothing for minutes: show that it lives.
start=$(date +%s)
while kill -0 "$npm" 2> /dev/null; do
    sleep 5
    elapsed=$(($(date +%s) - start))
    [ $((elapsed % 15)) -gt 4 ] || echo "code-server: npm at work, ${elapsed} s, $(du -sh /opt/code-server 2> /dev/null | cut -f1)"
done
wait "$npm" || {
    tail -c 6000 /tmp/npm.log
    exit 1
}
npm cache clean --force > /dev/null 2>&1
du -sh /opt/code-server
