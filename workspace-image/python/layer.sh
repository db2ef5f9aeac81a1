#!/bin/sh
# layer.sh NAME PIP-ARGUMENTS...: pip install into /opt/venv, and put a copy of
# just the files that this added or changed under /layers/NAME. The final image
# copies those folders one by one, so that a changed list costs one layer only.
set -eu
name=$1
shift
mark=$(mktemp)
mkdir -p "/layers/$name"
[ -d /opt/venv ] || python3 -m venv /opt/venv

# Every version is pinned, those of dependencies too, for the Pythons we know.
pins=$(dirname "$0")/constraints-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt
if [ -e "$pins" ]; then
    set -- -c "$pins" "$@"
else
    echo "layer.sh: no $pins: the newest versions that fit are taken"
fi
cd /opt/venv/lib/python3*/site-packages
ls -d ./*.dist-info > /tmp/before
/opt/venv/bin/python -m pip install --no-cache-dir --progress-bar off "$@"
# A layer can add to the one below it, but not take away.
[ "$name" = slim ] || while read -r package; do
    [ -d "$package" ] || {
        echo "layer.sh: pip replaced $package, which an earlier layer has: pin it in constraints-*.txt"
        exit 1
    }
done < /tmp/before

cd /
# By ctime, because files of wheels keep the mtime they were packed with.
find opt/venv -cnewer "$mark" ! -type d -print0 |
    xargs -0r cp -al --parents -t "/layers/$name"
# A user's own `pip install` goes to ~/.local only if the venv lets it be seen.
# Not before now: pip must not take a package of this stage's system for one
# that the final image has.
cfg=/layers/$name/opt/venv/pyvenv.cfg
[ ! -e "$cfg" ] || sed -i 's/^include-system-site-packages = .*/include-system-site-packages = true/' "$cfg"
rm "$mark"
du -sh "/layers/$name"
