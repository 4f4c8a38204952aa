//! Envelopes as services get them.

use bytes::{BufMut, Bytes, BytesMut};

use crate::message::{Message, Properties};

/// Returns the envelope of a message for the service: without what only relays exchange, and from the second attempt on
/// with the number of this delivery as its last key, `attempt`.
pub(crate) fn service_envelope(message: &Message, attempt: u32) -> Bytes {
    let envelope = match message.properties.is_default() {
        true => message.to_json(),
        false => Message { properties: Properties::default(), ..message.clone() }.to_json(),
    };
    if attempt <= 1 {
        return envelope;
    }
    let open = envelope.strip_suffix(b"}").expect("an envelope is a JSON object");
    let mut json = BytesMut::with_capacity(envelope.len() + 22);
    json.put_slice(open);
    json.put_slice(format!(",\"attempt\":{attempt}}}").as_bytes());
    json.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MessageId, MessageName};

    #[test]
    fn a_redelivery_says_so() {
        let message = Message::new(MessageId::parse("1").unwrap(), MessageName::parse("hello").unwrap());
        assert_eq!(service_envelope(&message, 1), message.to_json());
        let again = service_envelope(&message, 12);
        let json: serde_json::Value = serde_json::from_slice(&again).unwrap();
        assert_eq!(json, serde_json::json!({ "id": "1", "name": "hello", "attempt": 12 }));
        assert_eq!(Message::from_json(None, &again).unwrap(), message);
    }

    #[test]
    fn what_relays_exchange_is_left_out() {
        let plain = Message::new(MessageId::parse("1").unwrap(), MessageName::parse("hello").unwrap());
        let message = Message { properties: Properties { hops: 3, ..Properties::default() }, ..plain.clone() };
        assert_eq!(service_envelope(&message, 1), plain.to_json());
    }
}
