//! Metrics: values that cost a few atomic operations per message, and the answer to `GET /metrics`.
//!
//! A [`Histogram`] counts durations without a lock. [`Labelled`] keeps one value for each of the first combinations of
//! labels, and one for all others, so that names chosen by clients cannot grow the memory of this process or of its scraper.
//! [`Exposition`] answers in the text format that the scraper accepts, and [`process_registry`] has what each process reports
//! of itself.

mod exposition;
mod format;
mod histogram;
mod labelled;
mod process;

pub(crate) use exposition::Exposition;
pub(crate) use format::openmetrics;
pub(crate) use histogram::Histogram;
pub(crate) use labelled::Labelled;
pub(crate) use process::process_registry;
