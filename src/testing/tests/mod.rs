//! Tests of the mock broker with services of both eras.

mod http;
mod record;
mod socket;
