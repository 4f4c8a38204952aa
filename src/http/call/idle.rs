//! Idle connections, kept for the next call to the same server. Pure: time comes in as an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Maximum idle time of a connection. Well below the header timeout of our own listeners, so that an idle connection is
/// rarely a closed one.
pub(super) const IDLE_TIME_MAX: Duration = Duration::from_secs(15);

/// Idle connections to one server; a further one is closed instead of kept.
pub(super) const IDLE_PER_SERVER_MAX: usize = 256;

/// Idle connections in all; a further one is closed instead of kept.
pub(super) const IDLE_MAX: usize = 1_024;

/// State of an idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitness {
    /// It can send a request now.
    Ready,
    /// It has not finished its last request, but may become ready.
    Busy,
    /// The other side has closed it.
    Closed,
}

/// Idle connections by server (its host and port), the most recently used first.
pub(super) struct IdleConnections<C> {
    servers: HashMap<String, Vec<IdleConnection<C>>>,
    count: usize,
}

struct IdleConnection<C> {
    connection: C,
    since: Instant,
}

impl<C> IdleConnections<C> {
    pub(super) fn new() -> Self {
        Self { servers: HashMap::new(), count: 0 }
    }

    /// Adds a connection. `now` never goes back. At a limit the connection is dropped, which closes it.
    pub(super) fn put(&mut self, server: &str, connection: C, now: Instant) {
        if self.count >= IDLE_MAX {
            return;
        }
        let kept = IdleConnection { connection, since: now };
        match self.servers.get_mut(server) {
            Some(connections) if connections.len() >= IDLE_PER_SERVER_MAX => return,
            Some(connections) => connections.push(kept),
            None => drop(self.servers.insert(server.to_owned(), vec![kept])),
        }
        self.count += 1;
    }

    /// Takes the most recently used connection that is ready. Closed and expired ones found before it are dropped.
    pub(super) fn take(&mut self, server: &str, now: Instant, fitness: impl Fn(&C) -> Fitness) -> Option<C> {
        let connections = self.servers.get_mut(server)?;
        for at in (0..connections.len()).rev() {
            let kept = &connections[at];
            if is_expired(kept, now) {
                // Connections are sorted by time, so all before this one are expired as well.
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

    /// Drops expired connections. Returns the number of connections left.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        self.servers.retain(|_, connections| {
            connections.retain(|kept| !is_expired(kept, now));
            !connections.is_empty()
        });
        self.count = self.servers.values().map(Vec::len).sum();
        self.count
    }
}

fn is_expired<C>(kept: &IdleConnection<C>, now: Instant) -> bool {
    now.saturating_duration_since(kept.since) >= IDLE_TIME_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts one connection per number, a second apart, and takes until none is ready, `after` the first one.
    fn check(put: &[(u32, Fitness)], after: Duration, taken: &[u32], left: usize) {
        let (server, start) = ("service:1", Instant::now());
        let mut idle = IdleConnections::new();
        for (second, connection) in put.iter().enumerate() {
            idle.put(server, *connection, start + Duration::from_secs(second as u64));
        }
        let now = start + after;
        let found = std::iter::from_fn(|| idle.take(server, now, |(_, fitness)| *fitness));
        assert_eq!(found.map(|(number, _)| number).collect::<Vec<_>>(), taken);
        assert_eq!(idle.count, left);
        assert_eq!(idle.expire(now), left);
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
    fn an_expired_connection_is_not_reused() {
        check(&[(1, Fitness::Ready), (2, Fitness::Ready)], IDLE_TIME_MAX, &[2], 0);
        check(&[(1, Fitness::Ready), (2, Fitness::Ready)], IDLE_TIME_MAX + Duration::from_secs(1), &[], 0);
    }

    #[test]
    fn connections_are_kept_per_server() {
        let mut idle = IdleConnections::new();
        idle.put("service:1", 1, Instant::now());
        assert_eq!(idle.take("service:2", Instant::now(), |_| Fitness::Ready), None);
        assert_eq!(idle.count, 1);
    }

    #[test]
    fn the_number_of_idle_connections_is_bounded() {
        let mut idle = IdleConnections::new();
        let now = Instant::now();
        for port in 0..10 {
            let server = format!("service:{port}");
            (0..=IDLE_PER_SERVER_MAX).for_each(|number| idle.put(&server, number, now));
            assert_eq!(idle.count, IDLE_MAX.min((port + 1) * IDLE_PER_SERVER_MAX));
        }
        assert_eq!(idle.expire(now + IDLE_TIME_MAX), 0);
    }
}
