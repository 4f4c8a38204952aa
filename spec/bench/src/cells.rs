//! The loads that every contender is put under.

use bytes::Bytes;

/// One load.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Its heading in the tables.
    pub title: &'static str,
    /// Pace of the calls.
    pub shape: Shape,
    /// Size of the JSON payload.
    pub payload_bytes: usize,
}

/// Pace of the calls of a cell.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Number of calls in flight; each is followed by the next as soon as it is answered.
    Closed {
        /// Calls in flight.
        in_flight: usize,
    },
    /// Calls per second, answered or not.
    Rate {
        /// Calls a second.
        per_second: u32,
        /// Calls in flight at most; more wait, and their wait counts.
        connections: usize,
    },
}

/// All loads, in the order in which they run.
pub const CELLS: [Cell; 4] = [
    Cell { title: "1 in flight, 256 B", shape: Shape::Closed { in_flight: 1 }, payload_bytes: 256 },
    Cell { title: "16 in flight, 256 B", shape: Shape::Closed { in_flight: 16 }, payload_bytes: 256 },
    Cell { title: "64 in flight, 256 B", shape: Shape::Closed { in_flight: 64 }, payload_bytes: 256 },
    Cell {
        title: "1,000 requests/s over 16 connections, 1 KB",
        shape: Shape::Rate { per_second: 1000, connections: 16 },
        payload_bytes: 1024,
    },
];

/// Index in [`CELLS`] of the load that throughput is compared under.
pub const SATURATED: usize = 2;
/// Index in [`CELLS`] of the load that latency is compared under.
pub const FIXED_RATE: usize = 3;

impl Cell {
    /// Callers that it needs.
    pub fn callers(&self) -> usize {
        match self.shape {
            Shape::Closed { in_flight } => in_flight,
            Shape::Rate { connections, .. } => connections,
        }
    }

    /// A JSON object of exactly `payload_bytes`.
    pub fn payload(&self) -> Bytes {
        const FRAME: &str = r#"{"text":""}"#;
        let text = "x".repeat(self.payload_bytes.saturating_sub(FRAME.len()));
        Bytes::from(format!(r#"{{"text":"{text}"}}"#))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json_of_the_promised_size() {
        for cell in CELLS {
            assert_eq!(cell.payload().len(), cell.payload_bytes);
            assert!(serde_json::from_slice::<serde_json::Value>(&cell.payload()).is_ok());
        }
    }

    #[test]
    fn the_named_cells_are_the_ones_meant() {
        assert!(matches!(CELLS[SATURATED].shape, Shape::Closed { in_flight: 64 }));
        assert!(matches!(CELLS[FIXED_RATE].shape, Shape::Rate { per_second: 1000, .. }));
    }
}
