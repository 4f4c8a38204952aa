//! Sending messages and replies to services.

use std::future::IntoFuture;
use std::sync::Weak;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Request, Uri};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use serde::Serialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Error;
use super::service::{Service, Target};
use super::shared::Shared;
use crate::http::{Client, ClientError, join};
use crate::message::{ActivityId, Message, MessageId, MessageName, Payload, Role, path_segment};

/// Builder of a message to a service; awaiting it sends the message. Over HTTP it waits for the service's response, over
/// a WebSocket it does not wait.
///
/// Returns the message as it was sent, with its ids. Errors: [`Error::UnknownService`], [`Error::Text`],
/// [`Error::Payload`], [`Error::Away`] if the service does not respond over HTTP, [`Error::Busy`] if a connected service
/// does not read. A response that refuses the message is not an error: see [`super::MockBroker::last_response_code`].
#[must_use = "nothing is sent until this is awaited"]
pub struct Sending<'a> {
    shared: &'a Shared,
    draft: Result<(Role, Message), Error>,
}

impl<'a> Sending<'a> {
    pub(super) fn new<N>(shared: &'a Shared, role: &str, name: N) -> Self
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        let draft = || {
            let mut message = Message::new(MessageId::from_uuid(Uuid::now_v7()), name.try_into()?);
            message.activity_id = Some(message.conversation());
            Ok((Role::parse(role)?, message))
        };
        Self { shared, draft: draft() }
    }

    fn with(mut self, change: impl FnOnce(&mut Message) -> Result<(), Error>) -> Self {
        self.draft = self.draft.and_then(|(role, mut message)| change(&mut message).map(|()| (role, message)));
        self
    }

    /// Sets the payload; `()` and `null` mean none.
    pub fn payload(self, payload: impl Serialize) -> Self {
        self.with(|message| {
            message.payload = json_of(&message.name, "the payload", &payload)?;
            Ok(())
        })
    }

    /// Sets the activity. By default the message starts a new one.
    pub fn activity(self, activity: &str) -> Self {
        self.with(|message| {
            message.activity_id = Some(ActivityId::parse(activity)?);
            Ok(())
        })
    }

    /// Sets `auth`, which names the party the message is sent on behalf of.
    pub fn auth(self, auth: impl Serialize) -> Self {
        self.with(|message| {
            message.auth = json_of(&message.name, "auth", &auth)?;
            Ok(())
        })
    }

    /// Marks the message as part of the security side channel.
    pub fn security(self) -> Self {
        self.with(|message| {
            message.is_security = true;
            Ok(())
        })
    }

    /// Sets the id. The default is a new UUID.
    pub fn id(self, id: &str) -> Self {
        self.with(|message| {
            message.id = MessageId::parse(id)?;
            Ok(())
        })
    }

    /// Marks the message as the reply to the message with this id. Relays of the HTTP era match replies by it, relays of
    /// the WebSocket era by [`Sending::activity`].
    pub fn in_reply_to(self, id: &str) -> Self {
        self.with(|message| {
            message.response_to = Some(MessageId::parse(id)?);
            Ok(())
        })
    }

    /// Sets the sender, which brokers of the HTTP era do not send.
    pub fn sender(self, role: &str) -> Self {
        self.with(|message| {
            message.sender = Some(Role::parse(role)?);
            Ok(())
        })
    }
}

impl<'a> IntoFuture for Sending<'a> {
    type Output = Result<Message, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let (role, message) = self.draft?;
            let service = self.shared.record().find(&role).cloned();
            let service = service.ok_or_else(|| Error::UnknownService(role.clone()))?;
            match &service.target {
                Target::Socket { .. } => service.push(&message)?,
                Target::Http { url } => {
                    let status = post(&self.shared.client, url, &message).await;
                    let name = message.name.clone();
                    let status = status.map_err(|cause| Error::Away { role, name, cause })?;
                    self.shared.record().last_response_code = Some(status);
                }
            }
            Ok(message)
        }
        .boxed()
    }
}

/// Delivers a message as a broker of the HTTP era does, and returns the status of the response.
async fn post(client: &Client, url: &str, message: &Message) -> Result<u16, ClientError> {
    let uri = join(url, &format!("/run/{}", path_segment(message.name.as_str())))?;
    let mut request = Request::post(uri)
        .body(Full::new(message.to_json()))
        .expect("the URL was checked when the service was registered");
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(client.call(request).await?.status.as_u16())
}

/// Delivers queued replies to services that listen over HTTP, one at a time, until the mock broker is dropped.
pub(super) async fn deliver_replies(shared: Weak<Shared>, mut replies: mpsc::Receiver<(Service, Message)>) {
    while let Some((service, reply)) = replies.recv().await {
        let (Some(shared), Target::Http { url }) = (shared.upgrade(), &service.target) else { return };
        let (role, name) = (&service.role, &reply.name);
        match post(&shared.client, url, &reply).await {
            Ok(200..=299) => {}
            Ok(status) => shared.note_error(format!("'{role}' answered {status} to the reply '{name}'")),
            Err(error) => shared.note_error(format!("the reply '{name}' did not reach '{role}': {error}")),
        }
    }
}

/// Returns the base URL of a service. Errors: [`Error::Address`].
pub(super) fn service_url(address: &str) -> Result<String, Error> {
    let wrong = || Error::Address { address: address.to_owned() };
    let url = match address.contains("://") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let whole = uri.scheme_str() == Some("http") && uri.port_u16().is_some() && uri.query().is_none();
    if whole { Ok(url) } else { Err(wrong()) }
}

/// Returns a value as JSON; `None` for `null`, as in the original.
pub(super) fn json_of(
    name: &MessageName,
    field: &'static str,
    value: &impl Serialize,
) -> Result<Option<Payload>, Error> {
    let json = Payload::of(value).map_err(|cause| Error::Payload { name: name.clone(), field, cause })?;
    Ok(Some(json).filter(|json| !json.is_null()))
}
