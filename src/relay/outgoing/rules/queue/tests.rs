//! The queue against a bus that answers what the test says.

use super::*;
use crate::message::MessageId;

const RETRY_AFTER: Duration = Duration::from_millis(100);
const BUSY: Verdict = Verdict::Busy { retry_after: RETRY_AFTER };
const OK: Verdict = Verdict::Accepted;

/// A queue of 8 messages per lane, and the time since the test began.
struct Bench {
    queue: Queue,
    start: Instant,
    now: Instant,
    batch: Batch,
    dropped: Vec<Dropped>,
}

/// A message `name-number`, such as `a-1`.
fn message(id: &str) -> Message {
    let name = id.split('-').next().unwrap();
    Message::new(MessageId::parse(id).unwrap(), MessageName::parse(name).unwrap())
}

/// A reply to a request of the instance `to`.
fn reply(id: &str, to: &str) -> Message {
    let mut message = message(id);
    message.response_to = MessageId::parse("asked").ok();
    message.properties.to = InstanceId::parse(to).ok();
    message
}

impl Bench {
    fn new() -> Self {
        Self::with(usize::MAX, &Budget::default())
    }

    /// With a bound in bytes for each lane, as part of a budget.
    fn with(bytes_max: usize, memory: &Budget) -> Self {
        let start = Instant::now();
        let retry_wait_max = Duration::from_secs(2);
        let queue = Queue::new(&QueueLimits { messages_max: 8, bytes_max, memory: memory.clone(), retry_wait_max });
        Self { queue, start, now: start, batch: Batch::default(), dropped: Vec::new() }
    }

    fn push(&mut self, ids: &[&str]) -> &mut Self {
        ids.iter().for_each(|id| self.accept(message(id), None).unwrap());
        self
    }

    fn accept(&mut self, message: Message, until: Option<Instant>) -> Result<(), Rejected> {
        self.queue.reserve(&message)?;
        self.queue.push(message, Waiting { since: self.now, until, attempted: false });
        Ok(())
    }

    /// Checks the next batch, which then gets these verdicts.
    fn publish(&mut self, expected: &[&str], verdicts: &[Verdict]) -> &mut Self {
        self.queue.take(self.now, 8, &mut self.batch, &mut self.dropped);
        let ids: Vec<_> = self.batch.messages.iter().map(|message| message.id.as_str()).collect();
        assert_eq!(ids, expected);
        self.queue.settle(&mut self.batch, verdicts, self.now);
        self
    }

    fn after(&mut self, milliseconds: u64) -> &mut Self {
        self.now += Duration::from_millis(milliseconds);
        self
    }

    fn check_due(&mut self, milliseconds: u64) -> &mut Self {
        assert_eq!(self.queue.due(), Some(self.start + Duration::from_millis(milliseconds)));
        self
    }
}

#[test]
fn a_busy_receiver_delays_only_messages_of_its_own_name() {
    let mut bench = Bench::new();
    bench.push(&["a-1", "b-1", "a-2", "c-1"]).publish(&["a-1", "b-1", "a-2", "c-1"], &[BUSY, OK, BUSY, OK]);
    bench.push(&["a-3", "b-2"]).publish(&["b-2"], &[OK]).publish(&[], &[]);
    assert_eq!((bench.queue.len(), bench.queue.held()), (3, 3));
    bench.after(100).publish(&["a-1"], &[OK]).publish(&["a-2", "a-3"], &[OK, OK]);
    assert_eq!((bench.queue.len(), bench.queue.due()), (0, None));
}

#[test]
fn messages_that_an_old_broker_did_not_judge_go_on_without_the_busy_ones() {
    let mut bench = Bench::new();
    bench.push(&["b-1", "a-1", "b-2", "a-2", "c-1"]).publish(&["b-1", "a-1", "b-2", "a-2", "c-1"], &[OK, BUSY]);
    bench.publish(&["b-2", "c-1"], &[OK, OK]);
    bench.after(100).publish(&["a-1"], &[OK]).publish(&["a-2"], &[OK]).publish(&[], &[]);
}

#[test]
fn a_receiver_that_stays_busy_is_tried_less_and_less_often() {
    let mut bench = Bench::new();
    bench.push(&["a-1", "a-2"]).publish(&["a-1", "a-2"], &[BUSY, BUSY]).check_due(100);
    bench.after(99).publish(&[], &[]);
    bench.after(1).publish(&["a-1"], &[BUSY]).check_due(300);
    bench.after(200).publish(&["a-1"], &[BUSY]).check_due(700);
    bench.after(400).publish(&["a-1"], &[OK]).publish(&["a-2"], &[BUSY]).check_due(800);
    for wait in [100, 200, 400, 800, 1600, 2000] {
        bench.after(wait).publish(&["a-2"], &[BUSY]);
    }
    bench.check_due(700 + 100 + 200 + 400 + 800 + 1600 + 2000 + 2000);
}

#[test]
fn a_call_without_verdicts_changes_nothing() {
    let mut bench = Bench::new();
    bench.push(&["a-1", "b-1", "a-2"]).publish(&["a-1", "b-1", "a-2"], &[BUSY, OK, BUSY]).push(&["b-2"]).after(100);
    bench.publish(&["a-1", "b-2"], &[]).publish(&["a-1", "b-2"], &[OK, OK]).publish(&["a-2"], &[OK]);
    assert_eq!(bench.queue.len(), 0);
}

#[test]
fn a_reply_overtakes_other_messages_but_leaves_them_a_share() {
    let mut bench = Bench::new();
    bench.push(&["a-1", "a-2", "a-3"]);
    for number in 1..=8 {
        bench.accept(reply(&format!("r-{number}"), "web"), None).unwrap();
    }
    assert_eq!(bench.accept(reply("r-9", "web"), None), Err(Rejected::Full), "the lane is bounded too");
    bench.publish(&["r-1", "r-2", "r-3", "r-4", "r-5", "r-6", "a-1", "a-2"], &vec![OK; 8]);
    bench.publish(&["r-7", "r-8", "a-3"], &vec![OK; 3]);
}

#[test]
fn replies_of_one_name_to_different_requesters_do_not_wait_for_each_other() {
    let mut bench = Bench::new();
    for (id, to) in [("r-1", "web"), ("r-2", "app"), ("r-3", "web")] {
        bench.accept(reply(id, to), None).unwrap();
    }
    bench.publish(&["r-1", "r-2", "r-3"], &[BUSY, OK, BUSY]);
    bench.accept(reply("r-4", "app"), None).unwrap();
    bench.publish(&["r-4"], &[OK]).after(100).publish(&["r-1"], &[OK]).publish(&["r-3"], &[OK]);
}

#[test]
fn messages_for_a_busy_receiver_leave_places_for_others() {
    let mut bench = Bench::new();
    bench.push(&["a-1"]).publish(&["a-1"], &[BUSY]).push(&["a-2", "a-3", "a-4"]).publish(&[], &[]);
    assert_eq!(bench.accept(message("a-5"), None), Err(Rejected::ReceiverBusy { waiting: 4 }));
    bench.push(&["b-1", "b-2", "b-3", "b-4"]);
    assert_eq!(bench.accept(message("b-5"), None), Err(Rejected::Full));
}

#[test]
fn each_lane_is_bounded_in_bytes_and_replies_pass_a_budget_that_is_used_up() {
    let bytes = message("a-1").memory_bytes();
    let budget = Budget::new(2 * bytes);
    let mut bench = Bench::with(3 * bytes, &budget);
    bench.push(&["a-1", "b-1"]);
    assert_eq!(bench.accept(message("a-2"), None), Err(Rejected::Bytes(Exceeded::Budget)));
    for id in ["r-1", "r-2"] {
        bench.accept(reply(id, "web"), None).unwrap();
    }
    assert_eq!(bench.accept(reply("r-3", "web"), None), Err(Rejected::Bytes(Exceeded::Own)));
    bench.publish(&["r-1", "r-2", "a-1", "b-1"], &[OK, OK, OK, OK]);
    assert_eq!(budget.used(), 0);
    bench.push(&["a-3"]);
    drop(bench);
    assert_eq!(budget.used(), 0, "what is left is given back");
}

#[test]
fn messages_for_a_busy_receiver_leave_bytes_for_others() {
    let bytes = message("a-1").memory_bytes();
    let mut bench = Bench::with(4 * bytes, &Budget::default());
    bench.push(&["a-1"]).publish(&["a-1"], &[BUSY]).push(&["a-2"]).publish(&[], &[]);
    assert_eq!(bench.accept(message("a-3"), None), Err(Rejected::ReceiverBusy { waiting: 2 }));
    bench.push(&["b-1", "b-2"]).after(100).publish(&["a-1", "b-1", "b-2"], &[OK, OK, OK]).publish(&["a-2"], &[OK]);
    bench.push(&["a-3", "a-4", "a-5", "a-6"]);
}

#[test]
fn a_wait_beyond_any_sense_is_cut_to_the_longest_of_our_own() {
    for asked in [Duration::from_secs(u32::MAX.into()), Duration::MAX] {
        let mut bench = Bench::new();
        bench.push(&["a-1"]).publish(&["a-1"], &[Verdict::Busy { retry_after: asked }]).check_due(2_000);
        bench.after(2_000).publish(&["a-1"], &[OK]);
    }
}

#[test]
fn requests_are_not_held_back_but_fail_at_once() {
    let mut bench = Bench::new();
    let later = Some(bench.now + Duration::from_secs(30));
    bench.accept(message("a-1"), later).unwrap();
    bench.push(&["a-2"]).publish(&["a-1", "a-2"], &[BUSY, BUSY]);
    assert_eq!((bench.queue.len(), bench.queue.held()), (1, 1));
    bench.accept(message("a-3"), later).unwrap();
    bench.publish(&[], &[]);
    assert_eq!(bench.dropped, [Dropped::Busy(message("a-3"), RETRY_AFTER)]);
}

#[test]
fn a_request_that_may_have_been_published_is_held_back_until_its_time_is_over() {
    let mut bench = Bench::new();
    let later = Some(bench.now + Duration::from_millis(150));
    bench.accept(message("a-1"), later).unwrap();
    bench.accept(message("a-2"), later).unwrap();
    bench.queue.take(bench.now, 8, &mut bench.batch, &mut bench.dropped);
    bench.batch.waiting.iter_mut().for_each(|waiting| waiting.attempted = true);
    bench.queue.settle(&mut bench.batch, &[], bench.now);
    bench.publish(&["a-1", "a-2"], &[BUSY, BUSY]).publish(&[], &[]);
    assert_eq!((bench.queue.held(), bench.dropped.len()), (2, 0));
    bench.after(100).publish(&["a-1"], &[BUSY]).check_due(300);
    bench.after(200).publish(&[], &[]);
    assert_eq!(bench.dropped, [Dropped::Overdue(message("a-1")), Dropped::Overdue(message("a-2"))]);
    assert_eq!((bench.queue.held(), bench.queue.due()), (0, None));
}

#[test]
fn requests_leave_when_their_time_is_over_or_the_bus_is_away() {
    let mut bench = Bench::new();
    let soon = Some(bench.now + Duration::from_millis(50));
    for id in ["a-1", "a-2", "a-3"] {
        bench.accept(message(id), soon).unwrap();
    }
    bench.queue.take(bench.now, 1, &mut bench.batch, &mut bench.dropped);
    bench.batch.waiting[0].attempted = true;
    bench.queue.settle(&mut bench.batch, &[], bench.now);
    assert_eq!(bench.queue.drop_unpublished_requests(), [message("a-2"), message("a-3")]);
    bench.after(50).publish(&[], &[]);
    assert_eq!(bench.dropped, [Dropped::Overdue(message("a-1"))]);
}

#[test]
fn the_message_that_waits_longest_is_known() {
    let mut bench = Bench::new();
    assert_eq!(bench.queue.oldest(), None);
    bench.push(&["a-1"]).after(5).push(&["b-1"]).publish(&["a-1", "b-1"], &[BUSY, OK]);
    let oldest = |bench: &Bench| bench.queue.oldest().map(|oldest| (oldest.name.to_string(), oldest.is_held));
    assert_eq!(oldest(&bench), Some(("a".into(), true)));
    bench.after(100);
    bench.queue.take(bench.now, 8, &mut bench.batch, &mut bench.dropped);
    assert_eq!(oldest(&bench), Some(("a".into(), false)), "it is being published");
    bench.queue.settle(&mut bench.batch, &[OK], bench.now);
    assert_eq!(oldest(&bench), None);
}

#[test]
fn the_queue_ends_once_it_is_empty() {
    let mut bench = Bench::new();
    bench.push(&["a-1"]);
    assert!(!bench.queue.end());
    bench.publish(&["a-1"], &[OK]);
    assert!(bench.queue.end());
    assert_eq!(bench.accept(message("a-2"), None), Err(Rejected::Closed));
}
