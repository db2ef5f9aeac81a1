# Has tmux keep a login shell, so that it outlives the page that shows it, and attaches to it.
# Nobody should notice tmux: it takes no key, draws nothing of its own, and leaves scrolling to
# the page. The shell itself is not told of it, so that a tmux of the user's own may run in it.
# Argument: the shell's name, of letters, digits and dashes.
command -v tmux > /dev/null || exec /bin/bash -l
ended=/tmp/.vestibule-shell-$1.code
tmux -u -L vestibule -f /dev/null start-server \; \
    set-option -g status off \; \
    set-option -g prefix None \; set-option -g prefix2 None \; \
    set-option -g default-terminal tmux-256color \; \
    set-option -g terminal-overrides ',xterm-256color:smcup@:rmcup@:indn@:Tc' \; \
    set-option -g history-limit 10000 \; \
    set-option -s escape-time 0 \; \
    set-option -s set-clipboard off \; \
    set-option -s focus-events on \; \
    new-session -A -s "$1" \
    "rm -f $ended; env -u TMUX -u TMUX_PANE /bin/bash -l; echo \$? > $ended"
# How the shell ended, if it did.
[ ! -f "$ended" ] || exit "$(cat "$ended")"
