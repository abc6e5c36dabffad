#!/usr/bin/env bash
# Runs suites of tests/: suites.sh LANE... A lane is a list of suites, in quotes, that run one after the other; lanes run
# side by side, since suites wait for brokers and clusters more than they compute. The output of a suite is shown when it
# ends, and a summary at the end, with the largest of the figures that tests note. Ends with 0 only if all pass; the others run on when one fails. A test that cannot run on
# this machine is told as skipped; with CI set, that is a failure, too.
set -euo pipefail

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export KAFKA_BACKUP_SKIPPED=$logs/.skipped
export KAFKA_BACKUP_FIGURES=$logs/.figures
touch "$KAFKA_BACKUP_SKIPPED" "$KAFKA_BACKUP_FIGURES"
# What has to be compiled is compiled once, with its messages.
# shellcheck disable=SC2068 # A lane is a list of words.
for suite in $@; do
    tests+=(--test "$suite")
done
cargo test --locked --workspace "${tests[@]}" --no-run

lane() {
    local suite began state all=0
    for suite in $1; do
        echo "== suite $suite begins"
        began=$SECONDS state=passed
        cargo test --locked --workspace --test "$suite" -- --test-threads=2 > "$logs/$suite" 2>&1 || state=FAILED all=1
        # One write for each suite: the lines of two suites do not mix.
        printf '== suite %s\n%s\n== suite %s %s after %s s\n' "$suite" "$(cat "$logs/$suite")" "$suite" "$state" $((SECONDS - began))
        echo "$((SECONDS - began)) $suite $(grep -c '^test .* ok$' "$logs/$suite" || true) $state" >> "$logs/.summary"
    done
    return $all
}

lanes=()
for suites in "$@"; do
    lane "$suites" &
    lanes+=($!)
done
failed=0
for pid in "${lanes[@]}"; do
    wait "$pid" || failed=1
done
echo "== summary: seconds, suite, tests that passed; the slowest first"
sort -rn "$logs/.summary" | awk '{printf "%6d  %-12s %4d  %s\n", $1, $2, $3, $4}'
sort -t $'\t' -k1,1 -k2,2rn "$KAFKA_BACKUP_FIGURES" | awk -F '\t' '!seen[$1]++ {printf "== %s: %s s (%s)\n", $1, $2, $3}'
if [ -s "$KAFKA_BACKUP_SKIPPED" ]; then
    echo "== $(wc -l < "$KAFKA_BACKUP_SKIPPED") tests were skipped, and count as passed above:"
    sort "$KAFKA_BACKUP_SKIPPED"
    [ -z "${CI:-}" ] || failed=1
fi
[ $failed = 0 ] || echo "some suites failed, or with CI set some tests were skipped: look for FAILED and skipped above" >&2
exit $failed
