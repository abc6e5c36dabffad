#!/usr/bin/env python3
"""Makes docs/fidelity.md from tests/truths.tsv and the output of the suites.

usage: truths.py LOG    LOG holds lines "test NAME ... ok" (cargo test). Fails when a test that a line names did not pass.
"""
import datetime, pathlib, re, sys

here = pathlib.Path(__file__).parent
log = pathlib.Path(sys.argv[1]).read_text(errors="replace")
log = re.sub(r"\x1b\[[0-9;]*m", "", log)
passed = set(re.findall(r"^test (\w+) \.\.\. .*?ok$", log, re.M))
rows, missing = [], []
for line in (here / "truths.tsv").read_text().splitlines():
    item, what, kept, lost, tests = line.split("\t")
    missing += [test for test in tests.split() if test not in passed]
    rows.append(f"| {item} | {what} | {kept} | {lost} | {'<br>'.join(tests.split())} |")
if missing:
    sys.exit("these tests did not pass: " + ", ".join(sorted(set(missing))))
head = f"""# What a backup keeps

Made by `./justw truths LOG` from `tests/truths.tsv` and the output of the suites on {datetime.date.today()}; do not edit.
Every line was shown by the tests named in it, against real brokers, with librdkafka or Kafka's own tools as judge.
Items are numbered; the same numbers stand in the tests' names.

| item | what | kept | not kept, and why | shown by |
|---|---|---|---|---|
"""
(here.parent / "docs/fidelity.md").write_text(head + "\n".join(rows) + "\n")
print(f"docs/fidelity.md: {len(rows)} items, {len(passed)} tests passed")
