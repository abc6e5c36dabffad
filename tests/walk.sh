#!/usr/bin/env bash
# From an empty cluster to a restored topic. KAFKA: bootstrap address; STORE: where backups go; S3_KEY, S3_SECRET: its
# credentials; OPERATOR_IMAGE, RUNNER_IMAGE: where the images lie; DISASTER: a command that loses the topic.
set -euo pipefail
say() { printf '\n$ %s\n' "$*"; "$@"; }

# 1. Install.
say kubectl kafka-backup install --apply --operator-image "$OPERATOR_IMAGE" --runner-image "$RUNNER_IMAGE"
say kubectl kafka-backup doctor

# 2. Back up each night, and once now.
kubectl create namespace shop
kubectl create secret generic s3 -n shop --from-literal=AWS_ACCESS_KEY_ID="$S3_KEY" --from-literal=AWS_SECRET_ACCESS_KEY="$S3_SECRET"
say kubectl kafka-backup backup create nightly -n shop --bootstrap-servers "$KAFKA" --topics orders \
  --storage "$STORE" --storage-secret s3 --schedule '0 0 2 * * *' --groups
say kubectl kafka-backup backup run nightly -n shop --wait --timeout 5m

# 3. Look.
say kubectl kafka-backup status -n shop
say kubectl kafka-backup timeline nightly -n shop --since 2d
say kubectl kafka-backup browse nightly -n shop
say kubectl kafka-backup peek nightly orders -n shop --limit 3

# 4. Disaster.
bash -c "$DISASTER"

# 5. See what a restore would do, and do exactly that.
say kubectl kafka-backup restore plan -n shop --from nightly --create-topics --no-offset-headers
plan=$(kubectl kafka-backup restore plan -n shop --from nightly --create-topics --no-offset-headers -q -o json)
fingerprint=$(sed -n 's/.*"fingerprint": "\([0-9a-f]*\)".*/\1/p' <<< "$plan")
say kubectl kafka-backup restore create back -n shop --from nightly --create-topics --no-offset-headers \
  --plan-fingerprint "$fingerprint" --wait --timeout 5m

# 6. Trust.
say kubectl kafka-backup verify nightly -n shop
