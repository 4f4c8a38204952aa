//! The mock broker, seen by services of both eras and by the tests that hold it.

mod http;
mod record;
mod socket;
