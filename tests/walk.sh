#!/usr/bin/env bash
# Runs the walk of README.md as it stands there: what is between its marks, from an empty cluster to a restored topic. KAFKA:
# bootstrap address; STORE: where backups go; S3_KEY, S3_SECRET: its credentials; OPERATOR_IMAGE, RUNNER_IMAGE: where the images
# lie; DISASTER: a command that loses the topic.
set -euo pipefail
readme=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/README.md
walk=$(sed -n '/^<!-- walk begins -->$/,/^<!-- walk ends -->$/{/^<!--/d; /^```/d; p}' "$readme")
lost='# the topic is lost'
case $walk in *"$lost"*) ;; *) echo "README.md has no walk with the line: $lost" >&2; exit 1 ;; esac
# Files that the walk leaves.
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
PS4='$ '
set -x
eval "${walk/"$lost"/bash -c \"\$DISASTER\"}"
