#!/bin/sh
# Makes the data directory at the first start, with the root password and database that the environment names.
set -eu
data=/var/lib/mysql
if [ ! -d "$data/mysql" ]; then
  mariadb-install-db --user=mysql --datadir="$data" --auth-root-authentication-method=normal --skip-test-db >/dev/null
  cat >/tmp/init.sql <<SQL
CREATE DATABASE IF NOT EXISTS \`${MYSQL_DATABASE:-booksdemo}\`;
CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '${MYSQL_ROOT_PASSWORD:?set MYSQL_ROOT_PASSWORD}';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'%';
SQL
  set -- "$@" --init-file=/tmp/init.sql
fi
exec mariadbd --user=mysql --datadir="$data" --bind-address='*' --skip-name-resolve --innodb-buffer-pool-size=32M "$@"
