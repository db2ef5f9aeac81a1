# shellcheck shell=sh
# What every shell of a workspace gets: sourced by login shells through
# /etc/profile.d and by interactive ones through /etc/bash.bashrc. It lives here
# and not in the home, because the user's own folder is mounted over that.
# POSIX sh: /etc/profile.d is read by any login shell.

# Debian's /etc/profile throws the image's PATH away, so put it back.
for dir in /opt/venv/bin "$HOME/.local/bin"; do
    case ":$PATH:" in
        *":$dir:"*) ;;
        *) PATH="$dir:$PATH" ;;
    esac
done
unset dir
export PATH

case $- in
    *i*)
        alias ls='ls --color=auto'
        alias ll='ls -alF'
        alias la='ls -A'
        alias l='ls -CF'
        alias grep='grep --color=auto'
        # user@host:folder$ in colour; a ~/.bashrc has the last word.
        [ -z "${BASH_VERSION-}" ] ||
            PS1='\[\e[32m\]\u@\h\[\e[0m\]:\[\e[34m\]\w\[\e[0m\]\$ '
        ;;
esac
