//! Notes of the broker in the program's log.

use std::sync::Mutex;
use std::time::Instant;

use super::recent::Recent;
use super::rules::Note;
use crate::sync::lock;

/// Logs a note. A service that is disconnected again and again for the same reason, as `recent` says, is logged now and then.
pub(super) fn log_note(note: &Note, recent: &Mutex<Recent>) {
    match note {
        Note::Registered { role, instance } => tracing::info!(%role, %instance, "service registered"),
        Note::Changed { role, instance } => {
            tracing::info!(%role, %instance, "service registered: its messages, its address or its state have changed");
        }
        Note::Disconnected { role, instance } => tracing::info!(%role, %instance, "service left"),
        Note::BadFrame { role, instance, cause, raw: _ } => {
            tracing::warn!(?role, ?instance, cause, "malformed frame");
        }
        // The sender learns of it, or is warned about where it cannot.
        Note::NoReceivers { .. } => tracing::debug!("{note}"),
        Note::BadSocket { role, instance, cause } => {
            if lock(recent).is_news(role, cause, Instant::now()) {
                tracing::warn!(?role, ?instance, cause, "a service is disconnected");
            }
        }
        Note::Forbidden { .. }
        | Note::NoService { .. }
        | Note::Unauthorized { .. }
        | Note::BadUpgrade { .. }
        | Note::Loop { .. }
        | Note::StrayVerdict { .. }
        | Note::BadSecurityRequest { .. } => tracing::warn!("{note}"),
    }
}
