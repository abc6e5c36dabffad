#!/usr/bin/env bash
# Builds the plugin for all six platforms and packs them: krew/release.sh BASE_URL
#
# linux-amd64 is what the project builds and tests. The others take `cargo-zigbuild` and zig, and the Rust targets; they are
# built the same way, and nobody here has run them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
base=${1:?usage: krew/release.sh BASE_URL}
pairs=()
while read -r platform target; do
  suffix=; case $platform in windows-*) suffix=.exe ;; esac
  if [ "$platform" = linux-amd64 ] && ! command -v cargo-zigbuild > /dev/null; then
    echo "release: $platform" >&2
    cargo build --locked --profile dist -p kubectl-kafka-backup
    binary=target/dist/kubectl-kafka_backup
  elif command -v cargo-zigbuild > /dev/null && rustup target list --installed | grep -qx "$target"; then
    echo "release: $platform ($target)" >&2
    cargo zigbuild --locked --profile dist -p kubectl-kafka-backup --target "$target"
    binary=target/$target/dist/kubectl-kafka_backup$suffix
  else
    echo "release: $platform is left out: it takes cargo-zigbuild and \`rustup target add $target\`" >&2
    continue
  fi
  pairs+=("$platform=$binary")
done << 'TARGETS'
linux-amd64 x86_64-unknown-linux-musl
linux-arm64 aarch64-unknown-linux-musl
darwin-amd64 x86_64-apple-darwin
darwin-arm64 aarch64-apple-darwin
windows-amd64 x86_64-pc-windows-gnu
windows-arm64 aarch64-pc-windows-gnullvm
TARGETS
"$here/package.sh" "$base" "${pairs[@]}"
