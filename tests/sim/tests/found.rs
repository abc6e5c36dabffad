//! Faults that were found once stay away.

use sim::found;
use sim::world::simulate;

fn holds(name: &str) {
    let found = found::all().into_iter().find(|found| found.name == name).expect("the script is there");
    let outcome = simulate(&found.script);
    if !outcome.violations.is_empty() || std::env::var_os("TRACE").is_some() {
        println!("{}\n{}\n{:#?}", found.script, outcome.trace, outcome.attempts);
    }
    assert_eq!(outcome.violations, Vec::<String>::new(), "{}", found.seen);
    assert!(outcome.points > 0);
    assert_eq!(outcome.given_up > 0, found.script.settings.reread, "{:#?}", outcome.attempts);
}

macro_rules! found {
    ($($name:ident)*) => {
        $(#[test] fn $name() { holds(stringify!($name)); })*

        #[test]
        fn every_script_has_its_test() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(found::all().iter().map(|found| found.name).collect::<Vec<_>>(), tested);
        }
    };
}

found! {
    slow_beside_transactions
    empty_beside_transactions
    compacted_below_the_target
    new_partition_with_latest
    new_topic_with_latest
    segments_are_gone
    segments_are_gone_and_read_again
    nobody_tells_where_a_log_starts
    a_broker_is_gone
    a_broker_is_replaced
    rollups_are_gone
    silent_in_the_middle
    one_announces_too_much
    a_topic_is_deleted
    a_topic_is_forbidden
    quiet_then_a_blip
    one_leaderless_partition
    a_leader_wakes_up_behind
}
