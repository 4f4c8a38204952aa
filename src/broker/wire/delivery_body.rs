//! The body of a delivery as the original broker of the HTTP era sent it. exo 2.2.

use bytes::Bytes;

use crate::message::{Message, MessageId, Payload};

/// Writes the body of `POST /run/{message}` with the original's keys: `id`, `payload` and `responseTo`.
pub fn original_body(message: &Message) -> Bytes {
    let text = |text: &MessageId| serde_json::to_vec(text).expect("a string can always be written to memory as JSON");
    let mut json = b"{\"id\":".to_vec();
    json.extend(text(&message.id));
    if let Some(payload) = &message.payload {
        json.extend_from_slice(b",\"payload\":");
        json.extend_from_slice(Payload::as_bytes(payload));
    }
    if let Some(request) = &message.response_to {
        json.extend_from_slice(b",\"responseTo\":");
        json.extend(text(request));
    }
    json.push(b'}');
    json.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MessageName, Role};

    #[test]
    fn the_body_has_no_keys_that_the_original_did_not_send() {
        let name = MessageName::parse("users.created").unwrap();
        let mut message = Message::new(MessageId::parse("\"1\"").unwrap(), name);
        message.sender = Role::parse("users").ok();
        message.activity_id = Some(message.conversation());
        assert_eq!(original_body(&message), r#"{"id":"\"1\""}"#);
        message.payload = Payload::parse("{ \"a\": 1 }".into()).ok();
        message.response_to = MessageId::parse("0").ok();
        assert_eq!(original_body(&message), r#"{"id":"\"1\"","payload":{ "a": 1 },"responseTo":"0"}"#);
    }
}
