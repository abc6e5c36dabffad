//! Every error code in every request of a backup. `MATRIX=all` tries all of them, else every 29th code.

use sim::matrix::{LAST, REQUESTS, cell, table};

#[test]
fn every_code_in_every_request_ends_well() {
    let step = if std::env::var("MATRIX").is_ok_and(|text| text == "all") { 1 } else { 29 };
    let mut cells = Vec::new();
    for (turn, (api, _)) in (0..).zip(REQUESTS) {
        for code in (-1..=LAST).filter(|code| *code != 0 && (code + turn) % step == 0) {
            for for_ever in [false, true] {
                cells.push(cell(api, code, for_ever));
            }
        }
    }
    let steps: u64 = cells.iter().map(|cell| cell.steps).sum();
    println!("{} cells, {steps} steps\n{}", cells.len(), table(&cells));
    let bad: Vec<_> = cells.iter().filter(|cell| !cell.bad.is_empty()).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
