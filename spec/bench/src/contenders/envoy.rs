//! Envoy as an HTTP proxy, one or more in a chain. Its concurrency is left alone, so it is what a user gets: one worker
//! per core. Access logs are off, which is its default.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::contender::{Driver, own_service};
use crate::error::Error;
use crate::load::{HttpTarget, get_status};
use crate::options::Programs;
use crate::processes::{Process, Processes};

const READY_WAIT: Duration = Duration::from_secs(20);
const READY_PAUSE: Duration = Duration::from_millis(20);

/// Starts the echo service and one proxy for each of `roles`; the first of them is the one that is called.
pub fn start(
    programs: &Programs,
    processes: &Processes,
    runtime: &Runtime,
    roles: &[&'static str],
) -> Result<(Vec<Process>, Driver), Error> {
    let envoy = programs.path(&programs.envoy, "envoy")?;
    let mut service = own_service(processes, "service", &["echo"])?;
    let (mut address, _) = service.ready("echo")?;
    let mut running = vec![service];
    for role in roles.iter().rev() {
        let (proxy, listener) = start_proxy(envoy, role, address, (processes, runtime))?;
        running.insert(0, proxy);
        address = listener;
    }
    Ok((running, Driver::Http(HttpTarget { address, path: "/echo" })))
}

fn start_proxy(
    envoy: &Path,
    role: &'static str,
    upstream: SocketAddr,
    (processes, runtime): (&Processes, &Runtime),
) -> Result<(Process, SocketAddr), Error> {
    let label = format!("envoy-to-{}", upstream.port());
    // JSON is YAML.
    let config = processes.write(&format!("{label}.yaml"), &config(upstream).to_string())?;
    let admin_file = processes.scratch().join(format!("{label}.admin"));
    let mut command = Command::new(envoy);
    command.arg("--config-path").arg(config).arg("--admin-address-path").arg(&admin_file);
    command.args(["--log-level", "warning", "--disable-hot-restart"]);
    let proxy = processes.start(role, &mut command)?;
    let deadline = Instant::now() + READY_WAIT;
    loop {
        if let Some(listener) = listener_address(&admin_file, runtime) {
            return Ok((proxy, listener));
        }
        if Instant::now() > deadline {
            let what = format!("opened no listener within {} s", READY_WAIT.as_secs());
            return Err(proxy.not_ready(what));
        }
        std::thread::sleep(READY_PAUSE);
    }
}

/// The port that the system chose, from the admin interface; `None` until the listener is open.
fn listener_address(admin_file: &Path, runtime: &Runtime) -> Option<SocketAddr> {
    let admin: SocketAddr = fs::read_to_string(admin_file).ok()?.trim().parse().ok()?;
    let (status, body) = runtime.block_on(get_status(admin, "/listeners?format=json")).ok()?;
    if !status.is_success() {
        return None;
    }
    let listeners: Value = serde_json::from_slice(&body).ok()?;
    let address = listeners.pointer("/listener_statuses/0/local_address/socket_address")?;
    let port = u16::try_from(address.get("port_value")?.as_u64()?).ok()?;
    Some(SocketAddr::new(address.get("address")?.as_str()?.parse().ok()?, port))
}

fn config(upstream: SocketAddr) -> Value {
    let any = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } });
    let endpoint = json!({ "socket_address": { "address": upstream.ip(), "port_value": upstream.port() } });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "route_config": { "virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "service" } }],
        }] },
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
        }],
    });
    json!({
        "admin": { "address": any },
        "static_resources": {
            "listeners": [{
                "name": "ingress", "address": any,
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
                }] }],
            }],
            "clusters": [{
                "name": "service", "type": "STATIC", "connect_timeout": "1s",
                "load_assignment": { "cluster_name": "service", "endpoints": [{ "lb_endpoints": [{
                    "endpoint": { "address": endpoint },
                }] }] },
            }],
        },
    })
}
