#!/bin/sh
# Makes the database at the first start, runs the init scripts, then becomes the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --pwfile=/run/secrets/db_password --auth-host=scram-sha-256 --auth-local=trust >/dev/null
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl --silent --wait -o "-c listen_addresses=" start
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql -v ON_ERROR_STOP=1 --quiet --file="$script"
    done
    pg_ctl --silent --wait stop
fi
exec "$@"
