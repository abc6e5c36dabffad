//! When a resource is looked at again. Like kube's own, whose time nobody can read: of two works on a resource the earlier look
//! counts.

use std::time::Duration;

use kube::runtime::controller;

/// What follows a look at a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    after: Option<Duration>,
}

impl Action {
    /// Another look after that time, or when something changes before.
    #[must_use]
    pub const fn requeue(after: Duration) -> Self {
        Self { after: Some(after) }
    }

    /// Another look when something changes.
    #[must_use]
    pub const fn await_change() -> Self {
        Self { after: None }
    }

    /// How long after this look the next one comes by itself.
    #[must_use]
    pub const fn after(self) -> Option<Duration> {
        self.after
    }

    /// The earlier of two looks.
    #[must_use]
    pub fn sooner(self, other: Self) -> Self {
        Self { after: [self.after, other.after].into_iter().flatten().min() }
    }
}

impl From<Action> for controller::Action {
    fn from(action: Action) -> Self {
        action.after.map_or_else(Self::await_change, Self::requeue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_works_the_earlier_look_counts() {
        let (soon, late, none) =
            (Action::requeue(Duration::from_secs(1)), Action::requeue(Duration::from_secs(9)), Action::await_change());
        assert_eq!((soon.sooner(late), late.sooner(soon)), (soon, soon));
        assert_eq!((none.sooner(late), late.sooner(none), none.sooner(none)), (late, late, none));
        assert_eq!(controller::Action::from(soon), controller::Action::requeue(Duration::from_secs(1)));
    }
}
