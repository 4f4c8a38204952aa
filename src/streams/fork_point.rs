//! The append in which a fork begins.

use super::error::Error;
use super::read_budget::Held;
use super::rules::AppendAfter;
use super::segments::read_segments;
use super::shared::Shared;
use super::wire::ForkRequest;
use crate::store::Pace;

/// Reads the append that holds the byte after the offset of a fork, unless that offset is the end of the source. Few of them are
/// read at the same time: each may be as long as a body. Cancel-safe.
pub(super) async fn read_fork_point(shared: &Shared, fork: &ForkRequest) -> Result<Option<(AppendAfter, Held)>, Error> {
    let Some(offset) = fork.offset else { return Ok(None) };
    let Some(stream) = shared.writer().view().find(&fork.source) else { return Ok(None) };
    let Some(position) = stream.layout().position_of(offset) else { return Ok(None) };
    let tail = stream.end().tail;
    if position >= tail {
        return Ok(None);
    }
    let reading = if shared.store().pace() == Pace::Blocking { shared.inner.read_budget.read().await } else { None };
    let found = read_segments(shared.store(), &stream, (position, tail), 1).await?;
    let record = found.chunks.concat().into();
    Ok(Some((AppendAfter { log: stream.log, start: found.start, record }, reading)))
}
