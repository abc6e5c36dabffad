//! Pauses between tries that grow: each is twice the one before, up to a longest one. Pure: whoever pauses does so itself.

use std::time::Duration;

/// The pauses of one piece of work, without an end.
#[derive(Debug, Clone)]
pub struct Pauses {
    first: Duration,
    coming: Duration,
    longest: Duration,
}

impl Pauses {
    /// Pauses that begin with `first` and grow up to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, coming: first, longest }
    }

    /// The pause that comes next.
    #[must_use]
    pub const fn coming(&self) -> Duration {
        self.coming
    }

    /// The pause that comes next; the one after it is longer.
    pub fn step(&mut self) -> Duration {
        let coming = self.coming;
        self.coming = coming.saturating_mul(2).min(self.longest);
        coming
    }

    /// Begins again: something went well.
    pub const fn reset(&mut self) {
        self.coming = self.first;
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.step())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again() {
        let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_millis(350));
        let some: Vec<u128> = pauses.by_ref().take(4).map(|pause| pause.as_millis()).collect();
        assert_eq!(some, [100, 200, 350, 350]);
        pauses.reset();
        assert_eq!((pauses.coming(), pauses.step()), (Duration::from_millis(100), Duration::from_millis(100)));
        assert_eq!(pauses.coming(), Duration::from_millis(200));
        let mut vast = Pauses::new(Duration::MAX, Duration::MAX);
        assert_eq!((vast.step(), vast.step()), (Duration::MAX, Duration::MAX));
    }
}
