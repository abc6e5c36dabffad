#!/usr/bin/env bash
# Fetches the servers that tests and demo run against, each once and by version, into a cache outside the clone.
#
#   tests/servers/fetch.sh kafka 4.3.1     Apache Kafka's jars, from Maven Central (about 60 MB); so is streams-4.3.1 (12 MB)
#   tests/servers/fetch.sh versitygw       an S3 server, built from its Go module (about a minute)
#   tests/servers/fetch.sh helm            Helm, built from its Go module (about two minutes)
#   tests/servers/fetch.sh krew            Krew, kubectl's package manager, built from its Go module (half a minute)
#   tests/servers/fetch.sh azurite         Azure's storage emulator, from npm (about 20 seconds)
#
# Prints the folder that holds the result on standard output, and what it does on standard error.
# Cache: $KAFKA_BACKUP_CACHE, else ~/.cache/kafka-backup.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${KAFKA_BACKUP_CACHE:-$HOME/.cache/kafka-backup}
versitygw=v1.8.0
helm=v3.22.0

say() { echo "fetch: $*" >&2; }

need() { # command, what to install
  command -v "$1" > /dev/null || { say "$1 is missing: install $2"; exit 1; }
}

kafka() {
  local dir="$cache/kafka-$1"
  if [ ! -f "$dir/.complete" ]; then
    need mvn "Apache Maven 3.8 or newer (Debian: apt-get install maven)"
    say "Apache Kafka $1 from Maven Central into $dir"
    mkdir -p "$dir"
    cp "$here/kafka-$1/pom.xml" "$dir/pom.xml"
    (cd "$dir" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs) >&2
    touch "$dir/.complete"
  fi
  echo "$dir/libs"
}

s3() {
  local dir="$cache/versitygw-$versitygw"
  if [ ! -x "$dir/versitygw" ]; then
    need go "Go 1.24 or newer (Debian: apt-get install golang)"
    say "versitygw $versitygw, built from source into $dir"
    mkdir -p "$dir"
    GOBIN="$dir" CGO_ENABLED=0 go install "github.com/versity/versitygw/cmd/versitygw@$versitygw" >&2
  fi
  echo "$dir/versitygw"
}

helm() {
  local dir="$cache/helm-$helm"
  if [ ! -x "$dir/helm" ]; then
    need go "Go 1.24 or newer (Debian: apt-get install golang)"
    say "Helm $helm, built from source into $dir (about two minutes)"
    mkdir -p "$dir"
    GOBIN="$dir" CGO_ENABLED=0 go install "helm.sh/helm/v3/cmd/helm@$helm" >&2
  fi
  echo "$dir/helm"
}

krew() {
  local dir="$cache/krew-v0.5.0"
  if [ ! -x "$dir/krew" ]; then
    need go "Go 1.25 or newer (Debian: apt-get install golang)"
    say "Krew v0.5.0, built from source into $dir"
    mkdir -p "$dir"
    (cd "$here/krew" && GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$dir/krew.tmp" sigs.k8s.io/krew/cmd/krew) >&2
    mv "$dir/krew.tmp" "$dir/krew"
  fi
  echo "$dir/krew"
}

azure() {
  local sum dir
  sum=$(sha256sum "$here/azurite/package-lock.json" | cut -c1-12)
  dir="$cache/azurite-$sum"
  if [ ! -f "$dir/.complete" ]; then
    need npm "Node.js 18 or newer with npm (Debian: apt-get install nodejs npm)"
    say "Azurite from npm into $dir"
    mkdir -p "$dir"
    cp "$here/azurite/package.json" "$here/azurite/package-lock.json" "$dir/"
    npm ci --silent --prefix "$dir" >&2
    touch "$dir/.complete"
  fi
  echo "$dir/node_modules/azurite/dist/src/blob/main.js"
}

mkdir -p "$cache"
# Two test processes may want the same server at once.
exec 9> "$cache/.lock-${1:-none}-${2:-}"
flock 9
case ${1:-} in
  kafka) kafka "$2" ;;
  versitygw) s3 ;;
  helm) helm ;;
  krew) krew ;;
  azurite) azure ;;
  *) sed -n '2,11p' "$0" >&2; exit 2 ;;
esac
