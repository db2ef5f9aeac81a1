#!/bin/sh
# Puts the settings of this folder in their places. Run once, in the build.
set -eu
here=/etc/vestibule
vscode=/opt/code-server/lib/node_modules/code-server/lib/vscode

cat > /usr/local/bin/code-server << 'EOF'
#!/bin/sh
exec /opt/node/bin/node /opt/code-server/lib/node_modules/code-server/out/node/entry.js "$@"
EOF
chmod 755 /usr/local/bin/code-server

# An extension that only brings defaults: settings in the home would be hidden
# by the mount, and would be the user's to change, not ours.
install -D -m 644 "$here/code-server-defaults.json" "$vscode/extensions/vestibule-defaults/package.json"

install -D -m 644 "$here/jupyter_lab_config.json" /etc/jupyter/jupyter_lab_config.json
install -D -m 644 "$here/jupyter_overrides.json" /opt/venv/share/jupyter/lab/settings/overrides.json

install -D -m 644 "$here/vestibule-env.sh" /etc/profile.d/vestibule-env.sh
# Last, so that its prompt stands.
printf '\n. /etc/profile.d/vestibule-env.sh\n' >> /etc/bash.bashrc
# Completion is commented out there as it comes.
printf '[ ! -r /usr/share/bash-completion/bash_completion ] || . /usr/share/bash-completion/bash_completion\n' >> /etc/bash.bashrc
rm -r "$here"
