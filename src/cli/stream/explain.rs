//! Says what was meant by the name of a stream, or the address of a server, that leads nowhere.

use std::time::Duration;

use reqwest::Url;
use tokio::time::timeout;

use super::name::{is_url, name_of, path_of};
use super::registry;
use super::server::Server;
use crate::cli::Error;
use crate::cli::server_kind::{ServerKind, found_at};
use crate::message::nearest;

/// The path below which our servers have their streams.
const ROOT_PATH: &str = "/v1/stream";

/// Timeout for reading the names of all streams.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Replaces the refusal of a call about the stream `name` of this server by [`Error::NoStream`] if there is none, and as [`explained`].
pub(super) async fn named<T>(server: &Server, name: &str, outcome: Result<T, Error>) -> Result<T, Error> {
    let url = server.url_of(name)?;
    match explained(server, &url, outcome).await {
        Err(Error::StreamRefused { status: 404, .. }) => {
            let name = if is_url(name) { name_of(server.root(), &path_of(name)) } else { name.to_owned() };
            let similar = similar(server, &name).await;
            Err(Error::NoStream { name, root: server.root().to_owned(), similar })
        }
        outcome => outcome,
    }
}

/// Replaces the refusal of a call to `url` by [`Error::OtherServer`] if a server of another kind answers there, and by
/// [`Error::StreamRoot`] if our servers have their streams elsewhere.
pub(super) async fn explained<T>(server: &Server, url: &str, outcome: Result<T, Error>) -> Result<T, Error> {
    let Err(error) = outcome else { return outcome };
    let is_suspect = matches!(
        error,
        Error::StreamRefused { status: 400..=499, .. }
            | Error::UnexpectedStreamAnswer { .. }
            | Error::NoRegistry { .. }
    );
    if !is_suspect {
        return Err(error);
    }
    let path = Url::parse(url).map(|url| url.path().to_owned()).unwrap_or_default();
    match found_at(url).await {
        Some(ServerKind::Streams) if !path.starts_with(ROOT_PATH) => {
            let meant = Url::parse(url).ok().and_then(|url| url.join(ROOT_PATH).ok()).map(String::from);
            Err(Error::StreamRoot { url: server.root().to_owned(), meant: meant.unwrap_or_default() })
        }
        Some(ServerKind::Streams) | None => Err(error),
        Some(found) => Err(Error::OtherServer { url: server.root().to_owned(), found, expected: ServerKind::Streams }),
    }
}

/// Returns the name of an existing stream that is nearly `name`, if the server lists its streams.
async fn similar(server: &Server, name: &str) -> Option<String> {
    let rows = timeout(TIMEOUT, registry::read(server)).await.ok()?.ok()?;
    let names: Vec<String> = rows.0.keys().map(|path| name_of(server.root(), path)).collect();
    nearest(name, names.iter().map(String::as_str).filter(|known| *known != name)).map(str::to_owned)
}
