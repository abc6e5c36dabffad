#!/usr/bin/env bash
# Says what this machine lacks for building and testing, and installs it where it can (Debian, as root), after it has said so.
# `need.sh quick` is what tests without servers need. NEED_INSTALL=no: nothing is installed. On a terminal it asks.
set -euo pipefail
# A full disk shows late, and in words of the linker.
readonly ROOM=10
free=$(df --output=avail --block-size=1G . 2> /dev/null | tail -1 | tr -d ' ' || true)
if [ "${free:-$ROOM}" -lt "$ROOM" ]; then
  echo "need: $free GiB are free here; a first build with all tests takes up to $ROOM. If it ends with \"No space left on device\", make room and go on" >&2
fi
missing=()
lacks() { command -v "$1" > /dev/null || missing+=("$2"); }
lacks cc gcc
lacks make make
lacks openssl openssl
# Forged evidence is looked at with the program for auditors.
lacks python3 python3
lacks cargo "Rust by rustup (https://rustup.rs)"
if [ "${1:-}" != quick ]; then
  # One test starts a program in Java from its source.
  lacks javac openjdk-17-jdk-headless
  lacks mvn maven
  lacks go golang
  lacks node nodejs
  lacks npm npm
fi
[ ${#missing[@]} -eq 0 ] && exit 0
refuse() {
  echo "need: please install: ${missing[*]}" >&2
  exit 1
}
[ "$(id -u)" = 0 ] && command -v apt-get > /dev/null && command -v cargo > /dev/null || refuse
[ "${NEED_INSTALL:-yes}" = no ] && refuse
echo "need: installs with apt-get, as root: ${missing[*]}" >&2
if [ -t 0 ] && [ -t 2 ]; then
  read -r -p "need: go on? [Y/n] " answer
  case $answer in [nN]*) refuse ;; esac
fi
apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >&2
