//! The relay as the inbox that a bus delivers to.

use super::Relay;
use crate::message::{Delivery, Inbox, Message, MessageId, Receipt};
use crate::relay::Error;

impl Inbox for Relay {
    fn deliver(&self, message: Message) -> Receipt<Delivery> {
        Receipt::Now(match self.0.incoming.accept(message, None) {
            Ok(accepted) => {
                self.run(accepted);
                Delivery::Accepted
            }
            Err(refused) => refused.into(),
        })
    }

    fn awaits(&self, message: &Message) -> bool {
        self.0.incoming.awaits(message)
    }

    fn awaits_reply(&self, request: Option<&MessageId>) -> bool {
        match request {
            Some(request) => self.0.outgoing.awaits(request),
            None => self.waiting() > 0,
        }
    }

    fn report_error(&self, detail: &str) {
        tracing::warn!(detail, "received something that could not be accepted");
        self.emit_error(Error::Incoming(detail.to_owned()));
    }
}
