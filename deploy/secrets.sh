#!/bin/sh
# Make the secret files that compose.yaml mounts. Existing files are left as they are.
#
# The directory is closed to everybody but you (0700). The files in it are readable (0444), because
# the gateway's user in the container is another one (10001) and sees the file alone.
set -eu
cd "$(dirname "$0")"
umask 022
mkdir -p secrets
chmod 0700 secrets

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
keep() { # keep NAME VALUE
    if [ ! -e "secrets/$1" ]; then
        printf '%s' "$2" >"secrets/$1"
        echo "secrets/$1: made"
    else
        echo "secrets/$1: kept"
    fi
    chmod 0444 "secrets/$1"
}

keep postgres_password "$(random)"
keep history_url "postgresql+asyncpg://relay:$(cat secrets/postgres_password)@postgres:5432/relay"
keep service_tokens "$(random)"
keep grafana_password "$(random)"
keep blackbox_api_key "put-the-key-of-your-account-here"
chmod 0644 secrets/blackbox_api_key
echo "Now put your account's key into $(pwd)/secrets/blackbox_api_key"
