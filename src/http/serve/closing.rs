//! The way in which the socket of an upgraded connection closes.

use std::io;

use super::shared::SharedConnection;
use super::stalled::Stalled;
use super::transport::Transport;

/// Control over the close of a connection's socket. An extension of upgrade requests.
#[derive(Clone)]
pub(crate) struct CloseControl(SharedConnection<Stalled<Transport>>);

impl CloseControl {
    pub(super) fn new(connection: SharedConnection<Stalled<Transport>>) -> Self {
        Self(connection)
    }

    /// Makes the socket end with a reset (RST) whenever and however it is closed, also when the process is killed. What is
    /// not sent by then is discarded.
    pub(crate) fn reset_at_the_end(&self) -> io::Result<()> {
        self.0.set_zero_linger()
    }

    /// Makes the system send what is written before the socket ends, which is not a reset then.
    pub(crate) fn send_the_rest(&self) -> io::Result<()> {
        self.0.unset_linger()
    }
}
