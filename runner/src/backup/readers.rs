//! The readers of one collection: who reads which partition, and where a partition goes that moves.

use std::collections::HashMap;

use contract::{Code, Failure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire::BrokerId;

use super::reader::room::Room;
use super::reader::{Active, Reader, Shared};
use super::source::Unplanned;

type Inbox = mpsc::UnboundedSender<Active>;

/// Readers that run.
pub(crate) struct Readers {
    shared: Shared,
    tasks: FuturesUnordered<JoinHandle<Result<(), Failure>>>,
    inboxes: HashMap<(BrokerId, u32), Inbox>,
    room: Inbox,
    moved: mpsc::UnboundedReceiver<Active>,
    /// How many partitions each broker was dealt: they take turns over its connections.
    dealt: HashMap<BrokerId, u32>,
}

impl Readers {
    /// No partition is read yet; those that could not be planned are looked for.
    pub(crate) fn new(shared: Shared, moved: mpsc::UnboundedReceiver<Active>, unplanned: Vec<Unplanned>) -> Self {
        let (room, inbox) = mpsc::unbounded_channel();
        let tasks = FuturesUnordered::new();
        tasks.push(tokio::spawn(Room::new(shared.clone(), inbox, unplanned).run()));
        Self { shared, tasks, inboxes: HashMap::new(), room, moved, dealt: HashMap::new() }
    }

    /// Gives a partition to the reader of the broker that is to be asked, or to the room.
    pub(crate) fn place(&mut self, active: Active) {
        let broker = active.broker();
        let inbox = if broker < 0 {
            &self.room
        } else {
            let lanes = self.shared.cluster.options().connections_per_broker.max(1);
            let turn = self.dealt.entry(broker).or_insert(0);
            // Lane 0 is for requests of all kinds.
            let lane = *turn % lanes + 1;
            *turn = turn.wrapping_add(1);
            let (shared, tasks) = (&self.shared, &self.tasks);
            self.inboxes.entry((broker, lane)).or_insert_with(|| {
                let (inbox, received) = mpsc::unbounded_channel();
                tasks.push(tokio::spawn(Reader::new(shared.clone(), broker, lane, received).run()));
                inbox
            })
        };
        // A reader that ended told why, and the collection ends.
        drop(inbox.send(active));
    }

    /// Places the partitions that move, until a reader fails. Dropping the future loses nothing.
    pub(crate) async fn failure(&mut self) -> Failure {
        loop {
            tokio::select! {
                biased;
                Some(active) = self.moved.recv() => self.place(active),
                Some(ended) = self.tasks.next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(failure)) => return failure,
                    Err(error) => return Failure::new(Code::Internal, format!("a reader ended: {error}")),
                },
                else => return Failure::new(Code::Internal, "all readers ended before their partitions"),
            }
        }
    }

    /// Ends them all.
    pub(crate) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
