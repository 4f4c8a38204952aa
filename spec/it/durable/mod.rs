//! Durable streams on disk in real processes: crashes, damage, full disks, slow readers.

mod backups;
mod bodies;
mod client;
mod damaged;
mod deleted;
mod full;
mod killed;
mod lives;
mod many;
mod readers;
mod scarce;
mod subscribed;
