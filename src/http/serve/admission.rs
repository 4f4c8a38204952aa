//! Admission of connections: how many there may be, in all and of one client, and a share that is kept for operators.

mod addresses;
mod reserved;

use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) use self::addresses::AddressSlot;
use self::addresses::Addresses;
use self::reserved::Refusal;
pub(super) use self::reserved::Reserved;
use super::descriptors::Descriptors;
use crate::http::Limits;
use crate::log_limit::LogLimit;

/// Number of connections over the limit of their listener that are answered at the same time.
const RESERVED_MAX: usize = 64;

/// As [`RESERVED_MAX`], for clients that are over their own limit.
const RESERVED_FOR_ADDRESSES_MAX: usize = 16;

/// As [`RESERVED_MAX`], while file descriptors are scarce.
const RESERVED_DESCRIPTORS_MAX: usize = 6;

/// The limits of one listener, and what is left of them.
pub(super) struct Admission {
    connections: Arc<Semaphore>,
    connections_max: usize,
    addresses: Addresses,
    descriptors: Descriptors,
    reserved: Reserves,
    lines: LogLimit,
}

/// The places for connections that get the reserved service, by the reason.
struct Reserves {
    connections: Arc<Semaphore>,
    addresses: Arc<Semaphore>,
    descriptors: Arc<Semaphore>,
}

/// An admitted connection: what it holds for as long as it lives, and the service that it gets.
pub(super) struct Admitted {
    /// `None` for the reserved service.
    pub(super) permit: Option<OwnedSemaphorePermit>,
    /// `None` for a client whose connections are not counted.
    pub(super) address: Option<AddressSlot>,
    /// `None` for every request.
    pub(super) reserved: Option<Reserved>,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        let places = |max| Arc::new(Semaphore::new(max));
        Self {
            connections: places(limits.connections_max),
            connections_max: limits.connections_max,
            addresses: Addresses::new(limits),
            descriptors: Descriptors::of_process(),
            reserved: Reserves {
                connections: places(RESERVED_MAX),
                addresses: places(RESERVED_FOR_ADDRESSES_MAX),
                descriptors: places(RESERVED_DESCRIPTORS_MAX),
            },
            lines: LogLimit::new(),
        }
    }

    /// Admits a connection by the number of its file and the address of its client, if it has one. Waits while too many get the
    /// reserved service. Returns `None` for a connection that is closed at once: one of a client that is far over its own limit.
    /// Cancel-safe: a dropped call admits nothing.
    pub(super) async fn admit(&self, file: RawFd, peer: Option<IpAddr>) -> Option<Admitted> {
        let Ok(address) = peer.map_or(Ok(None), |peer| self.addresses.enter(peer)) else {
            self.log_address(peer);
            let place = Arc::clone(&self.reserved.addresses).try_acquire_owned().ok()?;
            let refusal = Refusal::Address { connections_max: self.addresses.connections_max() };
            return Some(Admitted { permit: None, address: None, reserved: Some(Reserved::new(refusal, place)) });
        };
        if self.descriptors.are_scarce_at(file) {
            let place = Arc::clone(&self.reserved.descriptors).acquire_owned().await.ok()?;
            let reserved = Some(Reserved::new(Refusal::Descriptors, place));
            return Some(Admitted { permit: None, address, reserved });
        }
        if let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() {
            return Some(Admitted { permit: Some(permit), address, reserved: None });
        }
        self.log_full();
        let (connections, places) = (Arc::clone(&self.connections), Arc::clone(&self.reserved.connections));
        tokio::select! {
            biased;
            place = places.acquire_owned() => {
                let reserved = Some(Reserved::new(Refusal::Connections { connections_max: self.connections_max }, place.ok()?));
                Some(Admitted { permit: None, address, reserved })
            }
            permit = connections.acquire_owned() => Some(Admitted { permit: Some(permit.ok()?), address, reserved: None }),
        }
    }

    fn log_address(&self, peer: Option<IpAddr>) {
        if let (Some(left_out), Some(peer)) = (self.lines.admit(), peer) {
            let limit = self.addresses.connections_max();
            tracing::warn!(
                %peer,
                limit,
                left_out,
                "a client has too many connections: refusing its further ones; the limit is http.connections_per_address_max"
            );
        }
    }

    fn log_full(&self) {
        if let Some(left_out) = self.lines.admit() {
            let limit = self.connections_max;
            tracing::warn!(
                limit,
                left_out,
                "too many connections: refusing requests of further ones, except for health and metrics; the limit is \
                 http.connections_max"
            );
        }
    }
}
