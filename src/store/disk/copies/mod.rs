//! What the database needs to find everything, a second time on the disk.
//!
//! A bit that flips in a record costs that record. One that flips in a table costs a thousand keys, and one in what a table
//! has about itself keeps the whole database from opening. So these are there twice: the lists of files, the tables,
//! and the ends of the files with values, where what they have about themselves stands. Values that have files of their own
//! are not: they are most of what is on the disk.
//!
//! - The copies are made in the background, of what was there twice in a row when it was looked, seconds apart: most new tables
//!   are soon part of others. A copy is made of a sound file only, and bears its checksum in its name.
//! - They are used when something cannot be read or opened: what differs from its sound copy is written again, in place.
//! - A copy that is lost or damaged is nothing but a copy less.

mod folder;
mod manifest;
mod part;
mod rounds;
#[cfg(test)]
mod tests;

pub(super) use folder::{Copies, Held};
