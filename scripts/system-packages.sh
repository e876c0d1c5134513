#!/bin/sh
# Chromium, PostgreSQL and nginx, which some tests need, from Debian's packages where they may be installed.
# Where they may not, says which tests are left out; those tests skip themselves for the same reason.
missing=""
command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing="chromium"
command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing$missing from Debian's packages ..."
  if apt-get update -qq >/dev/null 2>&1 &&
     DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1; then
    exit 0
  fi
fi
for package in $missing; do
  case $package in
    chromium) echo "chromium is missing and could not be installed: the browser tests are left out (apt install chromium)." ;;
    postgresql) echo "PostgreSQL is missing and could not be installed: the PostgreSQL tests are left out (apt install postgresql)." ;;
    nginx-light) echo "nginx is missing and could not be installed: the tests behind it are left out (apt install nginx-light)." ;;
  esac
done
exit 0
