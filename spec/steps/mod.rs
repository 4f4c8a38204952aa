//! The steps, one file per room.

mod broker;
