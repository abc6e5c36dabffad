#!/usr/bin/env bash
# Renders the chart with its own values into manifests/base, for those who do not use Helm, and copies the definitions into
# the chart. `--check` fails when something is stale instead.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
helm=$("$here/../tests/servers/fetch.sh" helm)
chart=$here/helm/kafka-backup-operator
out=$here
# The version stands in Cargo.toml alone; the chart gets it from there.
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$here/../Cargo.toml" | head -1)
if [ "${1:-}" = --check ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
if [ "${1:-}" = --check ]; then
  [ "$(grep -c "ersion: $version\$" "$chart/Chart.yaml")" = 2 ] || { echo "the chart's version is stale: run \`just gen\`" >&2; exit 1; }
else
  sed -i "s/^\(version\|appVersion\): .*/\1: $version/" "$chart/Chart.yaml"
fi
mkdir -p "$out/base" "$out/helm/kafka-backup-operator/files/crds"
for group in kafka.oso.sh backup.strimzi.io kafkabackup.com kafka-backup.dev; do
  mkdir -p "$out/helm/kafka-backup-operator/files/crds/$group"
  for file in "$here/crds/$group"/*s.yaml; do cp "$file" "$out/helm/kafka-backup-operator/files/crds/$group/"; done
done
for file in rbac webhook deployment network-policy admission-policy; do
  "$helm" template kafka-backup-operator "$chart" --namespace kafka-backup --kube-version 1.34.0 --show-only "templates/$file.yaml" > "$out/base/$file.yaml"
done
if [ "${1:-}" = --check ]; then
  for file in rbac webhook deployment network-policy admission-policy; do
    diff -u "$here/base/$file.yaml" "$out/base/$file.yaml" || { echo "manifests/base/$file.yaml is stale: run \`just gen\`" >&2; exit 1; }
  done
  diff -ru "$chart/files/crds" "$out/helm/kafka-backup-operator/files/crds" || { echo "the chart's definitions are stale: run \`just gen\`" >&2; exit 1; }
fi
