//! The same seed gives the same simulation.

use sim::script::{Action, At, Script};
use sim::world::simulate;

#[test]
fn a_small_backup_is_whole_and_repeats_itself() {
    let topic = || "orders".to_owned();
    let script = Script {
        before: vec![
            Action::Create(topic(), 3, 1),
            Action::Produce(topic(), 0, 20, 10, 100),
            Action::Produce(topic(), 1, 5, 3, 2000),
            Action::Begin(1, topic(), vec![0, 1], 5, 50),
            Action::Begin(2, topic(), vec![0, 1], 5, 50),
            Action::End(1, true),
            Action::End(2, false),
            Action::Produce(topic(), 1, 5, 3, 2000),
        ],
        actions: vec![At { ms: 500, what: Action::Produce(topic(), 2, 10, 10, 100) }],
        ..Script::default()
    };
    let first = simulate(&script);
    println!("{}", first.trace);
    println!("{:?} {} steps {} points {} records", first.attempts, first.steps, first.points, first.records);
    assert_eq!(first.violations, Vec::<String>::new());
    assert_eq!(first.points, 2);
    assert!(first.records > 200);
    assert_eq!(simulate(&script).hash, first.hash);
}
