//! Description of a service instance, as the bus knows it.

use super::{InstanceId, MessageName, Role};

/// Identity of a service instance on the bus, and the messages it exchanges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its role; several instances may share one.
    pub role: Role,
    /// Identifier of the running process.
    pub instance: InstanceId,
    /// Messages it receives, under the names it uses itself.
    pub receives: Vec<MessageName>,
    /// Messages it sends, under the names it uses itself. Informational: only a landscape permits or forbids.
    pub sends: Vec<MessageName>,
    /// Prefix of its own message names, if that is not its role.
    pub namespace: Option<String>,
    /// True if one delivery call may carry several messages, each answered separately (`POST /run` with an array).
    pub batch: bool,
    /// Credential for the role, if the broker requires one.
    pub token: Option<String>,
    /// True if the service behind the instance does not answer: the instance gets nothing new while another one of its
    /// role does.
    pub away: bool,
}
