//! Several backups in one bucket: what a name means is the backup of that name, and a reader that says whose set it expects
//! gets no other.
#![allow(clippy::unwrap_used)]

mod made;

use archive::{ArchiveError, Catalog, LastFull, Layout, Owner, Point, check_owner, check_set_owner, find};
use contract::{Code, SetOwner};
use made::{Made, SET, stamp};

/// A name that stands for a recovery point of `orders`.
const GREEDY: &str = "orders-99991231-235959";

fn owner(namespace: &str, name: &str, cluster: &str) -> Owner {
    Owner { namespace: namespace.into(), name: name.into(), cluster_id: cluster.into() }
}

fn expect(namespace: Option<&str>, cluster: Option<&str>) -> SetOwner {
    let text = |text: &str| text.to_owned();
    SetOwner { name: SET.into(), namespace: namespace.map(text), cluster_id: cluster.map(text) }
}

/// An archive with full sets of `orders` and a set of a backup whose name ends as their points do.
async fn beside_a_greedy_name(incremental: bool) -> Made {
    let made = Made::new();
    if incremental {
        made.points(2).await;
    } else {
        made.full(&format!("{SET}-{}", stamp(1))).await;
    }
    let greedy = Made::sharing(&made).owned_by(owner("ns", GREEDY, "cluster"));
    greedy.point(GREEDY, true, 7).await;
    made
}

#[tokio::test]
async fn a_backup_of_another_name_never_becomes_the_newest() {
    for incremental in [true, false] {
        let made = beside_a_greedy_name(incremental).await;
        let found = find(&made.store, SET).await.unwrap();
        let own = if incremental { SET.to_owned() } else { format!("{SET}-{}", stamp(1)) };
        assert_eq!(found.layout.set(), own);
        assert!(found.warnings.iter().any(|warning| warning.contains(GREEDY)), "{:?}", found.warnings);
    }
    let made = Made::new().owned_by(owner("ns", GREEDY, "cluster"));
    made.point(GREEDY, true, 7).await;
    let error = find(&made.store, SET).await.unwrap_err();
    assert_eq!(error.code(), Code::NoSuchPoint, "{error}");
}

#[tokio::test]
async fn a_full_backup_is_compared_with_sets_of_its_own_name() {
    let made = beside_a_greedy_name(false).await;
    let last = Catalog::new(made.store.clone()).last_full(SET, "orders-99999999-999999").await.unwrap();
    let LastFull::Point(layout, _) = last else { panic!("{last:?}") };
    assert_eq!(layout.set(), format!("{SET}-{}", stamp(1)));
}

#[tokio::test]
async fn the_set_of_another_owner_is_refused_with_both_named() {
    let made = Made::new();
    made.full(&format!("{SET}-{}", stamp(1))).await;
    let other = Made::sharing(&made).owned_by(owner("other", SET, "rebuilt"));
    other.full(&format!("{SET}-{}", stamp(2))).await;
    let newest = find(&made.store, SET).await.unwrap();
    assert_eq!(newest.layout.set(), format!("{SET}-{}", stamp(2)));
    let ask = async |expected: SetOwner| check_owner(&made.store, &newest.layout, newest.seal, &expected).await;
    for good in [expect(None, None), expect(Some("other"), None), expect(Some("other"), Some("rebuilt"))] {
        ask(good).await.unwrap();
    }
    for (bad, named) in [
        (expect(Some("ns"), None), "in namespace \"ns\" was asked for"),
        (expect(Some("other"), Some("cluster")), "on cluster cluster was asked for"),
        (SetOwner { name: "payments".into(), ..expect(None, None) }, "\"payments\" was asked for"),
    ] {
        let error = ask(bad).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ArchiveError::NotOwned { .. }) && error.code() == Code::ForeignOwner, "{text}");
        assert!(
            text.contains(named) && text.contains("\"orders\" in namespace \"other\" on cluster rebuilt"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_set_that_was_adopted_is_its_new_owners_with_all_its_points() {
    let made = Made::new();
    made.points(1).await;
    let mut adopter = Made::sharing(&made).owned_by(owner("new", SET, "rebuilt"));
    adopter.adopt = true;
    adopter.more_points(1, 1).await;
    let layout = Layout::new(SET);
    let first = Catalog::new(made.store.clone()).seal(SET, &stamp(0)).await.unwrap().unwrap().n;
    check_owner(&made.store, &layout, first, &expect(Some("new"), None)).await.unwrap();
    check_owner(&made.store, &layout, first, &expect(Some("new"), Some("cluster"))).await.unwrap();
    assert!(check_owner(&made.store, &layout, first, &expect(Some("new"), Some("rebuilt"))).await.is_err());
    check_set_owner(&made.store, &layout, &expect(Some("new"), None)).await.unwrap();
    assert!(check_set_owner(&made.store, &layout, &expect(Some("ns"), None)).await.is_err());
}

#[tokio::test]
async fn the_seal_of_a_loaded_point_is_read_once() {
    let made = Made::new();
    made.points(1).await;
    let counted = made.counted(std::time::Duration::ZERO);
    let layout = Layout::new(SET);
    let seal = Catalog::new(made.store.clone()).seal(SET, &stamp(0)).await.unwrap().unwrap().n;
    let point = Point::load(&counted.store, &layout, seal).await.unwrap();
    assert!(counted.take() > 0);
    point.check_owner(&expect(None, None)).await.unwrap();
    assert_eq!(counted.take(), 0);
    let error = point.check_owner(&SetOwner { name: "payments".into(), ..expect(None, None) }).await.unwrap_err();
    assert_eq!(error.code(), Code::ForeignOwner, "{error}");
}
