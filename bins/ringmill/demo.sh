#!/bin/sh
# Serves on free ports, asks the questions of the README's first tour, drains and shows the report.
# Its arguments are the command that starts the server: `cargo run` becomes that program, so its signals arrive there.
set -eu
command -v curl > /dev/null || { echo 'demo: curl is missing. Install it, or use `make run` and a browser.' >&2; exit 1; }

home=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true; rm -rf "$home"' EXIT
# A pipe tells when the server serves: its start table ends with the line that is waited for.
mkfifo "$home/start"
"$@" --listen http://127.0.0.1:0 --listen admin://127.0.0.1:0 --report "$home/report.json" > "$home/start" &
server=$!
exec 3< "$home/start"
while read -r line <&3; do
    printf '    %s\n' "$line"
    case $line in
        http://*) http=${line%% *} ;;
        admin://*) admin=${line%% *} admin=http://${admin#admin://} ;;
        Ctrl-C*) break ;;
    esac
done
[ -n "${http:-}" ] || { echo 'demo: the server did not start.' >&2; exit 1; }

ask() {
    printf '\n$ curl'
    printf ' %s' "$@"
    printf '\n'
    curl --silent --show-error --max-time 10 "$@"
    echo
}
ask "$http/ping"
ask "$http/users/7?type=full"
ask --data 'bytes come back' "$http/echo"
ask --head "$http/bytes/1000000"
ask --output /dev/null --write-out '%{http_code} %{size_download} bytes' "$http/bytes/100000000"
printf '\n$ curl %s/metrics | grep _requests\n' "$admin"
curl --silent --show-error --max-time 10 "$admin/metrics" | grep '_requests' || true

printf '\n$ kill -TERM %s\n' "$server"
kill -TERM "$server"
while read -r line <&3; do printf '    %s\n' "$line"; done
wait "$server"
server=
printf '\nThe same for programs (--report FILE):\n'
tail -n 7 "$home/report.json"
