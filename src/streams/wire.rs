//! Formats: headers, offsets, JSON appends, events, and entries in the store.

mod caching;
mod content_type;
mod entry;
mod events;
mod headers;
mod json;
mod layout;
mod names;
mod offset;
mod path;
mod query;
mod registry;
mod time;

pub(crate) use caching::{EntityTag, matches_any, next_cursor};
pub use content_type::{ContentType, Kind};
pub(crate) use entry::{
    Closing, EntryError, Origin, ProducerEntry, StreamEntry, forgotten_id, forgotten_mark, log_of_producer_key,
    mark_of, producer_key, producers_of,
};
pub(crate) use events::{Control, Following, Form, control_event, data_event, joined, text_until};
pub use headers::{AppendRequest, CreateRequest, ForkRequest, Lifetime, ProducerStamp, RequestError};
pub use json::JsonError;
pub(crate) use json::{messages_end, record_of, whole_messages};
pub(crate) use layout::{Layout, Segment};
pub use names::header;
pub use offset::Offset;
pub(super) use path::RESERVED;
pub use path::{PathError, StreamPath};
pub use query::{Begin, Live, ReadRequest};
pub(crate) use registry::{Row, registry_record, registry_record_bytes};
