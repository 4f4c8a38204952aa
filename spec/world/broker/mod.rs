//! State of a scenario: the programs it started, the services that record what they receive, and the answer to
//! its last call.

mod call;
mod eventually;
mod recording;
mod running;
mod stage;

pub(crate) use call::call;
pub(crate) use eventually::eventually;
pub(crate) use recording::{Conduct, RecordingService};
pub(crate) use running::RunningBroker;
pub(crate) use stage::World;
