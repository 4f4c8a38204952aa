//! Tests of the limits of the record and of its summary.

use crate::message::{Message, MessageId, MessageName};
use crate::testing::record::{MESSAGES_MAX, Record};

fn message(id: usize) -> Message {
    Message::new(MessageId::parse(&id.to_string()).unwrap(), MessageName::parse("count").unwrap())
}

#[test]
fn a_full_record_drops_messages_and_notes_an_error() {
    let mut record = Record::default();
    for id in 0..MESSAGES_MAX {
        assert!(record.receive(message(id)));
    }
    assert!(!record.receive(message(MESSAGES_MAX)));
    assert_eq!(record.received().len(), MESSAGES_MAX);
    let summary = record.summary();
    assert!(summary.contains("and 9980 more; known services: none"), "{summary}");
    assert!(summary.ends_with("errors: 'count' was dropped: at most 10000 messages are recorded"), "{summary}");
    record.reset();
    assert!(record.receive(message(0)));
}

#[test]
fn errors_are_limited_and_counted() {
    let mut record = Record::default();
    (0..250).for_each(|number| record.note_error(format!("error {number}")));
    let summary = record.summary();
    assert!(summary.contains("errors: error 0, error 1, "), "{summary}");
    assert!(summary.ends_with("error 19 and 230 more"), "{summary}");
}
