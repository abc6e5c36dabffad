//! Connections of the runner to model brokers.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use wire::{Dialer, Stream};

use super::serve::Kafka;
use super::state::Power;
use crate::gate::Gate;

/// Bytes on their way in one direction.
const WINDOW: usize = 64 << 10;

/// A host that is any broker.
pub(crate) const BOOTSTRAP: &str = "bootstrap";

/// Dials model brokers for one attempt.
#[derive(Debug, Clone)]
pub struct ModelDialer {
    kafka: Kafka,
    gate: Gate,
}

impl ModelDialer {
    /// A dialer.
    pub fn new(kafka: &Kafka, gate: &Gate) -> Self {
        Self { kafka: kafka.clone(), gate: gate.clone() }
    }
}

#[async_trait]
impl Dialer for ModelDialer {
    async fn dial(&self, host: &str, _port: u16) -> io::Result<Box<dyn Stream>> {
        self.gate.pass().await;
        let micros = self.kafka.random(100, 1500);
        tokio::time::sleep(Duration::from_micros(micros)).await;
        let found = {
            let state = self.kafka.look();
            // A name that stands for whatever brokers there are, as a service does.
            let first_up = || state.brokers.iter().find(|(_, b)| host == BOOTSTRAP && b.power != Power::Down);
            state.brokers.iter().find(|(_, b)| b.host == host).or_else(first_up).map(|(id, b)| (*id, b.power))
        };
        match found {
            Some((id, Power::Up | Power::Silent)) => {
                let (near, far) = tokio::io::duplex(WINDOW);
                tokio::spawn(self.kafka.clone().serve(id, far, self.gate.clone()));
                Ok(Box::new(near))
            }
            Some((_, Power::Down)) | None => {
                Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("{host}: connection refused")))
            }
        }
    }
}
