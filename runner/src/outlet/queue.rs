//! Lines that wait for a reader, in a room of a fixed size: what is worth least goes first, and what goes is counted.
//! Pure.

use std::collections::VecDeque;

/// What a line is worth when there is no room for all. Lines of less worth are dropped first, among equals the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worth {
    /// The next one says more.
    Progress,
    /// A line of the log.
    Log,
    /// An event, a result, a message to the user.
    Event,
}

const WORTHS: usize = 3;

/// The lines.
#[derive(Debug)]
pub(crate) struct Queue {
    /// By worth; each line with its place among all.
    lanes: [VecDeque<(u64, Vec<u8>)>; WORTHS],
    taken_in: u64,
    bytes: usize,
    room: usize,
    dropped: u64,
}

impl Queue {
    /// A queue that holds so many bytes, or one longer line.
    pub(crate) fn new(room: usize) -> Self {
        Self { lanes: Default::default(), taken_in: 0, bytes: 0, room, dropped: 0 }
    }

    /// Whether a line of this size fits without dropping another.
    pub(crate) fn fits(&self, size: usize) -> bool {
        self.bytes == 0 || self.bytes + size <= self.room
    }

    /// Takes a line in. Lines of the same or less worth make room for it; when those do not suffice, it is dropped itself.
    pub(crate) fn push(&mut self, worth: Worth, line: Vec<u8>) {
        while !self.fits(line.len()) {
            let Some((_, gone)) = self.lanes.iter_mut().take(worth as usize + 1).find_map(VecDeque::pop_front) else {
                self.dropped += 1;
                return;
            };
            self.bytes -= gone.len();
            self.dropped += 1;
        }
        self.bytes += line.len();
        if let Some(lane) = self.lanes.get_mut(worth as usize) {
            lane.push_back((self.taken_in, line));
        }
        self.taken_in += 1;
    }

    /// The oldest line.
    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        let place = |lane: &&mut VecDeque<(u64, Vec<u8>)>| lane.front().map_or(u64::MAX, |(place, _)| *place);
        let (_, line) = self.lanes.iter_mut().min_by_key(place)?.pop_front()?;
        self.bytes -= line.len();
        Some(line)
    }

    /// Drops every line.
    pub(crate) fn clear(&mut self) {
        while self.pop().is_some() {
            self.lose(1);
        }
    }

    /// Counts lines that were taken out and reached nobody.
    pub(crate) fn lose(&mut self, lines: u64) {
        self.dropped += lines;
    }

    /// All lines in order, as one text.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut lines: Vec<_> = self.lanes.iter().flatten().collect();
        lines.sort_unstable_by_key(|(place, _)| *place);
        lines.into_iter().flat_map(|(_, line)| line).copied().collect()
    }

    /// Whether at least half of the room is free.
    pub(crate) fn is_easy(&self) -> bool {
        self.bytes <= self.room / 2
    }

    /// Whether no line waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    /// Lines dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn progress_makes_room_for_events_and_order_stays() {
        let mut queue = Queue::new(8);
        queue.push(Worth::Progress, b"p1".into());
        queue.push(Worth::Event, b"e1".into());
        queue.push(Worth::Log, b"l1".into());
        queue.push(Worth::Event, b"e2".into());
        queue.push(Worth::Event, b"e3".into());
        assert_eq!((queue.dropped(), queue.fits(1)), (1, false));
        queue.push(Worth::Progress, b"p2".into());
        assert_eq!(queue.dropped(), 2, "nothing there is worth less than progress: it is dropped itself");
        queue.push(Worth::Event, b"e4".into());
        assert_eq!(texts(&mut queue), ["e1", "e2", "e3", "e4"], "the line of the log went");
        queue.push(Worth::Event, b"longer than the room".into());
        assert_eq!(texts(&mut queue), ["longer than the room"]);
    }

    proptest! {
        /// Whatever comes: what is left and what was dropped is what came, in order, within the room, and no line of
        /// more worth went while one of less stayed that was there before.
        #[test]
        fn nothing_is_lost_without_being_counted(lines in prop::collection::vec((0usize..3, 1usize..40), 0..60), room in 1usize..200) {
            let mut queue = Queue::new(room);
            for (number, (worth, size)) in lines.iter().enumerate() {
                let worth = [Worth::Progress, Worth::Log, Worth::Event][*worth];
                queue.push(worth, format!("{number:>size$}").into_bytes());
                prop_assert!(queue.bytes <= room || queue.lanes.iter().flatten().count() == 1);
            }
            let text = queue.text();
            let left = texts(&mut queue);
            prop_assert_eq!(String::from_utf8(text).unwrap(), left.concat());
            let numbers: Vec<u32> = left.iter().map(|line| line.trim().parse().unwrap()).collect();
            prop_assert!(numbers.is_sorted());
            prop_assert_eq!(numbers.len() as u64 + queue.dropped(), lines.len() as u64);
            if let Some(last_event) = lines.iter().rposition(|(worth, _)| *worth == 2) {
                prop_assert!(numbers.contains(&u32::try_from(last_event).unwrap()), "the newest event stays");
            }
        }
    }
}
