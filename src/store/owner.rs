//! Systems that share a store, and the ids of their logs and tables.

/// Bits of a log id that hold the number, for every owner but [`Owner::Streams`].
const NUMBER_BITS: u32 = 56;

/// The first of the top bytes that belong to an owner other than [`Owner::Streams`].
const FIRST_TOP_BYTE: u64 = 0xf1;

/// A system that keeps records in a store.
///
/// Several systems may share one store. Log ids and tables can only be made by their owner, so two systems that choose the
/// same name or number still have separate tables and logs. On disk,
///
/// - a table of `Streams` has its plain name, and one of any other owner is called `<owner>/<name>`;
/// - a log of `Streams` has its plain number, below `0xf100_0000_0000_0000`. One of any other owner has `0xf1` and upwards in
///   the top byte, in the order below, and its number in the other 56 bits. The top byte `0xff` belongs to the store itself.
///
/// These are parts of the format on disk: names and order must not change, and new owners are added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Durable streams and their subscriptions.
    Streams,
    /// Messages that a relay has accepted and not sent yet.
    Outbox,
    /// Messages that a relay has received and not handled yet.
    Inbox,
    /// Inputs of reactive resources.
    Resources,
    /// User sessions.
    Users,
}

/// The id of a log, made by [`Owner::log`]. An owner never uses the number of a log again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub(super) u64);

/// The id of a table, made by [`Owner::table`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    owner: Owner,
    name: &'static str,
}

impl Owner {
    /// Every owner, in the order of their log ids.
    const ALL: [Self; 5] = [Self::Streams, Self::Outbox, Self::Inbox, Self::Resources, Self::Users];

    /// The table of this owner with this name. Panics if the name is empty, or contains a slash or a zero byte.
    pub const fn table(self, name: &'static str) -> Table {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "a table needs a name");
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at] != b'/' && bytes[at] != 0, "the name of a table contains a slash or a zero byte");
            at += 1;
        }
        Table { owner: self, name }
    }

    /// The log of this owner with this number. Panics if the number is not below [`Owner::logs_end`].
    pub const fn log(self, number: u64) -> LogId {
        assert!(number < self.logs_end(), "the number of a log is too large for its owner");
        LogId(self.first_log() + number)
    }

    /// The number after the greatest number that a log of this owner may have.
    pub const fn logs_end(self) -> u64 {
        match self {
            Self::Streams => FIRST_TOP_BYTE << NUMBER_BITS,
            Self::Outbox | Self::Inbox | Self::Resources | Self::Users => 1 << NUMBER_BITS,
        }
    }

    /// The prefix of the names of this owner's tables on disk.
    const fn table_prefix(self) -> &'static str {
        match self {
            Self::Streams => "",
            Self::Outbox => "outbox/",
            Self::Inbox => "inbox/",
            Self::Resources => "resources/",
            Self::Users => "users/",
        }
    }

    const fn first_log(self) -> u64 {
        match self {
            Self::Streams => 0,
            Self::Outbox | Self::Inbox | Self::Resources | Self::Users => {
                (FIRST_TOP_BYTE + self as u64 - 1) << NUMBER_BITS
            }
        }
    }
}

impl Table {
    /// The name on disk, in two parts.
    pub(super) fn parts(self) -> [&'static str; 2] {
        [self.owner.table_prefix(), self.name]
    }
}

impl LogId {
    /// The owner of the log, and its number there; `None` if it belongs to no owner that is known here.
    pub fn owner(self) -> Option<(Owner, u64)> {
        let owner = Owner::ALL.into_iter().rfind(|owner| owner.first_log() <= self.0)?;
        let number = self.0 - owner.first_log();
        (number < owner.logs_end()).then_some((owner, number))
    }

    /// The number of the log if it belongs to this owner.
    pub fn number_of(self, owner: Owner) -> Option<u64> {
        self.owner().filter(|(found, _)| *found == owner).map(|(_, number)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_id_leads_back_to_its_owner_and_number() {
        for owner in Owner::ALL {
            for number in [0, 7, owner.logs_end() - 1] {
                assert_eq!(owner.log(number).owner(), Some((owner, number)));
            }
        }
        assert_eq!(LogId(u64::MAX).owner(), None);
        assert_eq!(Owner::Users.log(7).number_of(Owner::Streams), None);
    }

    #[test]
    fn the_ids_and_names_on_disk_stay_as_they_are() {
        assert_eq!(Owner::Streams.log(7).0, 7);
        let ids = Owner::ALL.map(|owner| owner.log(1).0);
        assert_eq!(ids[1..], [0xf1, 0xf2, 0xf3, 0xf4].map(|top: u64| (top << 56) + 1));
        let prefixes = Owner::ALL.map(Owner::table_prefix);
        assert_eq!(prefixes, ["", "outbox/", "inbox/", "resources/", "users/"]);
    }

    #[test]
    #[should_panic(expected = "a slash")]
    fn a_table_cannot_be_named_into_another_owners_space() {
        Owner::Streams.table("outbox/messages");
    }

    #[test]
    #[should_panic(expected = "too large")]
    fn a_log_cannot_be_numbered_into_another_owners_space() {
        Owner::Outbox.log(1 << 56);
    }
}
