//! Who a broker knows.

use serde_json::Value;

use super::{Process, get};
use crate::eventually::eventually;

/// The instances of a role that the broker knows.
pub(crate) async fn instances(broker: &Process, role: &str) -> Vec<Value> {
    let services = get(&format!("{}/services", broker.url("broker"))).await.json();
    let rows = services["services"].as_array().unwrap();
    rows.iter().filter(|row| row["role"] == role).cloned().collect()
}

/// Waits until the broker knows so many instances of each role.
pub(crate) async fn knows(broker: &Process, roles: &[(&str, usize)]) {
    for (role, count) in roles {
        eventually((role, count), || async { (instances(broker, role).await.len() == *count).then_some(()) }).await;
    }
}
