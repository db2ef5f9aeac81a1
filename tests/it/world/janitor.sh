# Waits on its standard input for the end of the test process, then removes what a world made.
# Arguments: its directory, its id, its network, the engine's address.
trap '' INT TERM HUP
cat > /dev/null
dir=$1 id=$2 network=$3
export DOCKER_HOST="$4"

for file in "$dir"/*.pid; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    # Only what is still ours: the number may have gone to somebody else since.
    grep -qzF "$dir" "/proc/$pid/environ" "/proc/$pid/cmdline" 2> /dev/null ||
        [ "$(readlink "/proc/$pid/cwd")" = "$dir" ] || continue
    kill -TERM "$pid" 2> /dev/null || continue
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        kill -0 "$pid" 2> /dev/null || break
        sleep 0.2
    done
    kill -KILL "$pid" 2> /dev/null
done

containers=$(docker ps -aq --filter "name=$id")
# A paused container can't be killed by every engine.
[ -z "$containers" ] || docker unpause $containers
[ -z "$containers" ] || docker rm -f $containers
subnet=$(docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}' "$network")
[ -z "$subnet" ] || iptables -w -D DOCKER-USER -s "$subnet" -d 169.254.0.0/16 -j REJECT
docker network rm "$network"
docker image rm "vestibule-it:$id"
[ -n "$VESTIBULE_TEST_KEEP" ] || rm -rf "$dir"
