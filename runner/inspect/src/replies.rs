//! Where answers go.

use contract::{Code, Failure};
use tokio::sync::mpsc;

use crate::Answer;

/// Where answers go.
#[derive(Debug)]
pub struct Replies(mpsc::Sender<Answer>);

impl Replies {
    /// Answers go to this channel.
    #[must_use]
    pub fn new(sender: mpsc::Sender<Answer>) -> Self {
        Self(sender)
    }

    /// Hands an answer over.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub async fn send(&mut self, answer: Answer) -> Result<(), Failure> {
        let gone = |_| Failure::new(Code::Interrupted, "whoever asked has gone");
        self.0.send(answer).await.map_err(gone)
    }

    /// The same, once all answers before were taken: no two large ones are held at once.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub(crate) async fn send_alone(&mut self, answer: Answer) -> Result<(), Failure> {
        let gone = |_| Failure::new(Code::Interrupted, "whoever asked has gone");
        drop(self.0.reserve_many(self.0.max_capacity()).await.map_err(gone)?);
        self.send(answer).await
    }
}
