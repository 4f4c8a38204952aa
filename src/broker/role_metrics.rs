//! Metrics by role of the receiver, collected on each scrape.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::engine::Engine;
use super::rules::RoleFigures;

/// Number of roles that are shown on their own; the figures of all others are added up.
const ROLES_MAX: usize = 100;

/// Figures of the roles of a broker.
pub(super) struct Roles(pub(super) Arc<Engine>);

impl fmt::Debug for Roles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Roles").finish_non_exhaustive()
    }
}

impl Collector for Roles {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let roles = self.0.exchange().figures_by_role(Instant::now());
        let (shown, others) = roles.split_at(roles.len().min(ROLES_MAX));
        let others = others.iter().fold(RoleFigures::default(), |sum, (_, figures)| RoleFigures {
            instances: sum.instances + figures.instances,
            messages: sum.messages + figures.messages,
            oldest: sum.oldest.max(figures.oldest),
        });
        let shown = shown.iter().map(|(role, figures)| (role.as_str(), *figures));
        let rows: Vec<_> = shown.chain((roles.len() > ROLES_MAX).then_some(("other", others))).collect();
        let mut gauge = |name: &str, help: &str, value: fn(&RoleFigures) -> f64| {
            let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            rows.iter().try_for_each(|(role, figures)| {
                ConstGauge::new(value(figures)).encode(encoder.encode_family(&[("role", *role)])?)
            })
        };
        gauge("role_instances", "Instances of a role on the roster.", |figures| figures.instances as f64)?;
        gauge("role_queued_messages", "Messages of a role that are not delivered.", |figures| figures.messages as f64)?;
        let help = "Time for which the oldest message waits for a receiver of the role.";
        gauge("role_queued_oldest_seconds", help, |figures| figures.oldest.as_secs_f64())
    }
}
