#!/bin/sh
# Makes the data directory at the first start, with the root password and database that the environment names.
# In a mesh every client comes from the sidecar, 127.0.0.1: the local accounts without a password have to go.
set -eu
data=/var/lib/mysql
if [ ! -d "$data/mysql" ]; then
  mariadb-install-db --user=mysql --datadir="$data" --auth-root-authentication-method=normal --skip-test-db >/dev/null
  cat >/tmp/init.sql <<SQL
CREATE DATABASE IF NOT EXISTS \`${MYSQL_DATABASE:-booksdemo}\`;
DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';
ALTER USER 'root'@'localhost' IDENTIFIED BY '${MYSQL_ROOT_PASSWORD:?set MYSQL_ROOT_PASSWORD}';
CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '${MYSQL_ROOT_PASSWORD:?set MYSQL_ROOT_PASSWORD}';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'%';
SQL
  set -- "$@" --init-file=/tmp/init.sql
fi
exec mariadbd --user=mysql --datadir="$data" --bind-address='*' --skip-name-resolve --innodb-buffer-pool-size=32M "$@"
