//! How many bytes of requests may be on their way to one broker: shared by all lanes of an attempt.
//!
//! A broker keeps a buffer of the size of each request that it reads, outside its heap: several large ones at once can
//! stop it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use contract::{Code, Failure};
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::BrokerId;

/// Bytes of one permit.
const UNIT: u64 = 1024;

/// Room for requests, by broker.
#[derive(Debug)]
pub(crate) struct Rooms {
    units: u32,
    brokers: Mutex<HashMap<BrokerId, Arc<Semaphore>>>,
}

/// The room that a request takes until it is answered.
pub(super) type Room = OwnedSemaphorePermit;

/// A request's turn.
pub(super) enum Turn {
    /// It may go.
    Now(Room),
    /// Others have to be answered first; a place in the queue.
    Later(BoxFuture<'static, Result<Room, Failure>>),
}

impl Rooms {
    /// Room for this many bytes at each broker.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { units: u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX), brokers: Mutex::default() }
    }

    /// The turn of a request of this size; a larger one than all the room takes all of it and so goes alone.
    pub(super) fn turn(&self, broker: BrokerId, bytes: usize) -> Turn {
        let room = {
            let mut brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
            let all = || Arc::new(Semaphore::new(self.units as usize));
            Arc::clone(brokers.entry(broker).or_insert_with(all))
        };
        let units = self.units_of(bytes);
        match Arc::clone(&room).try_acquire_many_owned(units) {
            Ok(room) => Turn::Now(room),
            Err(_) => Turn::Later(Box::pin(async move {
                let closed = |_| Failure::new(Code::Internal, "the room for requests was closed");
                room.acquire_many_owned(units).await.map_err(closed)
            })),
        }
    }

    /// Whether this room is enough for a request of this size.
    pub(super) fn is_enough(&self, room: &Room, bytes: usize) -> bool {
        room.num_permits() >= self.units_of(bytes) as usize
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from((bytes as u64).div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_wait_for_room_at_their_own_broker_and_a_huge_one_goes_alone() {
        let rooms = Rooms::new(10 << 20);
        let now = |broker, bytes| match rooms.turn(broker, bytes) {
            Turn::Now(room) => room,
            Turn::Later(_) => panic!("{bytes} bytes wait at broker {broker}"),
        };
        let first = now(1, 4 << 20);
        let second = now(1, 6 << 20);
        let Turn::Later(waiting) = rooms.turn(1, 60 << 20) else { panic!("there is no room for a third") };
        let other = now(2, 60 << 20);
        assert!(rooms.is_enough(&other, 60 << 20) && rooms.is_enough(&first, 4 << 20));
        assert!(!rooms.is_enough(&first, 5 << 20));
        let waiting = tokio::spawn(waiting);
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "all of the room is needed");
        drop(second);
        let alone = waiting.await.unwrap().unwrap();
        assert!(matches!(rooms.turn(1, 1), Turn::Later(_)), "nothing goes beside it");
        drop(alone);
        drop(now(1, 1));
    }
}
