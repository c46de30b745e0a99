#!/bin/sh
# Puts pg_dump, pg_restore and psql into the hub's image, for `python -m hub.backup`: those of the base's Debian, which dump a PostgreSQL of their own
# version and of earlier ones. The package's wrappers, which choose among several versions, would bring all of Perl (50 MB): the programs are taken
# out of it, and it is listed where scanners of images look for such packages (/var/lib/dpkg/status.d).
set -eu
apt-get update
name=$(apt-cache depends --important postgresql-client | sed -n 's/.*Depends: \(postgresql-client-[0-9]*\)$/\1/p')
aside=$(mktemp -d)
chown _apt "$aside" # who fetches
cd "$aside"
apt-get download "$name"
# shellcheck disable=SC2046
apt-get install --yes --no-install-recommends \
	$(dpkg-deb --field ./*.deb Depends | tr ',' '\n' | sed 's/[(|].*//; s/ //g' | grep -vx 'postgresql-client-common\|sensible-utils\|netbase')
dpkg-deb --extract ./*.deb .
for program in pg_dump pg_restore psql; do
	install usr/lib/postgresql/*/bin/$program /usr/local/bin/
	$program --version
done
mkdir -p /var/lib/dpkg/status.d
dpkg-deb --field ./*.deb >"/var/lib/dpkg/status.d/$name"
cd /
rm -rf "$aside" /var/lib/apt/lists/*
apt-get clean
