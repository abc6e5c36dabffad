//! The benchmark: backups, restores and verification next to yardsticks that are measured in the same run.
//!
//! usage: bench [MIB [ROUNDS] | look MIB]     payload of the topic with records of 1 KiB; a quarter of it for records of 100 B
//!
//! Writes target/bench: latest.json, table.md, over-time.svg, against-size.svg.

use std::fs;

use harness::bench::{growth, look, rates, rows, wide};
use harness::kafka::{Kafka, Options};
use serde_json::json;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("look") {
        let mib = std::env::args().nth(2).map_or(2000, |text| text.parse().expect("a number"));
        look::look(&Kafka::with(Options::default()), mib);
        return;
    }
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<i64>().expect("a number"));
    let mib = arguments.next().unwrap_or(2000);
    let rounds = usize::try_from(arguments.next().unwrap_or(3)).unwrap();
    // Deleted topics make room at once.
    let properties = vec!["log.segment.delete.delay.ms=100".to_owned()];
    let kafka = Kafka::with(Options { properties, ..Options::default() });
    let mut all = rates::rates(&kafka, 1024, mib * 1024, rounds);
    all.extend(rates::rates(&kafka, 100, mib * 1024 / 4 * 1024 / 100, rounds));
    println!("growth of bytes and of partitions");
    let mut steps: Vec<_> = [1, 4, 16].into_iter().map(|factor| growth::step(&kafka, mib / 4 * factor, 1)).collect();
    steps.extend([10, 100].into_iter().map(|factor| growth::step(&kafka, mib / 4, factor)));
    let wide = wide::wide(&kafka);
    let look = look::look(&kafka, mib);
    let table = format!("{}\n{}\n{}\n\n{}\n", rows::table(&all), growth::table(&steps), wide.text(), look.text());
    println!("\n{table}");
    let json = json!({
        "rows": rows::json(&all), "growth": steps.iter().map(growth::Step::json).collect::<Vec<_>>(), "wide": wide.json(),
        "look": look.json(),
    });
    let sizes: Vec<_> = steps.iter().filter(|step| step.partitions == 1).collect();
    fs::create_dir_all("target/bench").unwrap();
    let write = |name: &str, text: String| fs::write(format!("target/bench/{name}"), text).unwrap();
    write("latest.json", serde_json::to_string_pretty(&json).unwrap());
    write("table.md", table);
    write("over-time.svg", growth::over_time(sizes.last().expect("a step")));
    write("against-size.svg", growth::against_size(&sizes));
}
