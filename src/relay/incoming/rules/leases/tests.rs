use super::*;
use crate::memory::Budget;

const LEASE: Duration = Duration::from_secs(30);

const LIMITS: LeaseLimits = LeaseLimits { messages_max: 1_000, lease: LEASE, deliveries_max: 2, unacknowledged_max: 4 };

/// A queue under test, and its clock.
struct Stage {
    leases: Leases<Holder>,
    now: Instant,
    followers: Vec<Holder>,
}

impl Stage {
    fn new(followers: usize) -> Self {
        Self::with(LIMITS, followers)
    }

    fn with(limits: LeaseLimits, followers: usize) -> Self {
        let mut leases = Leases::new(limits, Share::new(&Budget::default(), usize::MAX));
        let followers = (0..followers).map(|_| leases.connect(Vec::new(), None, 0)).collect();
        Self { leases, now: Instant::now(), followers }
    }

    fn offer(&mut self, ids: impl IntoIterator<Item = impl ToString>) {
        for id in ids {
            assert!(self.leases.offer(message(&id.to_string(), "web"), self.now).is_some());
        }
    }

    /// Returns what a follower gets next, as `id` or `id#attempt`.
    fn take(&mut self, follower: usize) -> Option<String> {
        let offered = self.leases.take(self.followers[follower], self.now)?;
        let id = offered.message.id;
        Some(if offered.attempt == 1 { id.to_string() } else { format!("{id}#{}", offered.attempt) })
    }

    fn take_all(&mut self, follower: usize) -> Vec<String> {
        std::iter::from_fn(|| self.take(follower)).collect()
    }

    fn acknowledge(&mut self, id: &str) -> bool {
        self.leases.acknowledge(&MessageId::parse(id).unwrap(), None, self.now).is_some()
    }

    /// Lets time pass, and returns the ids of what was given up.
    fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.leases.expire(self.now).0.into_iter().map(|offered| offered.message.id.to_string()).collect()
    }

    fn len(&self) -> usize {
        self.leases.count(|_| true)
    }
}

fn message(id: &str, sender: &str) -> Message {
    let mut message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse("hello").unwrap());
    message.sender = Some(Role::parse(sender).unwrap());
    message
}

#[test]
fn the_messages_of_a_name_are_discarded_wherever_they_are() {
    let start = Instant::now();
    let limits = LeaseLimits { messages_max: 10, lease: LEASE, deliveries_max: 3, unacknowledged_max: 2 };
    let mut leases = Leases::new(limits, Share::new(&Budget::default(), usize::MAX));
    let message = |id: &str, name: &str| Message::new(MessageId::parse(id).unwrap(), MessageName::parse(name).unwrap());
    let first = leases.connect(Vec::new(), None, "first");
    for id in ["1", "2", "3"] {
        leases.offer(message(id, "greeting"), start).unwrap();
    }
    leases.offer(message("4", "order"), start).unwrap();
    // One is leased, one was given back and rests, and one waits.
    let ids = [leases.take(first, start).unwrap().message.id, leases.take(first, start).unwrap().message.id];
    leases.give_back(&ids[1], None, start).unwrap();
    let greeting = MessageName::parse("greeting").unwrap();
    assert_eq!(leases.discard(&greeting, start).0, 3);
    assert_eq!(leases.count(|_| true), 1);
    assert_eq!(leases.take(first, start).unwrap().message.id.as_str(), "4");
    assert_eq!(leases.expire(start + Duration::from_secs(60)).0, []);
}

#[test]
fn an_unacknowledged_message_is_delivered_again_and_then_given_up() {
    let mut stage = Stage::new(1);
    stage.offer(["a"]);
    assert_eq!(stage.take_all(0), ["a"]);
    assert!(stage.pass(LEASE).is_empty());
    assert_eq!(stage.take_all(0), ["a#2"]);
    assert_eq!(stage.pass(LEASE), ["a"]);
    assert_eq!(stage.len(), 0);
    assert!(!stage.acknowledge("a"));
}

#[test]
fn an_acknowledged_message_is_removed() {
    let mut stage = Stage::new(1);
    stage.offer(["a"]);
    assert!(!stage.acknowledge("a"), "it was not handed out");
    stage.take(0);
    assert!(stage.acknowledge("a"));
    assert!(!stage.acknowledge("a"));
    assert_eq!(stage.len(), 0);
}

#[test]
fn a_follower_gets_no_more_than_it_may_have_unacknowledged() {
    let mut stage = Stage::new(1);
    stage.offer(1..=9);
    assert_eq!(stage.take_all(0), ["1", "2", "3", "4"]);
    assert!(stage.acknowledge("2"));
    assert_eq!(stage.take_all(0), ["5"]);
}

#[test]
fn a_follower_that_wants_less_gets_less() {
    let mut stage = Stage::new(0);
    stage.followers = vec![stage.leases.connect(Vec::new(), Some(1), 0)];
    stage.offer(1..=9);
    assert_eq!(stage.take_all(0), ["1"]);
}

#[test]
fn followers_that_wait_get_messages_in_turn() {
    let mut stage = Stage::new(2);
    assert_eq!((stage.take(0), stage.take(1)), (None, None));
    stage.offer(1..=2);
    assert_eq!((stage.take(0), stage.take(1)), (Some("1".into()), Some("2".into())));
    assert_eq!((stage.take(0), stage.take(1)), (None, None));
    stage.offer(3..=4);
    assert_eq!((stage.take(1), stage.take(0)), (Some("4".into()), Some("3".into())));
}

#[test]
fn a_slow_follower_handles_each_of_many_messages_once() {
    // As reported: 420 messages of 450 ms each take six times as long as a lease.
    let mut stage = Stage::with(LeaseLimits { unacknowledged_max: 16, ..LIMITS }, 2);
    stage.offer(0..420);
    let (mut handled, mut at_hand) = ([0; 2], [Vec::new(), Vec::new()]);
    while stage.len() > 0 {
        for (follower, at_hand) in at_hand.iter_mut().enumerate() {
            at_hand.extend(stage.take_all(follower));
        }
        assert_eq!(stage.pass(Duration::from_millis(450)), [""; 0]);
        for (handled, at_hand) in handled.iter_mut().zip(&mut at_hand) {
            let first = at_hand.remove(0);
            assert!(!first.contains('#') && stage.acknowledge(&first), "{first} was handed out twice");
            *handled += 1;
        }
    }
    assert_eq!(handled, [210, 210]);
}

#[test]
fn the_lease_of_a_message_behind_others_starts_again_when_they_are_done() {
    let mut stage = Stage::new(1);
    stage.offer(1..=3);
    stage.take_all(0);
    for id in ["1", "2"] {
        stage.pass(LEASE - Duration::from_millis(1));
        assert!(stage.acknowledge(id));
    }
    stage.pass(LEASE - Duration::from_millis(1));
    assert_eq!(stage.take(0), None);
    stage.pass(Duration::from_millis(1));
    assert_eq!(stage.take(0), Some("3#2".into()));
}

#[test]
fn a_message_that_was_skipped_is_delivered_again_although_later_ones_are_acknowledged() {
    let mut stage = Stage::new(1);
    stage.offer(1..=3);
    stage.take_all(0);
    stage.pass(LEASE / 2);
    assert!(stage.acknowledge("2") && stage.acknowledge("3"));
    stage.pass(LEASE / 2);
    assert_eq!(stage.take(0), Some("1#2".into()));
}

#[test]
fn a_late_acknowledgement_counts() {
    let mut stage = Stage::new(2);
    stage.offer(["a", "b"]);
    stage.take(0);
    stage.take(0);
    stage.pass(LEASE);
    assert!(stage.acknowledge("a"), "it waits again");
    assert_eq!(stage.take(1), Some("b#2".into()));
    assert!(stage.acknowledge("b"), "another follower has it");
    assert!(!stage.acknowledge("b"), "it was acknowledged");
    assert_eq!((stage.len(), stage.take(0)), (0, None));
}

#[test]
fn an_acknowledgement_over_a_new_connection_counts() {
    let mut stage = Stage::new(2);
    stage.offer(["a"]);
    stage.take(0);
    stage.leases.disconnect(stage.followers[0], stage.now);
    assert!(stage.acknowledge("a"));
    assert_eq!((stage.len(), stage.take(1)), (0, None));
}

#[test]
fn a_message_that_is_acknowledged_before_it_is_fetched_is_not_delivered_again() {
    let mut stage = Stage::new(2);
    stage.offer(["a"]);
    stage.take(0);
    assert_eq!(stage.take(1), None);
    stage.leases.disconnect(stage.followers[0], stage.now);
    assert!(stage.acknowledge("a"));
    stage.offer(["b"]);
    assert_eq!(stage.take_all(1), ["b"]);
}

#[test]
fn messages_of_a_lost_follower_wait_again_in_order() {
    let mut stage = Stage::new(2);
    stage.offer(["a", "b", "c"]);
    stage.take(0);
    stage.take(0);
    stage.leases.disconnect(stage.followers[0], stage.now);
    assert_eq!(stage.take_all(1), ["a#2", "b#2", "c"]);
}

#[test]
fn a_follower_that_does_not_acknowledge_gets_one_at_a_time_after_all_others() {
    let mut stage = Stage::new(2);
    stage.offer(1..=6);
    assert_eq!(stage.take_all(0), ["1", "2", "3", "4"]);
    assert_eq!(stage.take_all(1), ["5", "6"]);
    stage.pass(LEASE / 2);
    assert!(stage.acknowledge("5") && stage.acknowledge("6"));
    assert_eq!(stage.take(1), None);
    stage.pass(LEASE / 2);
    assert_eq!(stage.take_all(1), ["1#2", "3#2", "4#2"]);
    assert_eq!(stage.take_all(0), ["2#2"]);
}

#[test]
fn a_message_that_is_given_back_rests_and_counts_as_failed() {
    let mut stage = Stage::with(LeaseLimits { unacknowledged_max: 1, ..LIMITS }, 1);
    stage.offer(["a", "b"]);
    let give_back = |stage: &mut Stage| {
        let id = MessageId::parse("a").unwrap();
        stage.leases.give_back(&id, None, stage.now).is_some()
    };
    assert_eq!(stage.take_all(0), ["a"]);
    assert!(give_back(&mut stage) && !give_back(&mut stage));
    assert_eq!(stage.take_all(0), ["b"], "the failure of one message does not hold up others");
    assert!(stage.acknowledge("b"));
    stage.pass(LEASE - Duration::from_millis(1));
    assert_eq!(stage.take(0), None);
    stage.pass(Duration::from_millis(1));
    assert_eq!(stage.take_all(0), ["a#2"]);
    assert!(give_back(&mut stage));
    assert_eq!(stage.pass(LEASE), ["a"]);
    stage.offer(["a"]);
    stage.take(0);
    assert!(give_back(&mut stage) && stage.acknowledge("a"), "it was handled after all");
    assert_eq!((stage.len(), stage.pass(LEASE), stage.take(0)), (0, vec![], None));
}

#[test]
fn messages_with_the_same_id_are_two_messages() {
    let mut stage = Stage::new(1);
    for sender in ["web", "mobile", "admin"] {
        stage.leases.offer(message("1", sender), stage.now).unwrap();
    }
    assert_eq!(stage.take_all(0), ["1", "1", "1"]);
    let (id, mobile) = (MessageId::parse("1").unwrap(), Role::parse("mobile").unwrap());
    assert!(stage.leases.acknowledge(&id, Some(&mobile), stage.now).is_some());
    assert!(stage.leases.acknowledge(&id, Some(&mobile), stage.now).is_none());
    assert!(stage.acknowledge("1"), "that of web, which was handed out first");
    stage.pass(LEASE);
    let left = stage.leases.take(stage.followers[0], stage.now).unwrap();
    assert_eq!((left.message.sender.unwrap().as_str(), left.attempt), ("admin", 2));
}

#[test]
fn a_follower_gets_messages_of_its_names() {
    let mut stage = Stage::new(0);
    let other = MessageName::parse("other").unwrap();
    stage.followers = vec![stage.leases.connect(vec![other.clone()], None, 0)];
    stage.offer(["a"]);
    assert_eq!(stage.take(0), None);
    assert!(!stage.leases.has_message_for(stage.followers[0]));
    stage.leases.offer(Message::new(MessageId::parse("b").unwrap(), other.clone()), stage.now).unwrap();
    assert_eq!(stage.take_all(0), ["b"]);
    assert!(stage.leases.has_reader(&other) && stage.leases.has_message_for(stage.followers[0]));
}

#[test]
fn the_queue_is_bounded() {
    let mut stage = Stage::with(LeaseLimits { messages_max: 1, ..LIMITS }, 1);
    stage.offer(["a"]);
    stage.take(0);
    assert!(stage.leases.offer(message("b", "web"), stage.now).is_none());
    assert!(stage.acknowledge("a"));
    stage.offer(["b"]);
}

#[test]
fn the_queue_is_bounded_in_bytes_until_messages_are_acknowledged_or_given_up() {
    let budget = Budget::new(usize::MAX);
    let bytes = message("1", "web").memory_bytes();
    let mut leases = Leases::new(LIMITS, Share::new(&budget, 2 * bytes));
    let (now, follower) = (Instant::now(), leases.connect(Vec::new(), None, 0));
    let offer = |leases: &mut Leases<Holder>, id: &str| leases.offer(message(id, "web"), now).is_some();
    assert_eq!(["1", "2", "3"].map(|id| offer(&mut leases, id)), [true, true, false]);
    leases.take(follower, now).unwrap();
    assert!(!offer(&mut leases, "3"), "a message that is handed out counts still");
    assert!(leases.acknowledge(&MessageId::parse("1").unwrap(), None, now).is_some());
    assert!(offer(&mut leases, "3"));
    assert_eq!((budget.used(), leases.take_unleased().len(), budget.used()), (2 * bytes, 2, 0));
}
