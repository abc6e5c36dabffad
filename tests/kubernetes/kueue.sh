#!/usr/bin/env bash
# Builds Kueue, a queue for Jobs, from its Go module, once and by version: its image as a tar and its chart. About 5 minutes on
# two cores. Prints the folder of both: kueue.tar (image localhost/kueue:test) and kueue-chart.
set -euo pipefail
. "$(dirname "$0")/env.sh"
VERSION=$(sed -n 's/^require sigs.k8s.io\/kueue //p' "$HERE/kueue/go.mod")
OUT="$K8S_CACHE/kueue/$VERSION"
export GOMODCACHE="${K8S_GOMODCACHE:-$K8S_CACHE/gomod}" GOCACHE="${K8S_GOCACHE:-$K8S_CACHE/gobuild}"
export CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false -modcacherw"

mkdir -p "$OUT"
exec 9> "$K8S_CACHE/.lock"
flock 9
if [ ! -e "$OUT/.complete" ]; then
  command -v go >/dev/null || die "need Go (see kueue/go.mod for the version)"
  say "building Kueue $VERSION (minutes)"
  (cd "$HERE/kueue" && go build -ldflags "-s -w" -o "$OUT/manager" sigs.k8s.io/kueue/cmd/kueue 2> >(grep -v "^go: downloading" >&2))
  rm -rf "$OUT/kueue-chart"
  cp -r --no-preserve=mode "$(cd "$HERE/kueue" && go list -m -f '{{.Dir}}' sigs.k8s.io/kueue)/charts/kueue" "$OUT/kueue-chart"
  python3 "$HERE/../../manifests/images/mkimage.py" --name localhost/kueue:test --out "$OUT/kueue.tar" \
    --add "$OUT/manager:/manager:0755" --dir /tmp:1777 --entrypoint '["/manager"]' --user 65532:65532 >/dev/null
  rm "$OUT/manager"
  # What the compiler keeps is far larger than its results.
  rm -rf "$K8S_CACHE/gomod" "$K8S_CACHE/gobuild"
  touch "$OUT/.complete"
fi
echo "$OUT"
