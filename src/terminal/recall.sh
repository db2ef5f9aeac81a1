# Prints what has scrolled away in a shell that tmux keeps, and pushes it to where the page scrolls
# back to. By itself, as tmux throws away what its terminal was still to be sent when it attaches.
# Arguments: the shell's name, and how many rows the page has.
keep() { tmux -u -L vestibule -f /dev/null "$@" 2> /dev/null; }
[ "$(keep display-message -p -t "=$1:" '#{history_size}')" -gt 0 ] 2> /dev/null || exit 0
keep capture-pane -p -e -t "=$1:" -S -2000 -E -1 | sed 's/$/\r/'
printf '\033[m%*s' "$2" '' | sed 's/ /\r\n/g'
