//! What is kept, and what is told when something is missing.

use crate::message::{Message, MessageId, MessageName};
use crate::testing::record::{MESSAGES_MAX, Record};

fn message(id: usize) -> Message {
    Message::new(MessageId::parse(&id.to_string()).unwrap(), MessageName::parse("count").unwrap())
}

#[test]
fn a_full_record_refuses_and_says_so() {
    let mut record = Record::default();
    for id in 0..MESSAGES_MAX {
        assert!(record.receive(message(id)));
    }
    assert!(!record.receive(message(MESSAGES_MAX)));
    assert_eq!(record.received().len(), MESSAGES_MAX);
    let summary = record.summary();
    assert!(summary.contains("and 9980 more; known services: none"), "{summary}");
    assert!(summary.ends_with("went wrong: 'count' had no place: at most 10000 messages are kept"), "{summary}");
    record.reset();
    assert!(record.receive(message(0)));
}

#[test]
fn complaints_are_bounded_and_counted() {
    let mut record = Record::default();
    (0..250).for_each(|number| record.complain(format!("complaint {number}")));
    let summary = record.summary();
    assert!(summary.contains("went wrong: complaint 0, complaint 1, "), "{summary}");
    assert!(summary.ends_with("complaint 19 and 230 more"), "{summary}");
}
