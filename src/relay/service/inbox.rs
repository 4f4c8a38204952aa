//! The relay as the inbox that a bus delivers to.

use super::Relay;
use crate::message::{Delivery, Inbox, Message, Receipt};
use crate::relay::{Error, Refused};

impl Inbox for Relay {
    fn deliver(&self, message: Message) -> Receipt<Delivery> {
        Receipt::Now(match self.receive(message) {
            Ok(()) => Delivery::Accepted,
            Err(Refused::Unknown) => Delivery::Unknown,
            Err(Refused::Busy { retry_after } | Refused::Closing { retry_after }) => Delivery::Busy { retry_after },
        })
    }

    fn awaits(&self, message: &Message) -> bool {
        self.0.incoming.awaits(message)
    }

    fn report_error(&self, detail: &str) {
        tracing::warn!(detail, "received something that could not be accepted");
        self.emit_error(Error::Incoming(detail.to_owned()));
    }
}
