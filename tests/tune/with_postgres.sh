#!/usr/bin/env bash
# with_postgres.sh PROGRAM [ARGUMENT…]: runs a test against a PostgreSQL server of its own, which lies in a temporary
# folder and is gone afterwards; ATHANOR_TEST_POSTGRES is its database's URL, ATHANOR_TEST_PG_CTL a program that starts, stops
# and restarts it (pg_ctl's words). ATHANOR_TEST_FSYNC=on: for measuring.
set -euo pipefail

find_bin() { find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1; }
install_server() {
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends postgresql >/dev/null
}

if [ "$(id -u)" = 0 ]; then
  exec 9>/run/lock/ath_postgres_install # tests run side by side: one installs, the others wait
  flock 9
  [ -x "$(find_bin || true)/initdb" ] || install_server >&2
  exec 9>&-
fi
bin=$(find_bin || true)
[ -x "$bin/initdb" ] || { echo "no PostgreSQL server: expected initdb in /usr/lib/postgresql/*/bin (Debian: postgresql)" >&2; exit 1; }

folder=$(mktemp -d /tmp/ath_postgres_XXXXXX)
as_server() { "$@"; } # it refuses to run as root
if [ "$(id -u)" = 0 ]; then
  chown postgres "$folder"
  as_server() { (cd "$folder" && runuser -u postgres -- "$@"); }
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
control=("$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -s -w
  -o "-p $port -k $folder -c listen_addresses=127.0.0.1 -c fsync=${ATHANOR_TEST_FSYNC:-off} -c max_connections=50")
trap 'as_server "${control[@]}" -m immediate stop || true; rm -rf "$folder"' EXIT

as_server "$bin/initdb" -D "$folder/data" -U postgres -A trust --no-sync -E UTF8 --locale=C >"$folder/initdb.log" 2>&1 ||
  { cat "$folder/initdb.log" >&2; exit 1; }
as_server "${control[@]}" start >/dev/null || { cat "$folder/log" >&2; exit 1; }
export ATHANOR_TEST_PG_CTL=$(mktemp "/tmp/ath_pg_ctl_XXXXXX")
trap 'as_server "${control[@]}" -m immediate stop || true; rm -rf "$folder" "$ATHANOR_TEST_PG_CTL"' EXIT
{
  echo '#!/usr/bin/env bash'
  declare -p control folder
  declare -f as_server
  echo 'as_server "${control[@]}" "$@" >/dev/null'
} >"$ATHANOR_TEST_PG_CTL"
chmod +x "$ATHANOR_TEST_PG_CTL"
export ATHANOR_TEST_POSTGRES="postgresql://postgres@127.0.0.1:$port/postgres"
"$@"
