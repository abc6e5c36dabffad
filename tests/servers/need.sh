#!/usr/bin/env bash
# Says what this machine lacks for building and testing, and installs it where it can (Debian, as root).
set -euo pipefail
missing=()
lacks() { command -v "$1" > /dev/null || missing+=("$2"); }
lacks cc gcc
lacks make make
lacks java openjdk-17-jre-headless
lacks mvn maven
lacks go golang
lacks node nodejs
lacks npm npm
lacks openssl openssl
lacks python3 python3
lacks cargo "Rust by rustup (https://rustup.rs)"
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null && command -v cargo > /dev/null; then
  echo "need: installing ${missing[*]}" >&2
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >&2
  exit 0
fi
echo "need: please install: ${missing[*]}" >&2
exit 1
