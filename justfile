# Everything that a developer or CI runs. `./justw` runs it with a pinned `just`.

set shell := ["bash", "-euo", "pipefail", "-c"]

# Builds for tests name the whole workspace: with one set of features nothing is compiled twice.
bins := "--workspace --bin kafka-backup-runner --bin kafka-backup-operator --bin kubectl-kafka_backup"

# List the recipes
default:
    @just --list

# Back up, lose, restore and compare a real broker; ends with 0 only if every topic is equal
demo:
    @echo "demo: builds the runner, fetches Apache Kafka into ~/.cache/kafka-backup once, leaves nothing running"
    tests/servers/need.sh
    cargo build --quiet --locked --workspace --bin kafka-backup-runner --bin demo
    target/debug/demo

# All tests: lint, unit and property tests, then suites against real brokers, stores and a Kubernetes
test: lint test-quick test-servers test-cluster

# Tests without servers
test-quick:
    tests/servers/need.sh quick
    cargo build --locked {{bins}}
    cargo test --locked --workspace

# Suites against real Apache Kafka and a real S3 server
test-servers:
    tests/servers/need.sh
    cargo build --locked {{bins}}
    tests/suites.sh "recovery outages fidelity changes secure diagnosis groups consumers offsets undo group_configs validation pruning" "limits positions faults matrix reader continuous routing errors stores model" "fuzz"

# Suites against a real Kubernetes, which is built once (about 6 minutes on two cores); pods take root
test-cluster:
    tests/servers/need.sh
    K8S_MODE=$([ "$(id -u)" = 0 ] && echo node || echo cp) tests/kubernetes/build.sh > /dev/null
    cargo build --locked {{bins}}
    # Only one cluster at a time has a node.
    tests/suites.sh "control handover admission" "pods screens krew"

# A Kubernetes with a node that runs pods, the images of this checkout, a broker and an S3 server, until Ctrl-C
cluster:
    tests/servers/need.sh
    K8S_MODE=node tests/kubernetes/build.sh > /dev/null
    cargo build --locked {{bins}} --bin cluster
    target/debug/cluster

# A demo cluster with backups that go on, and the first timeline; until Ctrl-C (takes root)
playground *FILE:
    tests/servers/need.sh
    K8S_MODE=node tests/kubernetes/build.sh > /dev/null
    cargo build --locked {{bins}} --bin playground
    target/debug/playground {{FILE}}

# Make the picture of the README from a session of the playground
picture: (playground "target/session.txt")
    tests/picture.py target/session.txt > docs/session.svg

# Long tests: `just torture` against servers, `simulate [restores] SECONDS` in the model, `model N [FIRST]` against it, `life SECONDS`, `operator SECONDS`, `fuzz SECONDS`, `kueue`
torture WHAT="servers" *ARGS:
    {{just_executable()}} torture-{{WHAT}} {{ARGS}}

# Simulations of new seeds for a while (`restores SECONDS`: of restores alone), shrunk where they fail; ends with 0 only if none does
torture-simulate *ARGS="3600":
    cargo build --locked --profile simulate -p kafka-backup-sim
    target/simulate/simulate {{ARGS}}

# A cluster lives beside a continuous backup for SECONDS; ends with 0 only if nothing is lost, doubled or late
torture-life SECONDS="3600" *SEED:
    tests/servers/need.sh
    cargo build --locked {{bins}} --bin life
    target/debug/life {{SECONDS}} {{SEED}}

# Histories, from number FIRST on, that go to the simulation's brokers and to real ones of both releases; ends with 0 only if all answers agree
torture-model HISTORIES="200" FIRST="1":
    tests/servers/need.sh
    MODEL_HISTORIES={{HISTORIES}} MODEL_FIRST={{FIRST}} cargo test --locked --workspace --test model -- --nocapture

# Everything that happens to runs, at once, on a real control plane for SECONDS; ends with 0 only if every status is true
torture-operator SECONDS="3600" SEED="":
    tests/servers/need.sh
    K8S_MODE=cp tests/kubernetes/build.sh > /dev/null
    cargo build --locked {{bins}}
    HOSTILE_SECONDS={{SECONDS}} HOSTILE_SEED={{SEED}} cargo test --locked --workspace --test control -- everything_at_once --nocapture

# Changed inputs for every fuzz target, SECONDS each, in processes with little memory; ends with 0 only if none is ended by one
torture-fuzz SECONDS="600" *TARGETS:
    cargo build --locked --profile simulate -p kafka-backup-fuzz
    target/simulate/fuzz {{SECONDS}} {{TARGETS}}

# Runs through Kueue, a real queue for Jobs, which is built first (about 5 minutes on two cores); takes root
torture-kueue:
    tests/servers/need.sh
    K8S_MODE=node tests/kubernetes/build.sh > /dev/null
    tests/kubernetes/kueue.sh > /dev/null
    cargo build --locked {{bins}}
    cargo test --locked --workspace --test pods -- --ignored --nocapture kueue

# The long form of the fault suite, without limit of time; writes docs/reliability.md
torture-servers:
    tests/servers/need.sh
    cargo build --locked {{bins}}
    rm -f target/reliability.txt
    K8S_MODE=cp tests/kubernetes/build.sh > /dev/null
    for suite in faults outages positions control; do \
        TORTURE=1 RELIABILITY=$PWD/target/reliability.txt cargo test --locked --workspace --test "$suite" -- --test-threads=2; done
    { cat tests/reliability-head.md; echo "Date: $(date -u +%F). Long form."; echo; \
      echo '| fault | runs | injected | records compared | lost | doubled | recovered within |'; \
      echo '|---|---|---|---|---|---|---|'; sort target/reliability.txt; } > docs/reliability.md

# Formatting and clippy without warnings; rendered manifests are fresh
lint:
    manifests/render.sh --check
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings
    # Suites are no target that is tested unasked.
    cargo clippy --locked --workspace --test '*' -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --no-deps --workspace --exclude kafka-backup-tests

# Licences, bans and sources of dependencies (needs cargo-deny)
deny:
    cargo deny check bans licenses sources

# Inputs that libFuzzer finds for one target (needs nightly and cargo-fuzz): just fuzz split 60
fuzz TARGET SECONDS="60":
    mkdir -p tests/fuzz/libfuzzer/corpus/{{TARGET}}
    FUZZ_TARGET={{TARGET}} cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer any tests/fuzz/libfuzzer/corpus/{{TARGET}} -- -max_total_time={{SECONDS}} -rss_limit_mb=512

# Regenerate generated files
gen:
    cargo build --quiet --locked --workspace --bin kafka-backup-runner --example crds --example fields --example cli --example evidence_schema
    target/debug/kafka-backup-runner schema > docs/run-spec.schema.json
    target/debug/examples/evidence_schema > docs/evidence.schema.json
    target/debug/examples/crds manifests/crds
    target/debug/examples/fields > docs/fields.md
    target/debug/examples/cli > docs/cli.md
    manifests/render.sh

# Release build of runner, operator and plugin
build:
    cargo build --locked --release -p kafka-backup-runner -p kafka-backup-operator
    cargo build --locked --profile dist -p kubectl-kafka-backup

# Images as tars in target/images, the packaged chart in target/chart, the plugin for Krew in target/krew; no Docker engine
package: build
    manifests/images/make.sh release
    "$(tests/servers/fetch.sh helm)" package manifests/helm/kafka-backup-operator --destination target/chart
    "$(tests/servers/fetch.sh helm)" repo index target/chart
    krew/package.sh "${KREW_BASE_URL:-file://$PWD/target/krew}" linux-amd64=target/dist/kubectl-kafka_backup

# Backups, restores and verification next to yardsticks of the same run, growth and many partitions; writes target/bench
bench MIB="2000" ROUNDS="3":
    tests/servers/need.sh
    K8S_MODE=cp tests/kubernetes/build.sh > /dev/null
    cargo build --locked --release -p kafka-backup-runner -p kafka-backup-tests
    cargo build --locked --profile dist -p kubectl-kafka-backup
    KAFKA_BACKUP_PLUGIN=$PWD/target/dist/kubectl-kafka_backup target/release/bench {{MIB}} {{ROUNDS}}

# Show the results of the last `just bench` in docs/benchmark.md
publish-bench:
    cp target/bench/*.svg docs/
    sed -i -e '/<!-- bench begins -->/,/<!-- bench ends -->/{//!d;}' -e '/<!-- bench begins -->/r target/bench/table.md' docs/benchmark.md

# Plan, resume and point look-up of a set with many entries: time and peak memory
scale ENTRIES="60000" PARTITIONS="5000" MOVED="100":
    cargo build --locked --release -p kafka-backup-archive --example scale
    rm -rf target/scale
    target/release/examples/scale make target/scale {{ENTRIES}} {{PARTITIONS}} {{MOVED}}
    for work in plan resume lookup; do target/release/examples/scale $work target/scale; done

# Make docs/fidelity.md from the output of `just test-servers`, saved in a file
truths LOG:
    python3 tests/truths.py {{LOG}}
