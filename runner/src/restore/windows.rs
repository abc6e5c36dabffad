//! Which record times of each source partition are restored: one window for all, and an earlier end where a partition has one of its
//! own. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use archive::TopicIdPartition;
use batch::Window;

/// The windows of all partitions of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    all: Window,
    ends: Arc<HashMap<TopicIdPartition, i64>>,
}

impl Windows {
    /// One window for all, and the ends of partitions that end before it.
    pub(crate) fn new(all: Window, ends: impl IntoIterator<Item = (TopicIdPartition, i64)>) -> Self {
        Self { all, ends: Arc::new(ends.into_iter().collect()) }
    }

    /// That of one partition.
    pub(crate) fn of(&self, place: TopicIdPartition) -> Window {
        let end = self.ends.get(&place).map_or(self.all.end, |end| self.all.end.min(*end));
        Window { end, ..self.all }
    }

    /// One that holds all of them.
    pub(crate) fn all(&self) -> Window {
        self.all
    }

    /// Whether every record of every partition is inside.
    pub(crate) fn is_everything(&self) -> bool {
        self.all == Window::ALL && self.ends.is_empty()
    }
}

impl From<Window> for Windows {
    fn from(all: Window) -> Self {
        Self::new(all, [])
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_partition_ends_where_the_earlier_end_is() {
        let windows = Windows::new(Window { start: 5, end: 50 }, [((Uuid::nil(), 0), 20), ((Uuid::nil(), 1), 90)]);
        let end = |partition| windows.of((Uuid::nil(), partition)).end;
        assert_eq!([end(0), end(1), end(2)], [20, 50, 50]);
        assert!(!windows.is_everything() && Windows::from(Window::ALL).is_everything());
        assert!(!Windows::new(Window::ALL, [((Uuid::nil(), 0), 1)]).is_everything());
    }
}
