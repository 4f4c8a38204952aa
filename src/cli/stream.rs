//! `exorelay stream`: a Durable Streams client that works with any server of the protocol.

mod append;
mod batches;
mod close;
mod create;
mod explain;
mod follow;
mod import;
mod input;
mod ls;
mod messages;
mod name;
mod pages;
mod position;
mod printer;
mod progress;
mod read;
mod registry;
mod rm;
mod server;

use clap::Subcommand;

use super::Error;

/// Create, write, read and follow streams of any Durable Streams server
#[derive(Debug, Subcommand)]
pub(super) enum StreamCommand {
    Create(create::Create),
    Append(append::Append),
    Read(read::Read),
    Follow(follow::Follow),
    Close(close::Close),
    Ls(ls::Ls),
    Rm(rm::Rm),
}

impl StreamCommand {
    pub(super) async fn run(self) -> Result<(), Error> {
        match self {
            Self::Create(create) => create.run().await,
            Self::Append(append) => append.run().await,
            Self::Read(read) => read.run().await,
            Self::Follow(follow) => follow.run().await,
            Self::Close(close) => close.run().await,
            Self::Ls(ls) => ls.run().await,
            Self::Rm(rm) => rm.run().await,
        }
    }
}
