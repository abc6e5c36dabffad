#!/usr/bin/env bash
# Packs binaries of the plugin for Krew: one archive a platform, with the licence and the completion program, and the
# manifest with their checksums, in the layout of a Krew index.
#
#   krew/package.sh BASE_URL OS-ARCH=BINARY ...
#   krew/package.sh https://example.com/releases/VERSION linux-amd64=target/release/kubectl-kafka_backup
#
# Writes target/krew/*.tar.gz, target/krew/SHA256SUMS and target/krew/index/plugins/kafka-backup.yaml.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
out=${KREW_OUT:-$root/target/krew}
[ $# -ge 2 ] || { sed -n '2,8p' "$0" >&2; exit 2; }
base=${1%/}; shift
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -1)
rm -rf "$out"
mkdir -p "$out/index/plugins"
platforms=
for pair in "$@"; do
  platform=${pair%%=*} binary=${pair#*=}
  os=${platform%-*} arch=${platform#*-}
  name=kubectl-kafka_backup
  [ "$os" = windows ] && name=$name.exe
  folder=$(mktemp -d)
  cp "$binary" "$folder/$name"
  cp "$root/LICENSE" "$here/kubectl_complete-kafka_backup" "$folder/"
  archive=kafka-backup-v$version-$platform.tar.gz
  # The same binary gives the same archive.
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$folder" -cf - . | gzip -n9 > "$out/$archive"
  rm -rf "$folder"
  sum=$(sha256sum "$out/$archive" | cut -d' ' -f1)
  echo "$sum  $archive" >> "$out/SHA256SUMS"
  platforms+=$(sed -e "s|@OS@|$os|; s|@ARCH@|$arch|; s|@URI@|$base/$archive|; s|@SHA256@|$sum|; s|@BIN@|$name|" "$here/platform.yaml.in")$'\n'
done
PLATFORMS=${platforms%$'\n'} awk -v version="$version" -v homepage="${HOMEPAGE:-$base}" '
  /@PLATFORMS@/ { print ENVIRON["PLATFORMS"]; next }
  { gsub(/@VERSION@/, version); gsub(/@HOMEPAGE@/, homepage); print }' "$here/kafka-backup.yaml.in" > "$out/index/plugins/kafka-backup.yaml"
ls -l "$out"/*.tar.gz "$out/index/plugins/kafka-backup.yaml" >&2
