#!/bin/sh
# Puts the settings of this folder in their places. Run once, in the build.
set -eu
here=/tmp/etc

install -D -m 755 "$here/code-server" /usr/local/bin/code-server
install -D -m 644 "$here/code-server-settings.json" /usr/local/share/code-server/settings.json

install -D -m 644 "$here/jupyter_lab_config.json" /etc/jupyter/jupyter_lab_config.json
install -D -m 644 "$here/jupyter_overrides.json" /opt/venv/share/jupyter/lab/settings/overrides.json

[ ! -d /etc/R ] || cat "$here/Rprofile.site" >> /etc/R/Rprofile.site

install -D -m 644 "$here/vestibule-env.sh" /etc/profile.d/vestibule-env.sh
# Last, so that its prompt stands.
printf '\n. /etc/profile.d/vestibule-env.sh\n' >> /etc/bash.bashrc
# Completion is commented out there as it comes.
printf '[ ! -r /usr/share/bash-completion/bash_completion ] || . /usr/share/bash-completion/bash_completion\n' >> /etc/bash.bashrc
rm -r "$here"
