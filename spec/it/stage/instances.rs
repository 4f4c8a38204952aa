//! The instances registered with a broker.

use serde_json::Value;

use super::{Process, get};
use crate::eventually::eventually;

/// Returns the registered instances of a role.
pub(crate) async fn instances(broker: &Process, role: &str) -> Vec<Value> {
    let services = get(&format!("{}/services", broker.url("broker"))).await.json();
    let rows = services["services"].as_array().unwrap();
    rows.iter().filter(|row| row["role"] == role).cloned().collect()
}

/// Waits until each role has this number of registered instances.
pub(crate) async fn wait_until_registered(broker: &Process, roles: &[(&str, usize)]) {
    for (role, count) in roles {
        eventually((role, count), || async { (instances(broker, role).await.len() == *count).then_some(()) }).await;
    }
}
