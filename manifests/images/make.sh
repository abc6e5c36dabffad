#!/usr/bin/env bash
# Makes the images of operator and runner as tars, from binaries that are built already: no Docker engine is needed.
#
#   manifests/images/make.sh release kafka-backup- TAG target/images      target/images/operator.tar and runner.tar
#
# Each image holds its binary, the libraries that it is linked to, certificates of public authorities and a user: no shell,
# no package manager. The Dockerfile beside this makes the same with an engine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
profile=${1:-release} prefix=${2:-kafka-backup-} version=${3:-} out=${4:-$here/../../target/images}
[ -n "$version" ] || version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../../Cargo.toml" | head -1)
target=$here/../../target/$profile
mkdir -p "$out"
etc=$(mktemp -d)
trap 'rm -rf "$etc"' EXIT
echo 'runner:x:65532:65532::/:/sbin/nologin' > "$etc/passwd"
echo 'runner:x:65532:' > "$etc/group"
echo 'hosts: files dns' > "$etc/nsswitch.conf"

image() { # name
  local binary=$target/kafka-backup-$1 stripped=$etc/kafka-backup-$1 add=() library
  strip -o "$stripped" "$binary"
  # Where the binary looks for them, under the name that it asks for.
  while read -r library; do add+=(--add "$library:$library"); done < <(ldd "$binary" | grep -o '/[^ ]*\.so[^ ]*')
  python3 "$here/mkimage.py" --name "$prefix$1:$version" --out "$out/$1.tar" \
    --add "$stripped:/usr/bin/kafka-backup-$1:0755" "${add[@]}" \
    --add /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:0644 \
    --add "$etc/passwd:/etc/passwd:0644" --add "$etc/group:/etc/group:0644" \
    --add "$etc/nsswitch.conf:/etc/nsswitch.conf:0644" --dir /tmp:1777 \
    --entrypoint "[\"/usr/bin/kafka-backup-$1\"]" --user 65532:65532
}

image operator
image runner
