//! Where idle connections lie until the next call to the same server. Tells no time and touches no socket.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a connection may lie idle. Well below the header deadline of our own listeners, so that a kept connection
/// is rarely a closed one.
pub(super) const IDLE_TIME_MAX: Duration = Duration::from_secs(15);

/// Idle connections to one server; a further one is closed instead of kept.
pub(super) const IDLE_PER_SERVER_MAX: usize = 256;

/// Idle connections in all; a further one is closed instead of kept.
pub(super) const IDLE_MAX: usize = 1_024;

/// What a kept connection is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitness {
    /// It takes a request now.
    Ready,
    /// It has not finished its last one; it may yet become ready.
    Busy,
    /// The other side has closed it.
    Closed,
}

/// Idle connections by server (its host and port), the most recently used first.
pub(super) struct Shelf<C> {
    servers: HashMap<String, Vec<Kept<C>>>,
    count: usize,
}

struct Kept<C> {
    connection: C,
    since: Instant,
}

impl<C> Shelf<C> {
    pub(super) fn new() -> Self {
        Self { servers: HashMap::new(), count: 0 }
    }

    /// Keeps a connection. `now` never goes back. At a bound the connection is dropped, which closes it.
    pub(super) fn put(&mut self, server: &str, connection: C, now: Instant) {
        if self.count >= IDLE_MAX {
            return;
        }
        let kept = Kept { connection, since: now };
        match self.servers.get_mut(server) {
            Some(connections) if connections.len() >= IDLE_PER_SERVER_MAX => return,
            Some(connections) => connections.push(kept),
            None => drop(self.servers.insert(server.to_owned(), vec![kept])),
        }
        self.count += 1;
    }

    /// The most recently used connection that is ready. Those found closed or too old are dropped on the way.
    pub(super) fn take(&mut self, server: &str, now: Instant, fitness: impl Fn(&C) -> Fitness) -> Option<C> {
        let connections = self.servers.get_mut(server)?;
        for at in (0..connections.len()).rev() {
            let kept = &connections[at];
            if is_too_old(kept, now) {
                // They lie in the order of their times, so all before this one are too old as well.
                self.count -= connections.drain(..=at).count();
                return None;
            }
            match fitness(&kept.connection) {
                Fitness::Busy => {}
                Fitness::Closed => {
                    drop(connections.remove(at));
                    self.count -= 1;
                }
                Fitness::Ready => {
                    self.count -= 1;
                    return Some(connections.remove(at).connection);
                }
            }
        }
        None
    }

    /// Drops what has lain too long. Answers how many connections are left.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        self.servers.retain(|_, connections| {
            connections.retain(|kept| !is_too_old(kept, now));
            !connections.is_empty()
        });
        self.count = self.servers.values().map(Vec::len).sum();
        self.count
    }
}

fn is_too_old<C>(kept: &Kept<C>, now: Instant) -> bool {
    now.saturating_duration_since(kept.since) >= IDLE_TIME_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts one connection per number, a second apart, and takes until nothing is left, `after` the first one.
    fn check(put: &[(u32, Fitness)], after: Duration, taken: &[u32], left: usize) {
        let (server, start) = ("service:1", Instant::now());
        let mut shelf = Shelf::new();
        for (second, connection) in put.iter().enumerate() {
            shelf.put(server, *connection, start + Duration::from_secs(second as u64));
        }
        let now = start + after;
        let found = std::iter::from_fn(|| shelf.take(server, now, |(_, fitness)| *fitness));
        assert_eq!(found.map(|(number, _)| number).collect::<Vec<_>>(), taken);
        assert_eq!(shelf.count, left);
        assert_eq!(shelf.expire(now), left);
    }

    #[test]
    fn the_most_recently_used_connection_is_taken_first() {
        check(&[(1, Fitness::Ready), (2, Fitness::Ready)], Duration::from_secs(2), &[2, 1], 0);
    }

    #[test]
    fn a_closed_connection_is_dropped_and_a_busy_one_stays() {
        let put = [(1, Fitness::Ready), (2, Fitness::Closed), (3, Fitness::Busy)];
        check(&put, Duration::from_secs(3), &[1], 1);
    }

    #[test]
    fn a_connection_that_has_lain_too_long_is_not_given_out() {
        check(&[(1, Fitness::Ready), (2, Fitness::Ready)], IDLE_TIME_MAX, &[2], 0);
        check(&[(1, Fitness::Ready), (2, Fitness::Ready)], IDLE_TIME_MAX + Duration::from_secs(1), &[], 0);
    }

    #[test]
    fn connections_of_one_server_are_not_given_to_another() {
        let mut shelf = Shelf::new();
        shelf.put("service:1", 1, Instant::now());
        assert_eq!(shelf.take("service:2", Instant::now(), |_| Fitness::Ready), None);
        assert_eq!(shelf.count, 1);
    }

    #[test]
    fn the_number_of_idle_connections_is_bounded() {
        let mut shelf = Shelf::new();
        let now = Instant::now();
        for port in 0..10 {
            let server = format!("service:{port}");
            (0..=IDLE_PER_SERVER_MAX).for_each(|number| shelf.put(&server, number, now));
            assert_eq!(shelf.count, IDLE_MAX.min((port + 1) * IDLE_PER_SERVER_MAX));
        }
        assert_eq!(shelf.expire(now + IDLE_TIME_MAX), 0);
    }
}
