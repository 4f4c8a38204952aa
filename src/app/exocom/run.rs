//! The running `exocom`.

use std::io::{self, IsTerminal, Write};
use std::net::Ipv6Addr;

use super::{Era, Error, Setup};
use crate::app::Config;
use crate::app::signals::Signals;
use crate::app::start::close_broker;
use crate::broker::{self, Broker};
use crate::http::{BindError, Listening};

/// The versions of the originals it stands in for.
const VERSION_OF_HTTP: &str = "0.12.2";
const VERSION_OF_NAMESPACES: &str = "0.22.1";

/// What a wrong host is told to change.
const BIND: &str = "EXOCOM_BIND with PORT";

/// Runs the broker until it is told to stop. Errors: those of the listener, [`Error::App`], and [`Error::Landscape`]
/// when the landscape is too large.
pub async fn run(config: Config, setup: Setup) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    greet(&setup);
    let opened = open(&setup).await;
    let shown = opened.as_ref().map_or(setup.port, |listening| i64::from(listening.address().port()));
    // The original in Go says so before it tries.
    if opened.is_ok() || setup.era == Era::Go {
        tell_online(setup.era, shown);
    }
    let listening = opened?;
    let broker = Broker::start(config.broker.clone());
    if let Some(landscape) = setup.landscape {
        broker.configure(landscape).map_err(|cause| Error::Landscape { variable: "the landscape", cause })?;
    }
    let router = match setup.era {
        Era::Http => broker::routes::router(broker.clone(), &config.http),
        Era::Namespaces | Era::Go => broker::exocom::router(broker.clone()),
    };
    let serving = listening.serve(router, &config.http);
    signals.then_drain(close_broker(&config, broker, serving)).await;
    Ok(())
}

/// What is said before anything is tried.
fn greet(setup: &Setup) {
    if setup.era == Era::Http {
        let banner = format!("Exosphere Development Communications server {VERSION_OF_HTTP}");
        match io::stdout().is_terminal() {
            true => say(&[&format!("\x1b[2m{banner}\x1b[0m"), ""]),
            false => say(&[&banner, ""]),
        }
    }
    if setup.port_is_passed_over {
        say(&[&format!("Given port is not numeric, using default port {}", setup.port)]);
    }
}

fn tell_online(era: Era, port: i64) {
    match era {
        Era::Http => say(&["Ctrl-C to stop", &format!("ExoCom {VERSION_OF_HTTP} online at port {port}")]),
        Era::Namespaces => say(&[
            &format!("Exocom {VERSION_OF_NAMESPACES}"),
            &format!("ExoCom HTTP service online at port {port}"),
            &format!("ExoCom WebSocket listener online at port {port}"),
            // Its successor had the same form of landscapes for a while.
            &format!("ExoCom online at port {port}"),
        ]),
        Era::Go => say(&[&format!("ExoCom online at port {port}")]),
    }
}

async fn open(setup: &Setup) -> Result<Listening, Error> {
    let Ok(port) = u16::try_from(setup.port) else { return Err(Error::Port { port: setup.port.to_string() }) };
    let opened = match &setup.host {
        Some(host) if host.parse::<Ipv6Addr>().is_ok() => Listening::bind(BIND, &format!("[{host}]:{port}")).await,
        Some(host) => Listening::bind(BIND, &format!("{host}:{port}")).await,
        None => match Listening::bind(BIND, &format!("[::]:{port}")).await {
            // A system without IPv6.
            Err(BindError::System { source, .. }) if source.kind() != io::ErrorKind::PermissionDenied => {
                Listening::bind(BIND, &format!("0.0.0.0:{port}")).await
            }
            opened => opened,
        },
    };
    opened.map_err(|error| refused(setup, port, error))
}

/// In the words of the original.
fn refused(setup: &Setup, port: u16, error: BindError) -> Error {
    let address = format!("{}:{port}", setup.host.as_deref().unwrap_or_default());
    match (error, setup.era) {
        (BindError::InUse { port, .. }, Era::Http | Era::Namespaces) => Error::InUse { port },
        (BindError::InUse { .. }, Era::Go) => Error::Bind { address, cause: "address already in use".into() },
        (BindError::System { source, .. }, _) => {
            let cause = source.to_string();
            let cause = cause.split(" (os error").next().unwrap_or_default().to_lowercase();
            Error::Bind { address, cause }
        }
        (error @ BindError::NotAnAddress { .. }, _) => Error::App(error.into()),
    }
}

/// Prints lines. A closed stdout is no reason to stop a server.
fn say(lines: &[&str]) {
    let mut out = io::stdout().lock();
    let written = lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush());
    if let Err(error) = written {
        tracing::debug!(%error, "stdout cannot be written");
    }
}
